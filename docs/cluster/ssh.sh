#!/bin/sh
# Plain ssh: one cell at a time on each host, each line of the list once. Status 1 where a cell failed or was not begun.
#   docs/cluster/ssh.sh cells.txt host1 host2 ...
# Every host has a checkout with `make setup` done in $FOLDER (~/transgan), at the head's revision, and a DVC remote that
# all of them see (`dvc remote add --local --default store ssh://...`). cells.txt: a line a cell, twins left out.
set -eu
list=$1
shift
folder=${FOLDER:-transgan}
revision=$(git rev-parse HEAD)
work=${TRANSGAN_WORK:+TRANSGAN_WORK=$TRANSGAN_WORK} # a folder that all hosts see, if there is one
next=$(mktemp -d)
trap 'rm -rf "$next"' EXIT

# The folder that marks the cell $1 as taken.
taken() {
    echo "$next/$(echo "$1" | tr / _)"
}

serve() {
    while read -r cell || [ -n "$cell" ]; do
        # Only one host can make a folder of this name: that host has the cell.
        mkdir "$(taken "$cell")" 2>/dev/null || continue
        # -tt: if this ends, the worker ends too, and stores its state.
        status=0
        command="transgan worker --cell $cell --revision $revision"
        ssh -tt -n "$1" "cd $folder && . .venv/bin/activate && $work $command" || status=$?
        if [ $status -eq 255 ]; then # ssh's own: the host cannot be reached, so its cells are for the others
            rmdir "$(taken "$cell")"
            echo "$1 cannot be reached; it gets no more cells" >&2
            return
        elif [ $status -ne 0 ]; then
            touch "$next/failed"
            echo "failed: $cell on $1; start this script again, it goes on from there" >&2
        fi
    done < "$list"
}

for host in "$@"; do
    serve "$host" &
done
wait
while read -r cell || [ -n "$cell" ]; do
    [ -d "$(taken "$cell")" ] || { echo "not begun: $cell" >&2; touch "$next/failed"; }
done < "$list"
[ ! -e "$next/failed" ]
