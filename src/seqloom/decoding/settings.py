"""The settings of the search, used both for evaluation and for translation with a registered model."""

from typing import Annotated, Literal

from pydantic import Field

from seqloom.settings import Faults, Settings, check


class SearchSettings(Settings):
    """The search method and the limits on a target's length."""

    method: Literal["beam", "sampling", "mbr", "generate"]  # generate: Hugging Face's, only for pretrained models
    beam: Annotated[int, Field(ge=1, le=256)]  # a beam of 1 is greedy
    normalization: Literal["wu", "average"]  # by ((5 + |Y|) / 6) ** alpha (Wu et al. 2016, eq. 14), or by |Y| ** alpha
    length_penalty: Annotated[float, Field(ge=0)]  # alpha; 0 is none
    early_stopping: bool = False  # stop when the finished hypotheses beat the live ones as they are; false is exact
    min_length_ratio: Annotated[
        float, Field(ge=0, le=1000)
    ]  # a hypothesis has at least ratio * source tokens + extra tokens
    min_length_extra: Annotated[int, Field(ge=0, le=100_000)]
    max_length_ratio: Annotated[float, Field(gt=0, le=1000)]  # and at most ratio * source tokens + extra
    max_length_extra: Annotated[int, Field(ge=1, le=100_000)]
    no_repeat_ngram: Annotated[
        int, Field(ge=0, le=100_000)
    ]  # no n-gram of this size is repeated; 0 is off (Paulus et al. 2018)
    temperature: Annotated[float, Field(gt=0)]  # of sampling; below 1 is sharper
    top_k: Annotated[int, Field(ge=1, le=10_000_000)] | None  # sample from the k most likely tokens (Fan et al. 2018)
    top_p: Annotated[float, Field(gt=0, le=1)]  # and from the nucleus of probability p (Holtzman et al. 2020); 1 is all
    samples: Annotated[int, Field(ge=2, le=10_000)]  # of minimum Bayes risk decoding
    seed: Annotated[int, Field(ge=0, lt=2**32)]  # of sampling
    batch_tokens: Annotated[
        int, Field(ge=1, le=100_000_000)
    ]  # source tokens, including padding, times the beam, decoded at once

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
