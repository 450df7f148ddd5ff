import zipfile

import pytest

from seqloom.corpus.source_settings import PackageSource
from seqloom.corpus.watching.package import check_package, newest_allowed
from seqloom.errors import OfflineError, SourceError


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder with wheels, as pip's only package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    for version in ("1.0", "1.10", "1.9", "2.0", "1.11rc1"):
        with zipfile.ZipFile(folder / f"tiny_words-{version}-py3-none-any.whl", "w") as wheel:
            info = f"tiny_words-{version}.dist-info/"
            wheel.writestr(info + "METADATA", f"Metadata-Version: 2.1\nName: tiny-words\nVersion: {version}\n")
    (folder / "tiny-words-1.12.tar.gz").write_bytes(b"would be run")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def source(version, watch, package="tiny-words"):
    return PackageSource.model_validate(
        {
            "kind": "package", "format": "json_catalogue", "members": "{group}/{lang}.json",
            "package": package, "version": version, "sha256": "0" * 64, "watch": watch,
        }
    )  # fmt: skip


def test_the_newest_allowed_version_is_found(index):
    news = check_package("c", source("1.0", ">=1,<2"))
    assert (news.changed, news.known, news.found, news.pins) == (True, "1.0", "1.10", {"version": "1.10"})


def test_an_unwatched_package_is_not_looked_up():
    news = check_package("c", source("1.0", None), python="/nowhere/python")
    assert (news.changed, news.found) == (False, "1.0")
    assert "set `watch`" in news.why


def test_an_unknown_package_is_an_error(index):
    with pytest.raises(SourceError, match="no wheel of other; see corpora") as caught:
        check_package("c", source("1.0", ">=1", package="other"))
    assert not isinstance(caught.value, OfflineError)


def test_an_unreachable_index_fails_at_once(index, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OfflineError, match="the package index cannot be reached") as caught:
        check_package("c", source("1.0", ">=1"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("allowed", "found"),
    [(">=1", "2.0"), (">=1,<2", "1.10"), ("==1.9.*", "1.9"), (">=3", None), ("", "2.0"), (">=1.11rc1,<2", None)],
)
def test_the_newest_allowed_version_is_chosen(allowed, found):
    assert newest_allowed(["1.9", "1.10", "2.0", "1.11rc1", "3.dev1", "no version", "1.9.0.dev3"], allowed) == found


def test_a_pin_is_never_downgraded(index):
    assert not check_package("c", source("2.0", "<2")).changed
