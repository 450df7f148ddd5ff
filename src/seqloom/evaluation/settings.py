"""The settings of evaluate_model."""

from typing import Annotated, Literal

from pydantic import Field

from seqloom.settings import Settings

Task = Literal["translation", "summarization", "generation"]
"""The purpose of a model. It determines the metrics."""

_ROUGE_FIRST = ("rouge1", "rouge2", "rougeL", "bleu", "chrf")
METRICS: dict[Task, tuple[str, ...]] = {
    "translation": ("bleu", "chrf", "ter"),
    "summarization": _ROUGE_FIRST,
    "generation": _ROUGE_FIRST,
}
"""The metrics of each task, by their names in metrics/evaluation.json, in display order."""

LEADING: dict[Task, str] = {"translation": "bleu", "summarization": "rougeL", "generation": "rougeL"}
"""The metric of each task that decides which of two models is better."""

TITLES = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER", "rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}
"""The display names of the metrics."""


_Words = Annotated[int, Field(ge=1, le=10**9)]


class EvaluateSettings(Settings):
    """How a model is scored on the test split."""

    # resamples for confidence intervals and significance (Koehn 2004)
    bootstrap: Annotated[int, Field(ge=100, le=1_000_000)]
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 12345  # seed of the resampling
    # upper bounds of the buckets of source lengths, in words; one more bucket is open-ended
    length_buckets: Annotated[list[_Words], Field(max_length=100)] = Field(default=[5, 10, 20, 40])
    examples: Annotated[int, Field(ge=1, le=10_000)] = 10  # how many best, median and worst segments the report shows
