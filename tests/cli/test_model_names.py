from pathlib import Path

import pytest

from seqloom.cli.model_names import default_model
from seqloom.errors import ParamsError

TEXT = (Path(__file__).resolve().parents[2] / "params.yaml").read_text(encoding="utf-8")


def test_the_model_name_is_read_even_if_other_sections_are_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(TEXT.replace("max_steps: 2400", "max_steps: 5"), encoding="utf-8")
    assert default_model() == "seqloom-en-de"
    Path("params.yaml").write_text(TEXT.replace("source: en", "source: English", 1), encoding="utf-8")
    with pytest.raises(ParamsError, match=r"languages\.source"):
        default_model()
