#!/bin/sh
# Plain ssh: one cell at a time on each host, until every line of the list is done.
#   docs/cluster/ssh.sh cells.txt host1 host2 ...
# Every host has a checkout with `make setup` done in $FOLDER (~/transgan), at the head's revision, and a DVC remote that
# all of them see (`dvc remote add --local --default store ssh://...`). cells.txt: a line a cell, twins left out.
set -eu
list=$1
shift
folder=${FOLDER:-transgan}
revision=$(git rev-parse HEAD)
next=$(mktemp -d)
trap 'rm -rf "$next"' EXIT

serve() {
    while read -r cell; do
        # The name of a folder is taken once: whoever makes it has the cell.
        mkdir "$next/$(echo "$cell" | tr / _)" 2>/dev/null || continue
        # -tt: if this ends, the worker ends too, and stores its state.
        ssh -tt -n "$1" "cd $folder && . .venv/bin/activate && transgan worker --cell $cell --revision $revision" ||
            echo "failed: $cell on $1; start this script again, it goes on from there" >&2
    done < "$list"
}

for host in "$@"; do
    serve "$host" &
done
wait
