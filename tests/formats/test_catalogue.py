import pytest

from seqloom.formats.catalogue import FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_the_functions_that_the_table_names_exist(name: str) -> None:
    chosen = FORMATS[name]
    assert callable(chosen.read)
    assert callable(chosen.declared)
    assert chosen.write is None or callable(chosen.write)
