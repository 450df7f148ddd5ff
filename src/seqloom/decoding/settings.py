"""The settings of the search, the same for scoring and for translating with the registered model."""

from typing import Annotated

from pydantic import Field

from seqloom.settings import Settings


class SearchSettings(Settings):
    """Beam search; a beam of 1 is greedy."""

    beam: Annotated[int, Field(ge=1, le=256)]
    length_penalty: Annotated[float, Field(ge=0)]  # alpha of Wu et al. 2016, equation 14; 0 is none
    max_length_ratio: Annotated[float, Field(gt=0)]  # a hypothesis ends at ratio * source tokens + extra
    max_length_extra: Annotated[int, Field(ge=1)]
    batch_tokens: Annotated[int, Field(ge=1)]  # source tokens, padding included, times the beam, decoded at once
