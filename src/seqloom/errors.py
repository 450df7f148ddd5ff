"""The errors that a user can cause. This module imports nothing.

All of them derive from `SeqloomError`. The message says what is wrong, where (file, line, field) and what is valid.
The command line and the stages print only the message; any other exception is a bug in seqloom and keeps its
traceback.

    SeqloomError
    ├── ParamsError          params.yaml: unknown key, wrong type, impossible combination
    ├── SourceError          a corpus cannot be fetched
    │   ├── OfflineError     ... because the network or the host cannot be reached
    │   ├── HashError        ... because its content does not match the pinned sha256
    │   └── ArchiveError     ... because the archive is broken or unsafe to extract
    ├── FormatError          a line or entry of a corpus file cannot be read
    ├── DocumentError        a document cannot be translated, or not be written
    ├── CorpusError          the corpus as a whole cannot be used (empty after cleaning, leaking)
    ├── ShardError           a folder of shards is broken, or work on some of its shards failed
    ├── TokenizerError       a tokenizer cannot be trained, stored or loaded
    ├── ModelError           a model cannot be built, stored or loaded
    ├── TrainingError        training cannot start, continue or finish
    │   └── CheckpointError  ... because of a checkpoint
    ├── EvaluationError      a model cannot be scored
    ├── RegistryError        the tracking server or the model registry cannot do what was requested
    │   └── SilentError      ... because it does not answer
    ├── LockedError          files cannot be removed, because another process uses them
    ├── ReproductionError    a registered model cannot be rebuilt, or the result differs
    └── ServingError         a request to `seqloom serve` is refused
        ├── RequestError     ... because a field is missing, of the wrong type or out of range
        ├── DirectionError   ... because no model that is served translates in that direction
        ├── TooLongError     ... because it exceeds a limit
        ├── AccessError      ... because its key is missing or wrong, or the feature is switched off
        ├── RateError        ... because its sender exceeded the rate that is allowed
        └── BusyError        ... because the queue is full
"""


class SeqloomError(Exception):
    """Base class of all errors that a user can fix."""


class ParamsError(SeqloomError):
    """A setting is unknown, of the wrong type, out of range or in conflict with another."""


class SourceError(SeqloomError):
    """A corpus cannot be fetched."""


class OfflineError(SourceError):
    """The network or a source's host cannot be reached."""


class HashError(SourceError):
    """A fetched file does not match its pinned sha256."""


class ArchiveError(SourceError):
    """An archive is truncated, corrupt or unsafe to extract."""


class FormatError(SeqloomError):
    """A line or an entry of a corpus file cannot be read."""


class DocumentError(SeqloomError):
    """A document cannot be translated, or its translation cannot be written."""


class CorpusError(SeqloomError):
    """The corpus as a whole cannot be used."""


class ShardError(SeqloomError):
    """A folder of shards cannot be read, or work on some shards failed."""


class TokenizerError(SeqloomError):
    """A tokenizer cannot be trained, stored or loaded."""


class ModelError(SeqloomError):
    """A model cannot be built, stored or loaded."""


class TrainingError(SeqloomError):
    """Training cannot start, continue or finish."""


class CheckpointError(TrainingError):
    """A checkpoint is missing, broken or belongs to another run."""


class EvaluationError(SeqloomError):
    """A model cannot be scored."""


class RegistryError(SeqloomError):
    """The tracking server or the model registry cannot do what was requested."""


class LockedError(SeqloomError):
    """Another process uses the files of the clone; a later attempt may succeed."""


class ReproductionError(SeqloomError):
    """A registered model cannot be rebuilt, or the rebuilt model differs."""


class SilentError(RegistryError):
    """The tracking server or its database does not answer; a later attempt may succeed."""


class ServingError(SeqloomError):
    """A request to the server is refused."""


class RequestError(ServingError):
    """A field of a request is missing, of the wrong type or out of range."""


class DirectionError(ServingError):
    """No model that is served translates in the direction of a request."""


class TooLongError(ServingError):
    """A request exceeds a limit: characters, texts or alternatives."""


class AccessError(ServingError):
    """The key of a request is missing or wrong, or the feature is switched off."""


class _LaterError(ServingError):
    """A request is refused now; it may succeed in `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateError(_LaterError):
    """The sender of a request exceeded the rate that is allowed."""


class BusyError(_LaterError):
    """The queue of the server is full."""
