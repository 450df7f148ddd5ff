"""Measure how many bytes a retraining adds in each place, and how many `seqloom gc` frees again.

    python -m benchmarks.storage_growth
    python -m benchmarks.storage_growth --keep growth

In a copy of this clone, with a small corpus and a Prefect server on loopback, `python -m pipelines retrain --push
--commit tag` is run for each change of the data in `DAYS`; some make a better model, some one that the gate refuses.
Then `seqloom gc --yes --keep 1 --days 0 --dvc` is run. A table is printed: the bytes after the first retraining, how
many each later one added, the bytes at the end, and those after gc. The model is tiny, so the columns are to be
read beside it, which is in the table, too.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.retraining_clone import Clone, Memory, server

DAYS = ("grow", "trifle", "grow", "trifle")
POLICY = ("--keep", "1", "--days", "0", "--dvc")
PLACES: Mapping[str, tuple[str, ...]] = {
    "MLflow: model files": ("mlartifacts/models",),
    "MLflow: reports of runs": ("mlartifacts/*/*/artifacts", "mlartifacts/[0-9a-f]*"),
    "MLflow: database": ("mlflow.db",),
    "DVC cache (this clone)": (".dvc/cache",),
    "DVC remote": ("../remote",),
    "scratch: checkpoints, journals": ("scratch/*/step-*", "scratch/*/*.safetensors", "scratch/*/*.jsonl"),
    "scratch: other": ("scratch",),
    "Prefect: database": (".prefect/prefect.db",),
    "Git": (".git",),
    "one model (models/candidate)": ("models/candidate",),
}


def measure(folder: Path) -> dict[str, int]:
    """Return the bytes in each place of a clone; a file counts in the first place that names it."""
    seen: set[Path] = set()
    sizes = {}
    for place, patterns in PLACES.items():
        files = {file for pattern in patterns for path in folder.glob(pattern) for file in _files(path)}
        sizes[place] = sum(file.lstat().st_size for file in files - seen)
        seen |= files
    return sizes


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def simulate(folder: Path, days: tuple[str, ...]) -> list[dict[str, int]]:
    """Retrain once for each day, then run gc; return the bytes after each of these."""
    clone_folder = folder / "clone"
    clone_folder.mkdir(parents=True)
    measured = []
    with server(clone_folder) as api:
        clone = Clone(clone_folder, api)
        clone.prepare()
        memory = Memory(clone_folder / "data" / "local" / "memory.tsv", seed=1)
        for number, news in enumerate(days, 1):
            memory.change(news)
            clone.retrain(folder / f"day-{number}.log", None)
            measured.append(measure(clone_folder))
            versions = clone.versions()
            champion = next((each["version"] for each in versions if "champion" in each["aliases"]), "none")
            print(f"retraining {number} ({news}): {len(versions)} versions, champion {champion}", flush=True)
        print(clone.call(sys.executable, "-m", "seqloom.cli", "gc", "--yes", *POLICY))
        measured.append(measure(clone_folder))
    return measured


def show(measured: list[dict[str, int]]) -> str:
    """Return the table, in Markdown."""
    first, last, after = measured[0], measured[-2], measured[-1]
    later = max(1, len(measured) - 2)
    rows = [
        (place, *(f"{size:,.0f}" for size in (
            first[place] / 1e3, (last[place] - first[place]) / later / 1e3, last[place] / 1e3, after[place] / 1e3
        )))
        for place in PLACES
    ]  # fmt: skip
    heads = ("place, in kB", "after the first", "each later one adds", f"after {later + 1}", "after gc")
    cells = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {line} |" for line in (" | ".join(row) for row in cells))


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="a new folder to run in, which is kept")
    options = parser.parse_args()
    if options.keep is not None:
        measured = simulate(options.keep.resolve(), DAYS)
    else:
        with tempfile.TemporaryDirectory(prefix="seqloom-growth-") as folder:
            measured = simulate(Path(folder), DAYS)
    print(show(measured))


if __name__ == "__main__":
    main()
