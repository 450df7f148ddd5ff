from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from seqloom.serving.engine import Engine
from tests.export.conftest import model_folder
from tests.export.networks import LEARNT

__all__ = ["model_folder"]  # a fixture


def test_one_batch_is_prepared_while_another_is_searched_with_an_export(model_folder: Path) -> None:
    assert Engine.load(model_folder, "cpu").lanes == 2
    assert Engine.on_torch(model_folder, "cpu").lanes == 1


def test_a_small_network_without_an_export_takes_one_core(model_folder: Path) -> None:
    assert Engine.on_torch(model_folder, "cpu").small
    assert not Engine.load(model_folder, "cpu").small


def test_as_many_threads_as_there_are_lanes_translate_the_same(model_folder: Path) -> None:
    engine = Engine.load(model_folder, "cpu")
    (direction,) = engine.directions
    batches = [[f"{source}\n{source}", source] for source, _ in LEARNT] * 5
    expected = [engine.translate(batch, direction, 1) for batch in batches]
    together = Barrier(engine.lanes)

    def all_of(part: list[list[str]]) -> list[object]:
        together.wait(60)
        return [engine.translate(batch, direction, 1) for batch in part]

    with ThreadPoolExecutor(engine.lanes) as threads:
        calls = [threads.submit(all_of, batches) for _ in range(engine.lanes)]
        assert [call.result() for call in calls] == [expected] * engine.lanes
