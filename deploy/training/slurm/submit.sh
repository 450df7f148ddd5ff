#!/bin/sh
# Submit train.sbatch, show its log, wait for its end, and exit with its status. Arguments are passed to sbatch. SIGTERM
# cancels the job, after a checkpoint. With
#
#     export SEQLOOM_TRAIN_LAUNCHER="sh deploy/training/slurm/submit.sh"
#
# `dvc repro` and the flows train with it; everything else of the pipeline runs here.
set -eu
every=${SEQLOOM_POLL_SECONDS:-10}
mkdir -p scratch/logs
id=$(sbatch --parsable "$@" deploy/training/slurm/train.sbatch)
id=${id%%;*} # a cluster's name may follow
log=scratch/logs/slurm-$id.log
status=scratch/logs/slurm-$id.status
echo "seqloom: SLURM job $id trains; its log is $log"

touch "$log"
tail -n +1 -f "$log" &
reader=$!
finish() {
    sleep 1 # the rest of the log
    kill "$reader" 2>/dev/null || true
    exit "$1"
}
cancel() {
    scancel "$id" || true
    finish 143
}
trap cancel TERM INT

missing=0
while [ "$missing" -lt 3 ]; do
    # `wait` lets a trap run at once, `sleep` in the foreground would not.
    sleep "$every" &
    wait $!
    if [ -s "$status" ]; then
        finish "$(cat "$status")"
    fi
    # A job that is queued again keeps its number. Of one that was killed SLURM forgets all after some minutes.
    if [ -n "$(squeue --noheader --jobs "$id" --states all --format %T 2>/dev/null | grep -Ev 'CANCELLED|FAILED|TIMEOUT|NODE_FAIL|OUT_OF_MEMORY|BOOT_FAIL|DEADLINE|COMPLETED')" ]; then
        missing=0
    else
        missing=$((missing + 1))
    fi
done
echo "error: SLURM job $id ended without a status; \`sacct --jobs $id\` and $log may say why" >&2
finish 1
