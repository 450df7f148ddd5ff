import gzip
import hashlib
import io
import json
import socket
import tarfile

import pytest

from seqloom.corpus.source_settings import UrlSource
from seqloom.corpus.sources.download import RetryPolicy
from seqloom.corpus.sources.download_cache import DownloadCache
from seqloom.corpus.sources.http_client import file_name
from seqloom.corpus.sources.url import fetch_url
from seqloom.errors import HashError, OfflineError, SourceError
from seqloom.progress import ignore

CONTENT = b"".join(b"Line %d\tZeile %d\n" % (n, n) for n in range(20_000))
HASTE = RetryPolicy(timeout=5.0, attempts=3, pause=0.0)


def source(url, content=CONTENT, **more):
    sha256 = hashlib.sha256(content).hexdigest()
    return UrlSource.model_validate({"kind": "url", "format": "tsv", "url": url, "sha256": sha256, **more})


def part_of(downloads, wanted, content, url, validator='"1"'):
    folder = downloads.folder_of(wanted.sha256)
    folder.mkdir(parents=True)
    (folder / "pairs.tsv.part").write_bytes(content)
    (folder / "pairs.tsv.part.json").write_text(
        json.dumps({"address": hashlib.sha256(url.encode()).hexdigest(), "validator": validator})
    )


def test_a_file_is_downloaded_with_progress_in_bytes(site, downloads, into):
    site.files["/d/pairs.tsv"] = CONTENT
    reports = []
    fetch_url("c", source(f"{site.url}/d/pairs.tsv"), into, downloads, reports.append, HASTE)
    assert (into / "pairs.tsv").read_bytes() == CONTENT
    assert reports[-1].done == reports[-1].total == len(CONTENT)
    assert reports[-1].unit == "bytes"
    assert {report.task for report in reports} == {"download c", "copy c"}


def test_a_second_fetch_sends_no_request(site, downloads, into, tmp_path):
    site.files["/pairs.tsv"] = CONTENT
    wanted = source(f"{site.url}/pairs.tsv")
    fetch_url("c", wanted, into, downloads, ignore, HASTE)
    again = tmp_path / "again"
    again.mkdir()
    fetch_url("c", wanted, again, downloads, ignore, HASTE)
    assert (again / "pairs.tsv").read_bytes() == CONTENT
    assert len(site.ranges) == 1


def test_a_damaged_download_is_fetched_again(site, downloads, into, tmp_path):
    site.files["/pairs.tsv"] = CONTENT
    wanted = source(f"{site.url}/pairs.tsv")
    fetch_url("c", wanted, into, downloads, ignore, HASTE)
    (downloads.folder_of(wanted.sha256) / "pairs.tsv").write_bytes(CONTENT[:-1] + b"x")
    again = tmp_path / "again"
    again.mkdir()
    fetch_url("c", wanted, again, downloads, ignore, HASTE)
    assert (again / "pairs.tsv").read_bytes() == CONTENT


def test_an_interrupted_transfer_is_resumed(site, downloads, into):
    site.files["/pairs.tsv"] = CONTENT
    site.faults = ["break", "break"]
    fetch_url("c", source(f"{site.url}/pairs.tsv"), into, downloads, ignore, HASTE)
    half = len(CONTENT) // 2
    assert site.ranges == [None, f"bytes={half}-", f"bytes={half + (len(CONTENT) - half) // 2}-"]
    assert (into / "pairs.tsv").read_bytes() == CONTENT


def test_the_next_run_resumes_an_interrupted_one(site, downloads, into):
    url = f"{site.url}/pairs.tsv"
    site.files["/pairs.tsv"] = CONTENT

    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_url("c", source(url), into, downloads, interrupt, HASTE)
    fetch_url("c", source(url), into, downloads, ignore, HASTE)
    assert site.ranges[1] is not None
    assert (into / "pairs.tsv").read_bytes() == CONTENT


def test_a_partial_file_of_another_version_is_discarded(site, downloads, into):
    url = f"{site.url}/pairs.tsv"
    site.files["/pairs.tsv"], site.etag = CONTENT, '"2"'
    part_of(downloads, source(url), b"of another version", url)
    fetch_url("c", source(url), into, downloads, ignore, HASTE)
    assert (into / "pairs.tsv").read_bytes() == CONTENT


@pytest.mark.parametrize("part", [b"of another version", b"x" * len(CONTENT), b"x" * (len(CONTENT) + 5)])
def test_without_a_validator_a_wrong_hash_restarts_the_download(site, downloads, into, part):
    url = f"{site.url}/pairs.tsv"
    site.files["/pairs.tsv"], site.etag = CONTENT, None
    part_of(downloads, source(url), part, url, validator=None)
    fetch_url("c", source(url), into, downloads, ignore, HASTE)
    assert (into / "pairs.tsv").read_bytes() == CONTENT


def test_a_complete_partial_file_is_used(site, downloads, into):
    url = f"{site.url}/pairs.tsv"
    site.files["/pairs.tsv"] = CONTENT
    part_of(downloads, source(url), CONTENT, url)
    fetch_url("c", source(url), into, downloads, ignore, HASTE)
    assert (into / "pairs.tsv").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_the_whole_file_again(site, downloads, into):
    url = f"{site.url}/pairs.tsv"
    site.files["/pairs.tsv"], site.honours_ranges = CONTENT, False
    part_of(downloads, source(url), CONTENT[:100], url)
    fetch_url("c", source(url), into, downloads, ignore, HASTE)
    assert (into / "pairs.tsv").read_bytes() == CONTENT


def test_a_busy_server_is_retried(site, downloads, into):
    site.files["/pairs.tsv"] = CONTENT
    site.faults = [503, 429]
    reports = []
    fetch_url("c", source(f"{site.url}/pairs.tsv"), into, downloads, reports.append, HASTE)
    assert any("status 503" in report.note for report in reports)
    assert (into / "pairs.tsv").read_bytes() == CONTENT


def test_retries_end_and_the_partial_file_stays(site, downloads, into):
    site.files["/pairs.tsv"] = CONTENT
    site.faults = ["break", 503, 503, 503, 503]
    wanted = source(f"{site.url}/pairs.tsv")
    with pytest.raises(SourceError, match=r"status 503.*3 times in a row.*SEQLOOM_MIRROR"):
        fetch_url("c", wanted, into, downloads, ignore, HASTE)
    assert (downloads.folder_of(wanted.sha256) / "pairs.tsv.part").stat().st_size == len(CONTENT) // 2
    assert not list(into.iterdir())


def test_the_pause_doubles_up_to_its_limit(site, downloads, into, monkeypatch):
    pauses = []
    monkeypatch.setattr("time.sleep", pauses.append)
    site.files["/pairs.tsv"] = CONTENT
    site.faults = [500] * 5
    fetch_url("c", source(f"{site.url}/pairs.tsv"), into, downloads, ignore, RetryPolicy(5.0, 6, 1.0, 6.0))
    assert [pause for pause in pauses if pause >= 1] == [1.0, 2.0, 4.0, 6.0, 6.0]


def test_the_error_for_a_refusal_names_the_status_and_hides_the_query(site, downloads, into):
    with pytest.raises(SourceError, match="status 404") as caught:
        fetch_url("c", source(f"{site.url}/pairs.tsv?signature=secret"), into, downloads, ignore, HASTE)
    assert "secret" not in str(caught.value)
    assert len(site.ranges) == 1


def test_a_wrong_hash_is_rejected_and_leaves_no_files(site, downloads, into):
    site.files["/pairs.tsv"] = b"something else"
    wanted = source(f"{site.url}/pairs.tsv")
    with pytest.raises(HashError, match=f"14 bytes with sha256 .*, not {wanted.sha256}"):
        fetch_url("c", wanted, into, downloads, ignore, HASTE)
    assert not list(into.iterdir())
    assert not list(downloads.folder_of(wanted.sha256).iterdir())


@pytest.mark.parametrize("with_length", [True, False])
def test_more_than_max_bytes_is_rejected(site, downloads, into, with_length):
    site.files["/pairs.tsv"] = CONTENT
    with pytest.raises(SourceError, match="larger than max_bytes"):
        fetch_url("c", source(f"{site.url}/pairs.tsv", max_bytes=1000), into, downloads, ignore, HASTE)


def test_an_unreachable_host_fails_at_once_with_a_remedy(downloads, into):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    reports = []
    with pytest.raises(OfflineError, match=r"cannot be reached .*put pairs.tsv into a folder.*SEQLOOM_MIRROR"):
        fetch_url("c", source(f"http://127.0.0.1:{port}/pairs.tsv"), into, downloads, reports.append, RetryPolicy())
    assert not reports  # no pause, no second attempt


def test_an_unknown_host_fails_at_once(downloads, into):
    with pytest.raises(OfflineError, match=r"cannot be reached"):
        fetch_url("c", source("http://nowhere.invalid/pairs.tsv"), into, downloads, ignore, RetryPolicy())


def test_the_mirror_is_searched_first(site, into, tmp_path):
    mirror = tmp_path / "mirror"
    (mirror / "c").mkdir(parents=True)
    (mirror / "pairs.tsv").write_bytes(b"of another corpus")
    (mirror / "c" / "pairs.tsv").write_bytes(CONTENT)
    fetch_url("c", source(f"{site.url}/pairs.tsv"), into, DownloadCache(tmp_path / "d", mirror), ignore, HASTE)
    assert (into / "pairs.tsv").read_bytes() == CONTENT
    assert not site.ranges


def test_a_truncated_file_in_the_mirror_is_rejected(site, into, tmp_path):
    (tmp_path / "pairs.tsv").write_bytes(CONTENT[:-1])
    with pytest.raises(HashError, match=r"pairs\.tsv does not match its pin.*SEQLOOM_MIRROR"):
        fetch_url("c", source(f"{site.url}/pairs.tsv"), into, DownloadCache(tmp_path / "d", tmp_path), ignore, HASTE)


def test_a_mirror_that_is_not_a_folder_is_an_error(site, into, tmp_path):
    with pytest.raises(SourceError, match=r"SEQLOOM_MIRROR is .*absent, which is not a folder"):
        fetch_url("c", source(f"{site.url}/p"), into, DownloadCache(tmp_path / "d", tmp_path / "absent"), ignore, HASTE)


def test_an_archive_is_extracted(site, downloads, into):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("corpus/train.de")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"Hallo"))
    content = gzip.compress(packed.getvalue())
    site.files["/corpus.tar.gz"] = content
    fetch_url("c", source(f"{site.url}/corpus.tar.gz", content), into, downloads, ignore, HASTE)
    assert [path.relative_to(into).as_posix() for path in into.rglob("*")] == ["corpus", "corpus/train.de"]
    assert (into / "corpus" / "train.de").read_bytes() == b"Hallo"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://e.org/a/b.tsv.gz", "b.tsv.gz"),
        ("https://e.org/a/b.zip?x=../y", "b.zip"),
        ("https://e.org", "download"),
        ("https://e.org/a/", "download"),
        ("https://e.org/a/%2e%2e%2Fb", "b"),
        ("https://e.org/..", "download"),
        ("https://e.org/a%20b", "a_b"),
    ],
)
def test_file_names_are_sanitised(url, name):
    assert file_name(url) == name
