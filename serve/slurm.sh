#!/usr/bin/env bash
# Score a pool as a Slurm array, each task a shard of the chunks, all into one run folder on a file system that they share
# (or s3://):
#
#     serve/slurm.sh POOL BUNDLE RUN SHARDS [flags of scar score]        on a login node, with scar on the PATH
#
# It plans, submits the array, and a job behind it that gathers. A task that comes near its time limit is told so by
# SIGUSR1, stops within seconds and is queued again. A task that failed goes on where it was, here the third of eight:
#
#     sbatch --array=3 serve/slurm.sh POOL BUNDLE RUN 8 [the same flags, without --overwrite]
#
# The job that gathers waits for an array of which no task failed, else it is dropped: once all tasks are done, run
# `scar gather RUN` by hand.
#SBATCH --job-name=scar-score
#SBATCH --cpus-per-task=8
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

if [ "$#" -lt 4 ]; then
  echo "usage: slurm.sh POOL BUNDLE RUN SHARDS [flags of scar score]" >&2
  exit 2
fi
pool="$1" bundle="$2" run="$3" shards="$4"
shift 4

if [ -z "${SLURM_ARRAY_TASK_ID:-}" ]; then
  scar plan "$pool" --ranker "$bundle" --out "$run" "$@"
  task=("$pool" "$bundle" "$run" "$shards")
  for flag in "$@"; do
    [ "$flag" = --overwrite ] || task+=("$flag") # the plan has begun the run anew, for all tasks
  done
  array="$(sbatch --parsable --array="1-$shards" "$0" "${task[@]}")"
  # With several clusters the answer is `job;cluster`. A dependency that cannot come true would wait for ever.
  sbatch --parsable --dependency="afterok:${array%%;*}" --kill-on-invalid-dep=yes --job-name=scar-gather \
    --cpus-per-task=1 --wrap "scar gather $(printf '%q' "$run")"
  exit
fi

scar score "$pool" --ranker "$bundle" --out "$run" "$@" --shard "$SLURM_ARRAY_TASK_ID/$shards" &
scored=$!
trap 'kill -USR1 "$scored"' USR1
trap 'kill -TERM "$scored"' TERM
code=0
wait "$scored" || code=$?
while kill -0 "$scored" 2> /dev/null; do # a signal ended the wait, not the scoring
  code=0
  wait "$scored" || code=$?
done
if [ "$code" -eq 138 ]; then # 128 + SIGUSR1: out of time, not out of order
  # Not SLURM_JOB_ID: one task of an array has that of the whole array, and would queue all tasks again.
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$code"
