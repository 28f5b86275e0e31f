#!/bin/bash
#SBATCH --job-name=transgan
#SBATCH --requeue
#SBATCH --open-mode=append
# SLURM: task k trains the k-th of the cells. `transgan submit` puts the settings in place of the line below and
# gives sbatch --array, --signal, --output and --gres. A task is requeued where its node fails or is drained away from
# it. Before the time limit SLURM sends SIGUSR1: the worker stores the training's state and the task queues itself again.
# SETTINGS
cd "$HEAD" || exit 1
cell=${cells[SLURM_ARRAY_TASK_ID - 1]}
echo "task $SLURM_ARRAY_TASK_ID on $(hostname), start ${SLURM_RESTART_COUNT:-0}: $cell"
"$PYTHON" -m pipeline.cli worker --cell "$cell" "${options[@]}" &
worker=$!
trap 'kill -USR1 $worker' USR1
trap 'kill -TERM $worker' TERM
wait $worker
# A signal ends `wait`, not the worker, which stores its state first.
while kill -0 $worker 2>/dev/null; do wait $worker; done
wait $worker; status=$?
# 75: stored, try again. 138: SIGUSR1 came before the worker listened to signals, so nothing had begun.
if [ $status -eq 75 ] || [ $status -eq 138 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit $status
