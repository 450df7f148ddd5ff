# Run one stage: `sh pipelines/stage.sh NAME`. dvc.yaml starts every stage with this script.
#
# The code comes from this folder. The interpreter comes from .venv in this folder, else from the .venv of the clone that
# this folder belongs to, else from PATH. Two kinds of folder belong to a clone and have no .venv of their own: the copies
# below .dvc/tmp/exps in which `dvc exp run --queue` and `--temp` run, and Git worktrees.
clone=${PWD%%/.dvc/tmp/exps/*}
shared=$(git -C "$clone" rev-parse --git-common-dir 2>/dev/null)
for folder in "$PWD" "$clone" "${shared%/.git}"; do
    if [ -x "$folder/.venv/bin/python" ]; then
        PATH=$folder/.venv/bin:$PATH
        break
    fi
done
if ! command -v python >/dev/null; then
    echo "error: there is neither $clone/.venv nor a python on PATH; run \`make run\` once in $clone" >&2
    exit 1
fi

# DVC copies only what Git has, and Git ignores the user's files.
if [ "$clone" != "$PWD" ] && [ -d data/local ]; then
    for file in "$clone"/data/local/*; do
        [ ! -e "$file" ] || [ -e "data/local/${file##*/}" ] || ln -s "$file" data/local/
    done
fi

# Matplotlib keeps its font cache in the home folder, and warns in several lines if it cannot.
if ! [ -w "${HOME:-/}" ]; then
    export MPLCONFIGDIR="${MPLCONFIGDIR:-$clone/scratch/matplotlib}"
fi

export PATH PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
exec python -m seqloom.stages "$@"
