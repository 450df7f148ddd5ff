"""The settings of the gate: what a version must show beside the champion to take its place."""

from typing import Annotated

from pydantic import Field

from seqloom.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]
Points = Annotated[float, Field(ge=0)]  # of a score from 0 to 100
Times = Annotated[float, Field(ge=1)]


class GateSettings(Settings):
    """Every bound of the gate. One that is null switches its rule off."""

    p: Annotated[float, Field(gt=0, lt=1)]  # the leading score is better by paired bootstrap resampling, at this level
    max_chrf_drop: Points | None = 0.0
    max_placeholder_drop: Share | None = 0.0  # of the segments that keep all of their placeholders
    max_direction_drop: Points | None = 1.0  # of the leading score, in any direction of several
    max_bucket_drop: Points | None = 3.0  # of the leading score, in any bucket of evaluate.length_buckets ...
    # ... that has so many segments: of fewer a score says little
    min_bucket_segments: Annotated[int, Field(ge=1, le=10**9)] = 100
    max_empty: Share = 0.02  # of the segments, for which the new version writes nothing
    max_slowdown: Times | None = 1.5  # seconds that translation takes, against the champion's
    max_growth: Times | None = 2.0  # bytes of the model, against the champion's
    max_shared: Share = 0.05  # of the test segments, whose text the champion was trained on; they are left out
