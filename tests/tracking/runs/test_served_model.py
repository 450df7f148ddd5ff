"""The registered model, loaded by MLflow from its name, also without the source tree."""

import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seqloom import places
from seqloom.tracking.client.library import MlflowException, mlflow
from seqloom.tracking.client.store import connect
from seqloom.tracking.registry.versions import Reference, fetch_model
from seqloom.translation.texts import TextTranslator
from tests.no_network.sitecustomize import NO_NETWORK
from tests.workspaces import REPOSITORY, give_registered, spoil

URI = "models:/seqloom-en-de@champion"
TEXTS = ["Turn on the light", "", "Hello {name}, the light is on in the kitchen"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        give_registered(root)
        yield root


@pytest.fixture(scope="module")
def expected(workspace: Path) -> list[str]:
    folder = fetch_model(connect(workspace, create=False), Reference("seqloom-en-de", alias="champion"))
    assert folder != workspace / places.CANDIDATE
    translations = _texts(TextTranslator.load(folder))
    assert translations == _texts(TextTranslator.load(workspace / places.CANDIDATE, search=_search(folder)))
    assert translations[1] == ""
    assert translations[0]
    return translations


def _texts(translator: TextTranslator) -> list[str]:
    return [found.text for found in translator.translate(TEXTS)]


def _search(folder: Path) -> Any:
    from seqloom.decoding.settings import SearchSettings

    return SearchSettings.model_validate(json.loads((folder / "search.json").read_text()))


@pytest.fixture(scope="module")
def model(workspace: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # loading must not warn
        return mlflow.pyfunc.load_model(URI)


@pytest.mark.parametrize(
    "texts",
    [
        TEXTS,
        np.array(TEXTS),
        np.array(TEXTS, dtype=object),
        pd.Series(TEXTS),
        pd.DataFrame({"source": TEXTS}),
        pd.DataFrame({"source": TEXTS}, index=[7, 5, 3]),
        pd.DataFrame({"source": TEXTS, "id": [1, 2, 3]}),
        pd.DataFrame({"source": TEXTS}, dtype=object),
    ],
    ids=["list", "array", "objects", "series", "frame", "index", "columns", "object frame"],
)
def test_lists_and_frames_are_translated(model: Any, expected: list[str], texts: Any) -> None:
    assert model.predict(texts) == expected


def test_a_frame_without_rows_gives_an_empty_list(model: Any) -> None:
    assert model.predict(pd.DataFrame({"source": pd.Series([], dtype=str)})) == []


def test_another_column_is_translated_with_one_warning(
    model: Any, expected: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        assert model.predict(pd.DataFrame({"text": TEXTS})) == expected
    (record,) = caplog.records
    assert "'text'" in record.message


def test_the_search_can_be_changed_for_a_call(model: Any, workspace: Path, expected: list[str]) -> None:
    folder = fetch_model(connect(workspace, create=False), Reference("seqloom-en-de", alias="champion"))
    greedy = TextTranslator.load(folder, search=_search(folder).model_copy(update={"beam": 1, "length_penalty": 0.0}))
    params = {"beam": 1, "length_penalty": 0.0, "language": "de"}
    assert model.predict(TEXTS, params=params) == _texts(greedy)
    assert model.predict(TEXTS) == expected


@pytest.mark.parametrize(
    ("texts", "params", "message"),
    [
        (["a", None], {}, "row 1, counted from 0, is null; every row must be a string"),
        ([None], {}, "row 0, counted from 0, is null; every row must be a string"),
        (pd.DataFrame({"source": ["a", np.nan]}), {}, "row 1, counted from 0, is null; every row must be a string"),
        (
            pd.Series(["a", "b", pd.NA], index=[7, 5, 3]),
            {},
            "row 2, counted from 0, is null; every row must be a string",
        ),
        (["a", 1], {}, "row 1, counted from 0, is 1; every row must be a string"),
        (["a"], {"beam": 0}, "params: beam is 0: Input should be greater than or equal to 1"),
        (
            ["a"],
            {"beam": 999, "length_penalty": -1.0},
            "params: beam is 999: Input should be less than or equal to 256; "
            "length_penalty is -1.0: Input should be greater than or equal to 0",
        ),
    ],
)
def test_invalid_input_is_refused_with_one_line(model: Any, texts: Any, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        model.predict(texts, params=params)
    assert str(raised.value) == message
    assert raised.value.__suppress_context__ or raised.value.__context__ is None  # no second traceback


@pytest.mark.parametrize(
    ("texts", "params", "message"),
    [
        (pd.DataFrame({"source": [1.5]}), {}, "Can not safely convert float64"),
        (["a"], {"beam": "wide"}, "Invalid parameters found.*beam"),
    ],
)
def test_other_types_are_refused_by_mlflow(model: Any, texts: Any, params: dict[str, Any], message: str) -> None:
    with pytest.raises(MlflowException, match=message):
        model.predict(texts, params=params)


def test_mlflow_ignores_an_unknown_param_with_a_warning(
    model: Any, expected: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("mlflow.models.utils")
    monkeypatch.setattr(logging.getLogger("mlflow"), "propagate", True)
    monkeypatch.setattr(logger, "disabled", False)
    with caplog.at_level(logging.WARNING, logger.name):
        assert model.predict(TEXTS, params={"beams": 5}) == expected
    assert any("Unrecognized params ['beams']" in record.getMessage() for record in caplog.records)


def test_an_unknown_param_is_refused_in_direct_calls(model: Any) -> None:
    with pytest.raises(ValueError, match=r"^params: beams is not known; valid are beam, length_penalty, language$"):
        model.unwrap_python_model().predict(None, pd.DataFrame({"source": ["a"]}), {"beams": 5})


def test_the_version_is_described(workspace: Path) -> None:
    info = mlflow.models.get_model_info(URI)
    assert [column.type.name for column in info.signature.inputs.inputs] == ["string"]
    assert {param.name: param.default for param in info.signature.params.params} == {
        "beam": 2, "length_penalty": 3.0, "language": ""
    }  # fmt: skip
    needed = Path(mlflow.pyfunc.get_model_dependencies(URI)).read_text().split()
    assert any(line.startswith("seqloom==") for line in needed)
    assert all("==" in line and "+" not in line for line in needed)


def test_nothing_is_pickled(workspace: Path) -> None:
    names = [path.name for path in (workspace / "mlartifacts").rglob("*") if path.is_file()]
    assert "served_model.py" in names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".pt", ".pth", ".bin"))]


ELSEWHERE = """
import sys
class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("dvc", "prefect", "polib", "matplotlib", "rich"):
            raise ImportError(name)
sys.meta_path.insert(0, Forbidden())
import json, mlflow, pandas
texts, elsewhere = json.loads(sys.argv[1]), sys.argv[2]
of_copy = mlflow.pyfunc.load_model("models:/seqloom-en-de@champion").predict(texts)
mlflow.set_tracking_uri(elsewhere)
import seqloom
model = mlflow.pyfunc.load_model("models:/seqloom-en-de@champion")
print(json.dumps([seqloom.__file__, of_copy, model.predict(texts), model.predict(pandas.DataFrame({"source": texts}))]))
"""


@pytest.fixture(scope="module")
def unpacked_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling, which builds the wheel, is not installed (`make test` installs it)")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("seqloom-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.mark.slow
@pytest.mark.drill
def test_a_clean_process_with_the_wheel_translates_and_reads_the_files_of_a_copy(
    workspace: Path, expected: list[str], unpacked_wheel: Path, tmp_path: Path
) -> None:
    original, copy = tmp_path / "original", tmp_path / "a copy"
    shutil.copytree(workspace, original)
    shutil.copytree(original, copy)
    spoil(original)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")} | {
        "PYTHONPATH": f"{NO_NETWORK}{os.pathsep}{unpacked_wheel}",
        "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, json.dumps(TEXTS), f"sqlite:///{workspace}/mlflow.db"],
        cwd=copy, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    package, of_copy, of_list, of_frame = json.loads(done.stdout.splitlines()[-1])
    assert Path(package).is_relative_to(unpacked_wheel)
    assert of_copy == of_list == of_frame == expected
