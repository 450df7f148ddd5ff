"""What a person can get wrong, drawn as a tree. This module imports nothing.

Every error that a user can cause derives from `SeqloomError`; its message is one sentence or two that say what was
wrong, where it stands (file, line, field) and what is valid. The command line and the stages print that message
alone; anything else that is raised is a defect of seqloom and keeps its traceback.

    SeqloomError
    ├── ParamsError          params.yaml: unknown key, wrong type, impossible combination
    ├── SourceError          a corpus cannot be fetched
    │   ├── OfflineError     ... because the network is absent or refuses
    │   ├── HashError        ... because it is not what the pinned sha256 says
    │   └── ArchiveError     ... because the archive is broken or unsafe to open
    ├── FormatError          a line or entry of a corpus cannot be read
    ├── CorpusError          the corpus as a whole is unusable (empty after cleaning, leaking)
    ├── TokenizerError       a tokenizer cannot be trained or loaded
    ├── ModelError           a model cannot be built or loaded
    ├── TrainingError        training cannot start, continue or finish
    │   └── CheckpointError  ... because of a checkpoint
    ├── EvaluationError      a model cannot be scored
    ├── RegistryError        the tracking server or the registry refuses
    │   └── SilentError      ... because it does not answer
    └── ReproductionError    a registered model cannot be made again, or is another one then
"""


class SeqloomError(Exception):
    """Base of everything that a person can put right."""


class ParamsError(SeqloomError):
    """A setting is unknown, of the wrong type, out of range or at odds with another."""


class SourceError(SeqloomError):
    """A corpus cannot be fetched."""


class OfflineError(SourceError):
    """The network, or the host behind a source, cannot be reached."""


class HashError(SourceError):
    """A fetched file is not the one that its sha256 names."""


class ArchiveError(SourceError):
    """An archive is truncated, corrupt or unsafe to extract."""


class FormatError(SeqloomError):
    """A line or an entry of a corpus file cannot be read."""


class CorpusError(SeqloomError):
    """The corpus as a whole cannot be used."""


class TokenizerError(SeqloomError):
    """A tokenizer cannot be trained, stored or loaded."""


class ModelError(SeqloomError):
    """A model cannot be built, stored or loaded."""


class TrainingError(SeqloomError):
    """Training cannot start, go on or finish."""


class CheckpointError(TrainingError):
    """A checkpoint is missing, broken or belongs to another run."""


class EvaluationError(SeqloomError):
    """A model cannot be scored."""


class RegistryError(SeqloomError):
    """The tracking server or the model registry cannot do what was asked."""


class ReproductionError(SeqloomError):
    """A registered model cannot be made again, or what was made is another one."""


class SilentError(RegistryError):
    """The tracking server or its database does not answer; another try may help."""
