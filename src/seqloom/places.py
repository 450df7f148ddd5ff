"""Where results and working files are, relative to the root of the clone.

Each result is written by exactly one stage (see dvc.yaml).
"""

from pathlib import Path

LOCAL = Path("data/local")  # the user's own files, read by download_corpus and download_pretrained
CHECKED = Path("data/checked")  # empty; every stage depends on it, so that check_params runs first
RAW = Path("data/raw")
SYNTHETIC = Path("data/synthetic")  # empty if translate_corpus is switched off
CORPUS = Path("data/corpus")
CORPUS_METRICS = Path("metrics/corpus.json")
CORPUS_REPORT = Path("reports/corpus")
SCORES = Path("data/scores")  # empty if score_corpus is switched off
SCORES_REPORT = Path("reports/scores")
PRETRAINED = Path("models/pretrained")
TOKENIZER = Path("models/tokenizer")
TOKENS = Path("data/tokens")
CANDIDATE = Path("models/candidate")
TRAINING_METRICS = Path("metrics/training.json")
TRAINING_PLOT = Path("plots/training.csv")
EXPORT = Path("models/export")
EXPORT_METRICS = Path("metrics/export.json")
REPORT = Path("reports/evaluation")
HYPOTHESES = REPORT / "hypotheses.tsv"
EVALUATION_METRICS = Path("metrics/evaluation.json")
LENGTHS_PLOT = Path("plots/lengths.csv")
REGISTRATION = Path("metrics/registration.json")

# Tracked by Git, not by DVC.
SOURCES_LOCK = Path("data/sources.lock.json")  # hashes of downloads that params.yaml does not pin

# Not tracked by DVC or Git, except the leaderboard, which a team may commit.
GATE = Path("reports/gate")  # the last verdict, which depends on the registry and not only on data
SHADOW = Path("reports/shadow")  # what shadows of `seqloom serve` translate differently
LEADERBOARD = Path("reports/leaderboard")
SCRATCH = Path("scratch")  # checkpoints and journals of runs, each by the fingerprint of its inputs
LOGS = SCRATCH / "logs"  # one per stage, and those of Prefect, of pushes and of tracking
