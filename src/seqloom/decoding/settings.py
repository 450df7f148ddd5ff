"""The settings of the search, the same for scoring and for translating with the registered model."""

from typing import Annotated, Literal

from pydantic import Field

from seqloom.settings import Faults, Settings, check


class SearchSettings(Settings):
    """How a target is looked for, and how long it may be."""

    method: Literal["beam", "sampling", "mbr", "generate"]  # generate: Hugging Face's own, of a pretrained model alone
    beam: Annotated[int, Field(ge=1, le=256)]  # a beam of 1 is greedy
    # by ((5 + |Y|) / 6) ** alpha (Wu et al. 2016, eq. 14), or by |Y| ** alpha
    normalization: Literal["wu", "average"] = "wu"
    length_penalty: Annotated[float, Field(ge=0)]  # alpha; 0 is none
    early_stopping: bool = False  # end where the beam's finished ones outdo the live ones; else where none ever can win
    # a hypothesis has at least ratio * source tokens + extra tokens
    min_length_ratio: Annotated[float, Field(ge=0, le=1000)] = 0.0
    min_length_extra: Annotated[int, Field(ge=0, le=100_000)] = 0
    max_length_ratio: Annotated[float, Field(gt=0, le=1000)] = 2.0  # and at most ratio * source tokens + extra
    max_length_extra: Annotated[int, Field(ge=1, le=100_000)] = 20
    # no n-gram of this size comes twice; 0 is off (Paulus et al. 2018)
    no_repeat_ngram: Annotated[int, Field(ge=0, le=100_000)] = 0
    temperature: Annotated[float, Field(gt=0)] = 1.0  # of sampling; below 1 is sharper
    # sampling draws from the k likeliest (Fan et al. 2018)
    top_k: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    # and from the likeliest that make up p (Holtzman et al. 2020); 1 is all
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    samples: Annotated[int, Field(ge=2, le=10_000)] = 32  # of minimum Bayes risk decoding
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1  # of sampling
    # source tokens, padding included, times the beam, decoded at once
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
