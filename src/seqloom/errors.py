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
    ├── TokenizerError       a tokenizer cannot be trained, stored or loaded
    ├── ModelError           a model cannot be built, stored or loaded
    ├── TrainingError        training cannot start, continue or finish
    │   └── CheckpointError  ... because of a checkpoint
    ├── EvaluationError      a model cannot be scored
    ├── RegistryError        the tracking server or the model registry cannot do what was requested
    │   └── SilentError      ... because it does not answer
    └── ReproductionError    a registered model cannot be rebuilt, or the result differs
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


class ReproductionError(SeqloomError):
    """A registered model cannot be rebuilt, or the rebuilt model differs."""


class SilentError(RegistryError):
    """The tracking server or its database does not answer; a later attempt may succeed."""
