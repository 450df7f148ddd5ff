import hashlib
import os
import venv
import zipfile

import pytest

from seqloom.corpus.source_settings import PackageSource
from seqloom.corpus.sources.download_cache import DownloadCache
from seqloom.corpus.sources.package import fetch_package, is_wheel_of
from seqloom.errors import HashError, OfflineError, SourceError
from seqloom.progress import ignore

WHEEL = "tiny_words-1.0-py3-none-any.whl"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder with a wheel, as pip's only package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr("tiny_words/de.json", '{"a": "eins"}')
        info = "tiny_words-1.0.dist-info/"
        wheel.writestr(
            info + "METADATA", "Metadata-Version: 2.1\nName: tiny-words\nVersion: 1.0\nRequires-Python: >=99\n"
        )
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def source(sha256, version="1.0"):
    return PackageSource.model_validate(
        {
            "kind": "package", "format": "json_catalogue", "members": "{group}/{lang}.json",
            "package": "tiny-words", "version": version, "sha256": sha256,
        }
    )  # fmt: skip


def sha256_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_pip_fetches_a_wheel_for_any_python_version(index, into, downloads):
    reports = []
    fetch_package("c", source(sha256_of(index / WHEEL)), into, downloads, reports.append)
    assert (into / WHEEL).read_bytes() == (index / WHEEL).read_bytes()
    steps = [report for report in reports if report.task == "download c"]
    assert steps[-1].done == steps[-1].total == (index / WHEEL).stat().st_size
    folder = downloads.folder_of(sha256_of(index / WHEEL))
    assert [path.name for path in folder.iterdir()] == [WHEEL]  # no temporary folder is left


def test_a_second_fetch_needs_no_pip(index, into, downloads, tmp_path):
    wanted = source(sha256_of(index / WHEEL))
    fetch_package("c", wanted, into, downloads, ignore)
    again = tmp_path / "again"
    again.mkdir()
    fetch_package("c", wanted, again, downloads, ignore, python="/nowhere/python")
    assert (again / WHEEL).exists()


def test_the_mirror_needs_no_pip(index, into, tmp_path):
    fetch_package(
        "c", source(sha256_of(index / WHEEL)), into, DownloadCache(tmp_path / "d", index), ignore, "/nowhere/python"
    )
    assert (into / WHEEL).exists()


def test_a_wrong_hash_is_rejected(index, into, downloads):
    with pytest.raises(HashError, match=f"does not match the sha256 in .*{sha256_of(index / WHEEL)}, not 0000"):
        fetch_package("c", source("0" * 64), into, downloads, ignore)
    assert not list(into.iterdir())


def test_a_truncated_wheel_in_the_mirror_is_rejected(index, into, tmp_path):
    wanted = source(sha256_of(index / WHEEL))
    (index / WHEEL).write_bytes((index / WHEEL).read_bytes()[:-10])
    with pytest.raises(HashError, match=f"{WHEEL} does not match its pin .*incomplete"):
        fetch_package("c", wanted, into, DownloadCache(tmp_path / "d", index), ignore)


def test_an_unknown_version_is_an_error(index, into, downloads):
    with pytest.raises(SourceError, match=r"no wheel of tiny-words==2\.0; check the version"):
        fetch_package("c", source("0" * 64, version="2.0"), into, downloads, ignore)


def test_a_source_distribution_is_rejected(index, into, downloads):
    (index / WHEEL).unlink()
    (index / "tiny-words-1.0.tar.gz").write_bytes(b"would be run")
    with pytest.raises(SourceError, match="no wheel"):
        fetch_package("c", source("0" * 64), into, downloads, ignore)


def test_the_error_for_an_unreachable_index_gives_a_remedy_and_hides_the_password(into, downloads, monkeypatch, index):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")  # discard port: refused
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        OfflineError, match=r"cannot be reached .*connect, or put the wheel of .* SEQLOOM_MIRROR"
    ) as caught:
        fetch_package("c", source("0" * 64), into, downloads, ignore)
    assert "secret" not in str(caught.value)


def test_the_error_for_a_missing_pip_gives_a_remedy(into, downloads, tmp_path):
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    with pytest.raises(SourceError, match=r"no pip.*ensurepip.*SEQLOOM_MIRROR"):
        fetch_package("c", source("0" * 64), into, downloads, ignore, python=str(tmp_path / "bare" / "bin" / "python"))


def test_an_interruption_also_ends_pip(into, downloads, tmp_path):
    script = tmp_path / "python"  # a pip that downloads forever
    script.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    script.chmod(0o755)

    def interrupt(progress):
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_package("c", source("0" * 64), into, downloads, interrupt, python=str(script))
    pid = (tmp_path / "pid").read_text().strip()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    assert not list(downloads.folder_of("0" * 64).iterdir())


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        (WHEEL, True),
        ("Tiny.Words-1.0-py3-none-any.whl", True),
        ("tiny_words-1.0-1-cp311-abi3-linux_x86_64.whl", True),
        ("tiny_words-1.0.1-py3-none-any.whl", False),
        ("tiny-1.0-py3-none-any.whl", False),
        ("tiny_words-1.0.tar.gz", False),
        ("tiny_words-1.0-py3-none-any.whl.part", False),
    ],
)
def test_wheels_are_recognised_by_name(name, is_one):
    assert is_wheel_of(source("0" * 64))(name) is is_one
