"""The settings of evaluate_model."""

from typing import Annotated, Literal

from pydantic import Field

from seqloom.settings import Settings


Task = Literal["translation", "summarization", "generation"]
"""What a model is for. Metrics follow from it: translation has BLEU, chrF and TER, the others ROUGE beside BLEU."""


class EvaluateSettings(Settings):
    """How a model is scored on the test split."""

    bootstrap: Annotated[int, Field(ge=100)]  # resamples for the confidence intervals (Koehn 2004)
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    length_buckets: list[Annotated[int, Field(ge=1)]]  # upper bounds, in source words; one more bucket is open-ended
    examples: Annotated[int, Field(ge=1)]  # best, median and worst segments, each, in the report
