"""The settings of the gate: the conditions for a version to replace the champion."""

from typing import Annotated

from pydantic import Field

from seqloom.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]
Points = Annotated[float, Field(ge=0)]  # on the scale of scores, 0 to 100
Times = Annotated[float, Field(ge=1)]


class GateSettings(Settings):
    """The bounds of the gate. Null switches a rule off."""

    # significance level at which the leading score must be better, by paired bootstrap resampling
    p: Annotated[float, Field(gt=0, lt=1)]
    max_chrf_drop: Points | None = 0.0  # points of chrF that may be lost
    max_placeholder_drop: Share | None = 0.0  # share of the segments that keep all placeholders that may be lost
    max_direction_drop: Points | None = 1.0  # points of the leading score that any direction of several may lose
    # points of the leading score that the new version's export may lose to torch; a larger loss that is not significant
    # (see p) is only remarked on
    max_export_drop: Points | None = 1.0
    max_bucket_drop: Points | None = 3.0  # points of the leading score that any bucket of source lengths may lose
    min_bucket_segments: Annotated[int, Field(ge=1, le=10**9)] = 100  # smaller buckets are not compared
    max_empty: Share = 0.02  # largest share of segments for which the new version writes nothing
    max_slowdown: Times | None = 1.5  # largest ratio of translation times, new to old
    max_growth: Times | None = 2.0  # largest ratio of model sizes, new to old
    # largest share of test segments that may be left out because the champion was trained on their text
    max_shared: Share = 0.05
