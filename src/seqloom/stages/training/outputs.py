"""The files that train_model writes: the model folder, the metrics and the learning curve."""

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from seqloom import places
from seqloom.decoding.model_folder import LENGTHS_FILE
from seqloom.files import write_json, write_text
from seqloom.models.catalogue import save_model
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import Side
from seqloom.models.word_vectors import Coverage
from seqloom.params import Params
from seqloom.training.engine import TrainingResult
from seqloom.training.job import Job
from seqloom.training.state import HistoryRow


def write_model(model: Seq2Seq, whole: Mapping[str, Tensor], params: Params, longest: Mapping[str, int]) -> None:
    """Write models/candidate: the `whole` weights, tokenizer, languages, and the lengths it was trained on."""
    folder = places.CANDIDATE
    shutil.rmtree(folder, ignore_errors=True)
    save_model(model, params.model.architecture, folder, whole)
    shutil.copytree(places.TOKENIZER, folder / "tokenizer")
    (folder / "languages.json").write_text(params.languages.model_dump_json(indent=2) + "\n", encoding="utf-8")
    write_json(folder / LENGTHS_FILE, longest)


def write_metrics(result: TrainingResult, job: Job, coverage: Mapping[Side, Coverage], fingerprint: str) -> None:
    """Write metrics/training.json; `fingerprint` is that of the run's identity."""
    metrics: dict[str, Any] = {
        "valid_bleu": result.final_bleu,
        "best_step": result.best_step,
        "best_bleu": result.best_bleu,
        "steps": result.steps,
        "averaged": len(result.averaged),
        "skipped_updates": result.skipped,
        "tokens_per_batch": job.settings.tokens_per_batch,
        "parameters": sum(parameter.numel() for parameter in job.model.parameters()),
        "stopped_because": result.reason,
        "device": job.placement.summary(),
        "fingerprint": fingerprint,
    }
    if result.processes != [(0, job.processes.shares)]:
        metrics["processes"] = result.processes  # another number of them than the settings name: not to the byte
    if coverage:
        metrics["embeddings"] = {side: found._asdict() for side, found in coverage.items()}
    write_json(places.TRAINING_METRICS, metrics)


def write_curve(history: Sequence[HistoryRow]) -> None:
    """Write plots/training.csv."""
    curve = io.StringIO()
    writer = csv.writer(curve, lineterminator="\n")
    writer.writerow(HistoryRow._fields)
    writer.writerows([_cell(value) for value in row] for row in history)
    write_text(places.TRAINING_PLOT, curve.getvalue())


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
