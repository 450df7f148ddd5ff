"""The settings of the search, used both for evaluation and for translation with a registered model."""

from typing import Annotated, Literal

from pydantic import Field

from seqloom.settings import Faults, Settings, check


class SearchSettings(Settings):
    """The search method and the limits on a target's length."""

    # generate: the search of Hugging Face, for a pretrained model
    method: Literal["beam", "sampling", "mbr", "generate"]
    beam: Annotated[int, Field(ge=1, le=256)]  # hypotheses per source; 1 is greedy
    # score divided by ((5 + length) / 6) ** alpha (wu; Wu et al. 2016) or by length ** alpha (average)
    normalization: Literal["wu", "average"] = "wu"
    length_penalty: Annotated[float, Field(ge=0)]  # alpha of the normalization; 0 is none
    # stop as soon as the finished hypotheses beat the current score of the live ones; faster, and not exact
    # (docs/MODELS.md)
    early_stopping: bool = False
    # a hypothesis has at least ratio * source tokens + extra tokens
    min_length_ratio: Annotated[float, Field(ge=0, le=1000)] = 0.0
    min_length_extra: Annotated[int, Field(ge=0, le=100_000)] = 0  # see min_length_ratio
    # a hypothesis has at most ratio * source tokens + extra tokens
    max_length_ratio: Annotated[float, Field(gt=0, le=1000)] = 2.0
    max_length_extra: Annotated[int, Field(ge=1, le=100_000)] = 20  # see max_length_ratio
    # no n-gram of this size occurs twice (Paulus et al. 2018); 0 is off
    no_repeat_ngram: Annotated[int, Field(ge=0, le=100_000)] = 0
    temperature: Annotated[float, Field(gt=0)] = 1.0  # sampling: below 1 is sharper
    # sampling: only the k most probable pieces (Fan et al. 2018)
    top_k: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    # sampling: only the most probable pieces that sum to p (Holtzman et al. 2020); 1 is all
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    samples: Annotated[int, Field(ge=2, le=10_000)] = 32  # mbr: samples per source
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1  # seed of sampling and mbr
    # source tokens times the beam, padding included, that are decoded together
    batch_tokens: Annotated[int, Field(ge=1, le=100_000_000)] = 8192

    @check
    def _length_ratios(self) -> Faults:
        if self.min_length_ratio > self.max_length_ratio:
            yield (
                "min_length_ratio",
                f"is {self.min_length_ratio}, above max_length_ratio ({self.max_length_ratio})",
            )

    @check
    def _length_extras(self) -> Faults:
        if self.min_length_extra > self.max_length_extra:
            yield "min_length_extra", f"is {self.min_length_extra}, above max_length_extra ({self.max_length_extra})"

    @check
    def _ranked(self) -> Faults:
        if self.method == "generate" and self.normalization != "average":
            yield (
                "normalization",
                f"is {self.normalization!r}, but method generate ranks by average only",
            )
