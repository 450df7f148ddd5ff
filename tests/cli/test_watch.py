import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from seqloom.cli import main as cli
from seqloom.params import load_params
from tests.records import tree


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a local corpus file and a package index with two versions."""
    monkeypatch.chdir(tmp_path)
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIP_CONSTRAINT", "SEQLOOM_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    index = tmp_path / "index"
    index.mkdir()
    for version in ("1.0", "1.1"):
        with zipfile.ZipFile(index / f"tiny_words-{version}-py3-none-any.whl", "w") as wheel:
            info = f"tiny_words-{version}.dist-info/"
            wheel.writestr(info + "METADATA", f"Metadata-Version: 2.1\nName: tiny-words\nVersion: {version}\n")
            wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(info + "RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    (tmp_path / "data" / "local").mkdir(parents=True)
    (tmp_path / "data" / "local" / "mine.tsv").write_text("one\teins\n")
    return tmp_path


MINE = {"kind": "file", "path": "data/local/mine.tsv", "format": "tsv"}
WORDS = {
    "kind": "package", "package": "tiny-words", "version": "1.0", "sha256": "0" * 64, "watch": ">=1",
    "format": "json_catalogue", "members": "{group}/{lang}.json",
}  # fmt: skip
DEAD = {"kind": "git", "repository": "/nowhere/x", "commit": "0" * 40, "branch": "main", "format": "tsv"}


def write(clone: Path, **corpora: Any) -> Path:
    file = clone / "params.yaml"
    text = yaml.safe_dump({**tree(), "corpora": corpora}, sort_keys=False)
    file.write_text(f"# mine\n{text}", encoding="utf-8")
    return file


def test_new_data_are_printed_and_pinned(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(clone, mine=MINE, words=WORDS)
    before = file.read_text(encoding="utf-8")
    cli.main(["watch", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert [(each["corpus"], each["kind"], each["changed"]) for each in said["sources"]] == [
        ("mine", "file", True), ("words", "package", True),
    ]  # fmt: skip
    assert set(said["sources"][0]) == {"corpus", "kind", "changed", "known", "found", "why"}
    assert (said["changed"], said["pinned"]) == (True, [])
    assert file.read_text(encoding="utf-8") == before

    cli.main(["watch", "--json", "--pin"])
    assert json.loads(capsys.readouterr().out)["pinned"] == ["words"]
    words = load_params(file).corpora["words"]
    wheel = clone / "index" / "tiny_words-1.1-py3-none-any.whl"
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert (words.version, words.sha256) == ("1.1", sha256)  # type: ignore[union-attr]
    assert (clone / "scratch" / "downloads" / sha256[:16] / wheel.name).exists()
    after = file.read_text(encoding="utf-8").splitlines()
    assert after[0] == "# mine"
    differing = [new.split()[0] for old, new in zip(before.splitlines(), after, strict=True) if old != new]
    assert differing == ["version:", "sha256:"]

    cli.main(["watch", "--pin"])
    assert "pinned" not in capsys.readouterr().out.splitlines()[-1].split()[0]


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"repository": "/nowhere/x"}, 1), ({"repository": "http://127.0.0.1:9/x"}, 75)],
)
def test_nothing_is_pinned_if_a_source_cannot_be_checked(
    clone: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    status: int,
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    file = write(clone, words=WORDS, dead={**DEAD, **changes})
    before = file.read_bytes()
    with pytest.raises(SystemExit) as left:
        cli.main(["watch", "--json", "--pin"])
    assert left.value.code == status
    printed = capsys.readouterr()
    assert [each["corpus"] for each in json.loads(printed.out)["sources"]] == ["words"]
    assert printed.err.startswith("seqloom: error: dead: ")
    assert file.read_bytes() == before
