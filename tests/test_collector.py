import gc
from collections.abc import Iterator

import pytest

from seqloom.collector import importing


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    enabled = gc.isenabled()
    yield
    gc.unfreeze()
    (gc.enable if enabled else gc.disable)()


@pytest.mark.parametrize("enabled", [True, False])
def test_collection_is_restored_after_the_imports(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    with importing():
        assert not gc.isenabled()
    assert gc.isenabled() == enabled
    assert gc.get_freeze_count() > 0


def test_a_nested_block_leaves_collection_off() -> None:
    gc.enable()
    with importing():
        with importing():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_failed_import_restores_collection_and_exempts_nothing() -> None:
    gc.enable()
    before = gc.get_freeze_count()
    with pytest.raises(ImportError), importing():
        raise ImportError
    assert gc.isenabled()
    assert gc.get_freeze_count() == before
