#!/usr/bin/env bash
#SBATCH --job-name=hpsearch
#SBATCH --array=0-7
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=08:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --output=hpsearch-%A_%a.log
#SBATCH --open-mode=append
# A GPU for each task: add a line "#SBATCH --gpus=1".
set -euo pipefail

study=flats.toml
export HPSEARCH_STORAGE=${HPSEARCH_STORAGE:-postgresql://me@db.cluster/studies}
export HPSEARCH_HOME=${HPSEARCH_HOME:-$HOME/hpsearch}
export OMP_NUM_THREADS=1

source "$HOME/hpsearch-env/bin/activate"
# Slurm signals what srun starts.
hpsearch() { srun --ntasks=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" hpsearch "$@"; }
options=(--preset cpu --workers "$SLURM_CPUS_PER_TASK")
if [ "$SLURM_ARRAY_TASK_ID" = 0 ]; then
    hpsearch run "$study" "${options[@]}" --total 2000
    exit
fi
# How long to wait for the run: it may be over where this task comes back to the queue.
wait=1h status=75
[ "${SLURM_RESTART_COUNT:-0}" = 0 ] || wait=5m
# 75: the run was stopped with its task, which comes back to take it up.
while [ "$status" = 75 ]; do
    status=0
    hpsearch worker "$study" "${options[@]}" --wait "$wait" || status=$?
    wait=5m
done
exit "$status"
