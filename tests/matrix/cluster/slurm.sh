#!/bin/sh
# A SLURM of two nodes on this machine, as root and without systemd: slurm.sh start FOLDER | stop FOLDER | node N FOLDER
# Needs Debian's packages slurm-wlm and munge. Each node has one pretend GPU: a null device of its own.
set -eu
what=$1
folder=$(eval echo "\${$#}")
host=$(hostname -s)

start_node() {
    slurmd -f "$folder/slurm.conf" -N "$1" -L "$folder/$1.log"
}

case $what in
start)
    mkdir -p "$folder/state" "$folder/spool" /run/munge
    [ -e "$folder/gpu1" ] || mknod "$folder/gpu1" c 1 3
    [ -e "$folder/gpu2" ] || mknod "$folder/gpu2" c 1 3
    [ -s /etc/munge/munge.key ] || mungekey --create
    chown -R munge: /etc/munge /run/munge /var/lib/munge /var/log/munge
    munge -n >/dev/null 2>&1 || runuser -u munge -- /usr/sbin/munged
    cat > "$folder/slurm.conf" <<CONF
ClusterName=transgan
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
SlurmctldPort=27817
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/%n.pid
SlurmctldLogFile=$folder/slurmctld.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1
GresTypes=gpu
ReturnToService=2
SlurmdTimeout=20
AuthInfo=cred_expire=30
MinJobAge=3600
KillWait=20
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=27818 CPUs=2 Gres=gpu:1
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=27819 CPUs=2 Gres=gpu:1
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
CONF
    cat > "$folder/gres.conf" <<CONF
NodeName=n1 Name=gpu File=$folder/gpu1
NodeName=n2 Name=gpu File=$folder/gpu2
CONF
    slurmctld -f "$folder/slurm.conf" -c
    start_node n1
    start_node n2
    ;;
node)
    start_node "$2"
    ;;
stop)
    for file in "$folder"/*.pid; do
        if [ -s "$file" ]; then kill "$(cat "$file")" 2>/dev/null || true; fi
    done
    ;;
esac
