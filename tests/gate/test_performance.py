import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seqloom.errors import ModelError
from seqloom.gate import performance
from seqloom.gate.performance import EvaluationSet, LoadedVersion, speeds
from seqloom.languages import Direction
from seqloom.translation.texts import TextTranslator

DE, FR = Direction("en", "de"), Direction("en", "fr")


class Echo:
    """A translator into the given languages that writes the language and the source; a text takes `seconds`."""

    def __init__(self, *directions: Direction, seconds: Sequence[float] = (), clock: list[float] | None = None) -> None:
        self.languages = SimpleNamespace(directions=directions)
        self.seconds, self.clock = iter(seconds), clock
        self.asked: list[list[str]] = []

    def translate(self, sources: list[str], listen: object, target: str) -> list[Any]:
        self.asked.append(sources)
        if self.clock is not None:
            self.clock[0] += next(self.seconds) * len(sources)
        return [SimpleNamespace(text=f"{target} {source}") for source in sources]


def version(translator: Any) -> LoadedVersion:
    return LoadedVersion(translator, 0)


def test_rows_of_an_evaluation_set_keep_their_parts_together() -> None:
    some = EvaluationSet(["a", "b", "c"], ["A", "B", "C"], [DE, FR, DE])
    assert some.take([2, 1]) == EvaluationSet(["c", "b"], ["C", "B"], [DE, FR])


def test_the_size_is_that_of_all_files_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TextTranslator, "load", lambda folder, device, engine: (folder, device))
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "weights").write_bytes(bytes(70))
    (tmp_path / "tokenizer" / "pieces").write_bytes(bytes(5))
    assert LoadedVersion.load(tmp_path, "cpu") == ((tmp_path, "cpu"), 75)


def test_each_source_is_translated_in_its_direction() -> None:
    assert version(Echo(DE, FR)).translate(["a", "b", "c"], [DE, FR, DE]) == ["de a", "fr b", "de c"]


def test_a_direction_that_the_model_lacks_is_named() -> None:
    others = [Direction("en", target) for target in ("fr", "cs", "de", "es")]
    with pytest.raises(ModelError, match=r"the model does not translate en-cs, en-de, en-es, en-fr$"):
        version(Echo(Direction("de", "en"))).translate(["a", "b", "c", "d"], others)


def test_the_fastest_round_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    one = Echo(DE, seconds=[0.5, 0.25, 1], clock=clock)
    other = Echo(DE, seconds=[0.125, 2, 2], clock=clock)
    assert speeds([version(one), version(other)], EvaluationSet(["a"] * 8, ["A"] * 8, [DE] * 8)) == [4, 8]
    assert len(one.asked) == len(other.asked) == performance.ROUNDS


@pytest.mark.parametrize(("segments", "measured"), [(1, 1), (399, 399), (400, 200), (1000, 200)])
def test_speed_is_measured_on_an_even_sample(segments: int, measured: int) -> None:
    echo = Echo(DE)
    sources = [str(number) for number in range(segments)]
    speeds([version(echo)], EvaluationSet(sources, sources, [DE] * segments))
    assert echo.asked[0] == sources[:: segments // measured]
