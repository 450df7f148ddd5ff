"""The files of the leaderboard: results of systems on a test set, and significance of differences between systems.

A file is written once and never changed, so that nothing is computed twice. Files are named
`<test set>/<system>.json` and `<test set>/pairs/<system>-<other>.json`, where each part is the first 16 digits of a
SHA-256: of the test set, a run's fingerprint, or the texts of an external system. Each file contains the SHA-256 of its
content.
Files contain no paths, so a team can commit them.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from seqloom.errors import RegistryError
from seqloom.evaluation.scores import Score
from seqloom.evaluation.settings import LEADING, Task
from seqloom.settings import Settings

_PAIRS, _OWN_HASH = "pairs", "sha256"
_DIGITS = 16  # of a SHA-256 in file names
_Hash = Field(pattern=r"^[0-9a-f]{64}$")


class StoredScore(Settings):
    """A score with its 95% interval and signature."""

    score: float
    low: float
    high: float
    signature: str

    @classmethod
    def of(cls, score: Score) -> "StoredScore":
        """Return a score as a record."""
        return cls(**score._asdict())


class SystemResult(Settings):
    """The scores of a system on a test set, and other facts that were recorded with them."""

    format: Literal[1] = 1
    kind: Literal["run", "external"]
    name: str = Field(min_length=1)  # of the run or external system
    experiment: str | None = None
    model: str | None = None  # the registered model and version, if it was registered by then
    version: str | None = None
    fingerprint: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    hypotheses_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    test_sha256: str = _Hash
    task: Task
    segments: int
    scores: dict[str, StoredScore]
    by_direction: dict[str, dict[str, StoredScore]] = Field(default_factory=dict)
    params_sha256: str | None = None
    commit: str | None = None
    device: str | None = None
    parameters: int | None = None
    size_bytes: int | None = None  # of the model folder
    costs: dict[str, float] = Field(default_factory=dict)  # from the tags cost.* of the run
    segments_per_s: float | None = None  # of decoding
    training_tokens_per_s: float | None = None
    hypotheses: list[str] | None = None  # of an external system, so that it can be compared with future champions

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if LEADING[self.task] not in self.scores:
            raise ValueError(f"has no score {LEADING[self.task]}")
        if not self.key:
            raise ValueError("has neither fingerprint nor hypotheses_sha256")
        return self

    @property
    def key(self) -> str:
        """The SHA-256 that identifies the system."""
        return self.fingerprint or self.hypotheses_sha256 or ""

    @property
    def stem(self) -> str:
        """The name of the file, without its suffix."""
        return self.key[:_DIGITS]

    @property
    def leader(self) -> StoredScore:
        """The leading score, by which systems are ranked."""
        return self.scores[LEADING[self.task]]


class StoredDifference(Settings):
    """The difference of two systems in the leading score, with paired bootstrap resampling (Koehn 2004)."""

    format: Literal[1] = 1
    test_sha256: str = _Hash
    ours: str = _Hash
    theirs: str = _Hash
    metric: str
    signature: str
    gain: float  # ours minus theirs
    low: float  # to high: the middle 95% of the resampled differences
    high: float
    p: float

    @property
    def stem(self) -> str:
        """The name of the file, without its suffix."""
        return f"{self.ours[:_DIGITS]}-{self.theirs[:_DIGITS]}"


_Record = TypeVar("_Record", SystemResult, StoredDifference)


def texts_hash(texts: Sequence[str]) -> str:
    """Return the SHA-256 of the texts, each followed by a line feed."""
    return hashlib.sha256("".join(f"{text}\n" for text in texts).encode()).hexdigest()


def read_results(place: Path) -> list[SystemResult]:
    """Return all results in a folder. Raises `RegistryError` if a file is not valid or was modified."""
    return [_read(file, SystemResult, file.parent.name, file.stem) for file in _files(place)]


def read_difference(place: Path, test: str, ours: str, theirs: str) -> StoredDifference | None:
    """Return the recorded difference of two systems, or None. Raises `RegistryError` like `read_results`."""
    file = _pair_file(place, test, ours, theirs)
    return _read(file, StoredDifference, test[:_DIGITS], file.stem) if file.is_file() else None


def write_result(place: Path, result: SystemResult) -> None:
    """Write a result, unless one of the same system and test set exists."""
    _write(place / result.test_sha256[:_DIGITS] / f"{result.stem}.json", result)


def write_difference(place: Path, pair: StoredDifference) -> None:
    """Write a difference, unless one of the same systems and test set exists."""
    _write(_pair_file(place, pair.test_sha256, pair.ours, pair.theirs), pair)


def _files(place: Path) -> Iterator[Path]:
    yield from sorted(place.glob("*/*.json"))


def _pair_file(place: Path, test: str, ours: str, theirs: str) -> Path:
    return place / test[:_DIGITS] / _PAIRS / f"{ours[:_DIGITS]}-{theirs[:_DIGITS]}.json"


def _read(file: Path, kind: type[_Record], folder: str, stem: str) -> _Record:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it is not a JSON object")
        own = content.pop(_OWN_HASH, None)
        record = kind.model_validate_json(json.dumps(content))
        named = (record.test_sha256[:_DIGITS], record.stem) == (folder, stem)
    except ValidationError as error:
        raise _refusal(file, f"is not a leaderboard record ({_reason(error)})") from error
    except (OSError, ValueError) as error:
        raise _refusal(file, f"cannot be read as a leaderboard record ({error})") from error
    if not named or own != _hash(content):
        raise _refusal(file, "was changed after it was written: its content does not match its name and SHA-256")
    return record


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return ": ".join([*map(str, first["loc"]), first["msg"]])


def _refusal(file: Path, fault: str) -> RegistryError:
    return RegistryError(f"{file}: {fault}; restore it from Git, or delete it and run `seqloom leaderboard` again")


def _write(file: Path, record: SystemResult | StoredDifference) -> None:
    if file.exists():
        return
    content = record.model_dump(mode="json", exclude_none=True)
    content[_OWN_HASH] = _hash(content)
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=".part-", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        Path(beside).chmod(0o644)
        try:
            os.link(beside, file)  # unlike a rename, a link never replaces a file
        except FileExistsError:
            pass  # another process wrote the same result
        except OSError:  # a file system without hard links
            Path(beside).replace(file)
    finally:
        Path(beside).unlink(missing_ok=True)


def _hash(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
