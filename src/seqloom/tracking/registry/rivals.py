"""Other systems on the leaderboard: a file with their translation of a test set, scored as a run's is."""

from pathlib import Path
from typing import NamedTuple

from seqloom.errors import EvaluationError
from seqloom.evaluation.scoring import score
from seqloom.evaluation.segments import Segments
from seqloom.evaluation.settings import EvaluateSettings
from seqloom.tracking.registry.leaderboard_records import Measured, Result, texts_hash

_LONGEST = 60  # characters of a name


class Rival(NamedTuple):
    """A system and what it wrote, one text per segment of the test set."""

    name: str
    hypotheses: list[str]
    file: str


def read_rival(named: str) -> Rival:
    """Read `NAME=FILE`, a UTF-8 file with one translation per line; an empty line is an empty translation.

    Raises:
        EvaluationError: it has another form, or the file cannot be read or is not UTF-8.
    """
    name, equals, file = named.partition("=")
    name = name.strip()
    if not (equals and name and file and name.isprintable()) or len(name) > _LONGEST:
        raise EvaluationError(
            f"--rival {named}: must be NAME=FILE, with a name of at most {_LONGEST} printable characters"
        )
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise EvaluationError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise EvaluationError(f"{file}: line {line} is not UTF-8; save the file as UTF-8") from error
    # Not splitlines: a translation may hold U+2028 and the like.
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []
    return Rival(name, lines, file)


def score_rival(rival: Rival, test: Segments, like: Result, settings: EvaluateSettings) -> Result:
    """Score a rival on the test set of the run `like`, by the metrics of its task.

    Args:
        rival: the system.
        test: the test set; its hypotheses are not used.
        like: the result of a run on it.
        settings: how that run was resampled.

    Raises:
        EvaluationError: the file has another number of lines than the test set has segments.
    """
    if len(rival.hypotheses) != like.segments:
        raise EvaluationError(
            f"{rival.file}: has {len(rival.hypotheses):,} lines, the test set {like.segments:,} segments; it needs one "
            "translation per line, in the order of the test set (`cut -f1 data/corpus/test.tsv`, without its head)"
        )
    scores = score(test._replace(hypotheses=rival.hypotheses), task=like.task, settings=settings)
    several = scores.directions if len(scores.directions) > 1 else {}
    return Result(
        kind="rival",
        name=rival.name,
        hypotheses_sha256=texts_hash(rival.hypotheses),
        test_sha256=like.test_sha256,
        task=like.task,
        segments=like.segments,
        scores={name: Measured.of(each) for name, each in scores.scores.items()},
        by_direction={
            str(direction): {name: Measured.of(each) for name, each in found.scores.items()}
            for direction, found in several.items()
        },
        hypotheses=rival.hypotheses,
    )
