"""The base of every record that params.yaml fills. It knows nothing of files.

A setting is a typed field beside the code that owns it (`corpus/settings.py`, `training/settings.py`, ...);
`params.py` puts the records together and reads the file. Records have no defaults, so that every number that shapes a
result stands in params.yaml and a change of these modules alone can never change a result.
"""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A frozen, strict record: unknown keys and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
