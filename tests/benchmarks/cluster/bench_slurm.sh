#!/usr/bin/env bash
# docs/how-to/files/slurm.sh on a Slurm cluster of three nodes of this machine (see nodes.sh), with
# 30 trials: a node is killed, that of the first task is killed, the first task is requeued, a worker is
# killed, the time is over. Each study must end with 30 finished trials. About 15 minutes.
# Needs root: apt-get install slurmctld slurmd slurm-client munge postgresql; .ci/services's settings
# are not used. No other Slurm may run here.
source "$(dirname "$0")/common.sh"
export SLURM_CONF=$place/slurm.conf

stop_all() {
    [ -e "$place/slurmctld.pid" ] && kill "$(cat "$place/slurmctld.pid")" || true
    [ -z "${own_munge:-}" ] || munged --stop >/dev/null || true
    down
}
trap stop_all EXIT
up
mkdir -p "$place"/{state,spool}
if ! munge -n >/dev/null 2>&1; then
    mkdir -p /run/munge && chown munge /run/munge
    own_munge=yes
    su -s /bin/sh munge -c munged
fi
cat >"$SLURM_CONF" <<CONF
ClusterName=hps
SlurmctldHost=$(hostname)(10.77.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool/%n
SlurmdPidFile=$place/spool/%n.pid
SlurmctldPidFile=$place/slurmctld.pid
SlurmctldLogFile=$place/slurmctld.log
SlurmdLogFile=$place/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdTimeout=30
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=node1 NodeAddr=10.77.0.11 CPUs=4 RealMemory=16000
NodeName=node2 NodeAddr=10.77.0.12 CPUs=4 RealMemory=16000
NodeName=node3 NodeAddr=10.77.0.13 CPUs=4 RealMemory=16000
PartitionName=main Nodes=ALL Default=YES LLN=YES State=UP
CONF
slurmctld
slurmd_on() { mkdir -p "$place/spool/$1" && "$nodes" run "$1" slurmd -N "$1"; }
for node in node1 node2 node3; do slurmd_on "$node"; done
sed -e 's/--array=0-7/--array=0-2/; s/--cpus-per-task=4/--cpus-per-task=1/; s/--mem=16G/--mem=2G/' \
    -e 's/--total 2000/--total 30/' "$root/docs/how-to/files/slurm.sh" >slurm.sh

submit() { begin "$1" && job=$(sbatch --parsable "${@:2}" slurm.sh) && say "$1: job $job"; }
node_of() { squeue -h -o "%K %N" | awk -v task="$1" '$1 == task { print $2 }'; }
finish() {
    while [ -n "$(squeue -h)" ]; do sleep 2; done
    tell
}
lose() { # the node of a task, which is back after 40 seconds
    local node
    node=$(node_of "$1")
    "$nodes" kill "$node"
    say "the power of $node, with task $1, goes"
    sleep 40
    "$nodes" start "$node" && slurmd_on "$node"
}

submit a_node_dies && wait_for_trials 8 && lose 1 && finish
submit the_first_node_dies && wait_for_trials 8 && lose 0 && finish
submit the_first_task_is_requeued && wait_for_trials 8 && scontrol requeue "${job}_0" && finish
submit a_worker_is_killed && wait_for_trials 8
"$nodes" run "$(node_of 1)" pkill -9 -f "hpsearch worker" && finish
submit the_time_is_over --time=2 --signal=TERM@70 && finish
sbatch slurm.sh >/dev/null && finish
