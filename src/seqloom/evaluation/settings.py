"""The settings of evaluate_model."""

from typing import Annotated

from pydantic import Field

from seqloom.settings import Settings


class EvaluateSettings(Settings):
    """How a model is scored on the test split."""

    bootstrap: Annotated[int, Field(ge=100)]  # resamples for the confidence intervals (Koehn 2004)
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    length_buckets: list[Annotated[int, Field(ge=1)]]  # upper bounds, in source words; one more bucket is open-ended
    examples: Annotated[int, Field(ge=1)]  # best, median and worst segments, each, in the report
