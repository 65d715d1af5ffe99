#!/bin/bash
# Extraction as a SLURM array: every task takes lots of videos until none is left, on one GPU. From the
# repository root:
#
#     mkdir -p logs && sbatch docs/slurm/extract.sh
#
# The store and the videos must lie on a file system that all nodes see. Tasks may start late, fail or run out of
# time: the others go on with their videos. Submitting it again is harmless: what is in the store is skipped.

#SBATCH --job-name=extract
#SBATCH --array=0-7
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=12:00:00
#SBATCH --output=logs/extract-%A_%a.log
# SIGTERM two minutes before the time is up: finished videos are committed, and the task ends.
#SBATCH --signal=TERM@120

set -euo pipefail

# srun does not take over the number of CPUs by itself.
exec srun --cpus-per-task="$SLURM_CPUS_PER_TASK" \
    .venv/bin/python -m extract "${DATASET:-LSVQ}" --pipeline "${PIPELINE:-lmm-vqa}" \
    --share "slurm-$SLURM_ARRAY_JOB_ID" --workers "$SLURM_CPUS_PER_TASK"
