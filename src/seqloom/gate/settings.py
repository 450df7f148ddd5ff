"""The settings of the gate: the conditions for a version to replace the champion."""

from typing import Annotated

from pydantic import Field

from seqloom.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]
Points = Annotated[float, Field(ge=0)]  # on the scale of scores, 0 to 100
Times = Annotated[float, Field(ge=1)]


class GateSettings(Settings):
    """The bounds of the gate. Null switches a rule off."""

    p: Annotated[float, Field(gt=0, lt=1)]  # significance level for a better leading score, by paired bootstrap
    max_chrf_drop: Points | None
    max_placeholder_drop: Share | None  # drop in the share of segments that keep all their placeholders
    max_direction_drop: Points | None  # drop of the leading score in any direction, if there are several
    max_bucket_drop: Points | None  # drop of the leading score in any bucket of evaluate.length_buckets
    min_bucket_segments: Annotated[
        int, Field(ge=1, le=10**9)
    ]  # smaller buckets are not compared: their scores are too uncertain
    max_empty: Share  # share of segments with an empty translation by the new version
    max_slowdown: Times | None  # translation time divided by the champion's
    max_growth: Times | None  # size of the model divided by the champion's
    max_shared: Share  # share of test segments that the champion was trained on; they are excluded
