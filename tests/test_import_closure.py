from importlib.metadata import version
from pathlib import Path

import pytest

from seqloom.import_closure import PACKAGE, closure, libraries

SOURCES = {
    "stages/a.py": "import seqloom.core.b\nfrom seqloom import errors\nfrom seqloom.params import Params\nimport numpy",
    "core/b.py": "def late():\n    from seqloom.core import c\n    import yaml.nodes, json, no_such_library",
    "core/c.py": "from seqloom.core.d import name\nfrom seqloom.core.b import late",
    "core/d.py": "if False:\n    from torch.nn import functional",
    "core/idle.py": "",
    "errors.py": "from seqloom.core.idle import x",  # exempt, and so is what only this module imports
    "params.py": "",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name, text in SOURCES.items():
        file = tmp_path / "seqloom" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tmp_path / "seqloom"


def test_the_closure_includes_indirect_imports(package: Path) -> None:
    found = closure("seqloom.stages.a", package)
    assert {name.removeprefix("seqloom.") for name in found} == {"stages.a", "core.b", "core.c", "core.d"}
    assert found["seqloom.core.c"] == package / "core" / "c.py"


def test_files_beside_the_package_are_not_followed(package: Path) -> None:
    (package.parent / "numpy.py").write_text("import seqloom.core.idle")
    assert closure("numpy", package) == {}
    assert len(closure("seqloom.stages.a", package)) == 4


def test_libraries_are_third_party_distributions(package: Path) -> None:
    files = closure("seqloom.stages.a", package).values()
    assert libraries(files) == {name: version(name) for name in ("numpy", "PyYAML", "torch")}
    assert libraries(files, also=["sacrebleu", "no-such-library"]).keys() == {"numpy", "PyYAML", "torch", "sacrebleu"}


def test_a_relative_import_is_an_error(package: Path) -> None:
    (package / "core" / "c.py").write_text("from . import d")
    with pytest.raises(AssertionError, match="relative imports are not followed"):
        closure("seqloom.stages.a", package)


def test_the_installed_package_is_read_by_default() -> None:
    assert closure("seqloom.languages") == {"seqloom.languages": PACKAGE / "languages.py"}


@pytest.mark.parametrize("name", ["a_library", "zlibrary"])  # before and after "seqloom"
def test_a_library_beside_the_package_is_not_followed(package: Path, name: str) -> None:
    (package.parent / f"{name}.py").write_text("import seqloom.core.idle")
    assert closure(name, package) == {}
