"""Runs as register_model logs them, without training: made-up texts with their real scores."""

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from seqloom.evaluation.cards import segment_table
from seqloom.evaluation.scores import Scores
from seqloom.evaluation.scoring import score
from seqloom.evaluation.segments import Segments
from seqloom.evaluation.settings import Task
from seqloom.files import flatten
from seqloom.languages import Direction
from seqloom.tracking.client.library import mlflow
from seqloom.tracking.client.names import CHAMPION, FINGERPRINT
from seqloom.tracking.client.run_data import read_artifact
from seqloom.tracking.client.store import Store, experiment_id
from tests.records import evaluate_settings

MODEL, EXPERIMENT = "seqloom-en-de", "seqloom"
WORDS = ("Licht", "Fenster", "Wasser", "Dach", "Tor", "Bad")
REFERENCES = [f"das {word} ist {number} Tage hier im Haus" for number, word in enumerate(WORDS * 4)]
GOOD = [text if number % 6 else "nichts" for number, text in enumerate(REFERENCES)]
POOR = [text if number % 2 else "das ist nicht im Haus" for number, text in enumerate(REFERENCES)]
LOCK = "stages:\n  train_model:\n    cmd: x\n    outs:\n    - {path: models/candidate, md5: 1.dir, size: 3500000}\n"


def log_run(
    store: Store,
    name: str,
    hypotheses: Sequence[str],
    *,
    texts: bool = True,
    references: Sequence[str] = REFERENCES,
    **changes: Any,
) -> str:
    """Log a finished run and return its id.

    `changes` may have `task`, `targets` (segments alternate between them), `fingerprint`, `signature`, `experiment` and
    `seed`.
    """
    task: Task = changes.get("task", "translation")
    directions = [Direction("en", target) for target in changes.get("targets", ["de"])]
    seed = changes.get("seed", 1)
    segments, scores = _scored(tuple(hypotheses), tuple(references), tuple(directions), task, seed)
    evaluation = scores.metrics()
    if "signature" in changes:
        evaluation["bleu"] = scores.scores["bleu"]._replace(signature=changes["signature"])._asdict()
    fingerprint = changes.get("fingerprint", hashlib.sha256(name.encode()).hexdigest())
    home = experiment_id(store, changes.get("experiment", EXPERIMENT))
    tags = {FINGERPRINT: fingerprint, "device": "cpu (2 threads)", "git.commit": "c0ffee", "cost.seconds": "12.5"}
    tags |= {"cost.joules.cpu": "7200", "speed.segments_per_s": "45.0"}
    run_id = str(store.client.create_run(home, run_name=name, tags=tags).info.run_id)
    params = {"task": task, "languages": {"source": "en", "target": [each.target for each in directions]}}
    params |= {"evaluate": {"bootstrap": 200, "seed": seed}}
    if len(directions) == 1:
        params["languages"] = {"source": "en", "target": directions[0].target}
    logged = [mlflow.entities.Param(param, str(value)) for param, value in flatten(params).items()]
    store.client.log_batch(run_id, params=logged, metrics=[mlflow.entities.Metric("train/tokens_per_s", 4000, 0, 0)])
    store.client.log_text(run_id, json.dumps(evaluation), "metrics/evaluation.json")
    store.client.log_text(run_id, json.dumps({"parameters": 872320}), "metrics/training.json")
    store.client.log_text(run_id, LOCK, "dvc.lock")
    if texts:
        store.client.log_text(run_id, segment_table(segments, scores), "report/hypotheses.tsv")
    store.client.set_terminated(run_id)
    return run_id


@lru_cache(maxsize=64)  # many tests log the same texts, and scoring them takes longer than that
def _scored(
    hypotheses: tuple[str, ...], references: tuple[str, ...], directions: tuple[Direction, ...], task: Task, seed: int
) -> tuple[Segments, Scores]:
    """Return the segments and their scores; the directions alternate."""
    ways = [directions[row % len(directions)] for row in range(len(references))]
    segments = Segments([f"text {row}" for row in range(len(references))], list(references), list(hypotheses), ways)
    return segments, score(segments, task=task, settings=evaluate_settings(bootstrap=200, seed=seed))


def register(store: Store, run_id: str, *, champion: bool = False, model: str = MODEL) -> str:
    """Register a run as a model version and return its number."""
    run = store.client.get_run(run_id)
    if not store.client.search_registered_models(f"name = '{model}'"):
        store.client.create_registered_model(model)
    tags = {FINGERPRINT: run.data.tags[FINGERPRINT]}
    number = str(store.client.create_model_version(model, "nowhere", run_id, tags=tags).version)
    if champion:
        store.client.set_registered_model_alias(model, CHAMPION, number)
    return number


def recorded_score(store: Store, run_id: str, metric: str = "bleu") -> float:
    """Return a score from the run's metrics/evaluation.json."""
    return float(json.loads(read_artifact(store, run_id, "metrics/evaluation.json") or b"")[metric]["score"])
