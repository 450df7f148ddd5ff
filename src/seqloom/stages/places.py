"""Where stages write, relative to the repository's root, and how: whole or not at all.

Each place is written by exactly one stage (see dvc.yaml).
"""

from pathlib import Path

LOCAL = Path("data/local")  # yours, read by download_corpus and download_pretrained
CHECKED = Path("data/checked")  # says nothing; every stage depends on it, so that check_params runs first
RAW = Path("data/raw")
CORPUS = Path("data/corpus")
CORPUS_METRICS = Path("metrics/corpus.json")
CORPUS_REPORT = Path("reports/corpus")
PRETRAINED = Path("models/pretrained")
TOKENIZER = Path("models/tokenizer")
TOKENS = Path("data/tokens")
CANDIDATE = Path("models/candidate")
TRAINING_METRICS = Path("metrics/training.json")
TRAINING_PLOT = Path("plots/training.csv")
REPORT = Path("reports/evaluation")
EVALUATION_METRICS = Path("metrics/evaluation.json")
LENGTHS_PLOT = Path("plots/lengths.csv")
REGISTRATION = Path("metrics/registration.json")
GATE = Path("reports/gate")  # untracked: the last verdict depends on the registry, not on data alone
SCRATCH = Path("scratch")  # untracked: checkpoints and journals of runs, by the fingerprint of their inputs


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place and rename it, its folder made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
