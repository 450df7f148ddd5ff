"""Files of the leaderboard: what a system scored on a test set, and how sure a difference between two systems is.

A file is written once and never changed, so nothing on a leaderboard is computed twice. Its name is its key:
`<test set>/<system>.json` and `<test set>/pairs/<system>-<other>.json`, each the first 16 digits of a SHA-256. A run is
keyed by its fingerprint, another system by the hash of its texts. Each file also holds a SHA-256 of its own content.
No file holds a path, so a team can commit them. This module computes no score.
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
_DIGITS = 16  # of a SHA-256, in names of files
_Hash = Field(pattern=r"^[0-9a-f]{64}$")


class StoredScore(Settings):
    """A score with its 95% interval, and how it was counted."""

    score: float
    low: float
    high: float
    signature: str

    @classmethod
    def of(cls, score: Score) -> "StoredScore":
        """The same score as a record."""
        return cls(**score._asdict())


class Result(Settings):
    """What a system scored on a test set, and what was known of it when it was entered."""

    format: Literal[1] = 1
    kind: Literal["run", "rival"]
    name: str = Field(min_length=1)  # of the run, or as the rival was called
    experiment: str | None = None
    model: str | None = None  # the registered model and version, if it was one by then
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
    costs: dict[str, float] = Field(default_factory=dict)  # as the tags cost.* of the run have them
    segments_per_s: float | None = None  # of decoding
    training_tokens_per_s: float | None = None
    hypotheses: list[str] | None = None  # of a rival, so that it can be compared with later champions

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if LEADING[self.task] not in self.scores:
            raise ValueError(f"has no score {LEADING[self.task]}")
        if not self.key:
            raise ValueError("has neither fingerprint nor hypotheses_sha256")
        return self

    @property
    def key(self) -> str:
        """The SHA-256 that names the system."""
        return self.fingerprint or self.hypotheses_sha256 or ""

    @property
    def stem(self) -> str:
        """The name of its file."""
        return self.key[:_DIGITS]

    @property
    def leader(self) -> StoredScore:
        """The score that decides which of two systems is better."""
        return self.scores[LEADING[self.task]]


class StoredDifference(Settings):
    """The difference of two systems in the leading score, by paired bootstrap resampling."""

    format: Literal[1] = 1
    test_sha256: str = _Hash
    ours: str = _Hash
    theirs: str = _Hash
    metric: str
    signature: str
    gain: float  # ours less theirs
    low: float  # the middle 95% of the resampled differences
    high: float
    p: float

    @property
    def stem(self) -> str:
        """The name of its file."""
        return f"{self.ours[:_DIGITS]}-{self.theirs[:_DIGITS]}"


_Record = TypeVar("_Record", Result, StoredDifference)


def texts_hash(texts: Sequence[str]) -> str:
    """SHA-256 over the texts, each followed by a line feed."""
    return hashlib.sha256("".join(f"{text}\n" for text in texts).encode()).hexdigest()


def read_results(place: Path) -> list[Result]:
    """Every result in the folder. Raises `RegistryError` for a file that is not what its name says."""
    return [_read(file, Result, file.parent.name, file.stem) for file in _files(place)]


def read_difference(place: Path, test: str, ours: str, theirs: str) -> StoredDifference | None:
    """The stored difference of two systems, or None. Raises `RegistryError` as `read_results` does."""
    file = _pair_file(place, test, ours, theirs)
    return _read(file, StoredDifference, test[:_DIGITS], file.stem) if file.is_file() else None


def write_result(place: Path, result: Result) -> None:
    """Write a result, unless there is one of the same system and test set."""
    _write(place / result.test_sha256[:_DIGITS] / f"{result.stem}.json", result)


def write_difference(place: Path, pair: StoredDifference) -> None:
    """Write a difference, unless there is one of the same two systems and test set."""
    _write(_pair_file(place, pair.test_sha256, pair.ours, pair.theirs), pair)


def _files(place: Path) -> Iterator[Path]:
    yield from sorted(place.glob("*/*.json"))


def _pair_file(place: Path, test: str, ours: str, theirs: str) -> Path:
    return place / test[:_DIGITS] / _PAIRS / f"{ours[:_DIGITS]}-{theirs[:_DIGITS]}.json"


def _read(file: Path, kind: type[_Record], folder: str, stem: str) -> _Record:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it holds no object")
        own = content.pop(_OWN_HASH, None)
        record = kind.model_validate_json(json.dumps(content))
        named = (record.test_sha256[:_DIGITS], record.stem) == (folder, stem)
    except ValidationError as error:
        raise _refusal(file, f"is no record of the leaderboard ({_reason(error)})") from error
    except (OSError, ValueError) as error:
        raise _refusal(file, f"cannot be read as a record of the leaderboard ({error})") from error
    if not named or own != _hash(content):
        raise _refusal(file, "was changed after it was written: its content does not match its name and SHA-256")
    return record


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return ": ".join([*map(str, first["loc"]), first["msg"]])


def _refusal(file: Path, said: str) -> RegistryError:
    return RegistryError(f"{file}: {said}; restore it from Git, or delete it and run `seqloom leaderboard` again")


def _write(file: Path, record: Result | StoredDifference) -> None:
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
            os.link(beside, file)  # which, other than a rename, never replaces a file
        except FileExistsError:
            pass  # another process was faster; what a system scored is the same for both
        except OSError:  # a file system without links
            Path(beside).replace(file)
    finally:
        Path(beside).unlink(missing_ok=True)


def _hash(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
