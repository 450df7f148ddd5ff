import hashlib

import pytest

from seqloom.corpus.source_settings import UrlSource
from seqloom.corpus.watching.status import ResponseCache
from seqloom.corpus.watching.url import check_url
from seqloom.errors import OfflineError, SourceError

OLD, NEW = b"one\teins\n", b"two\tzwei\n"  # of the same size


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def responses(tmp_path):
    return ResponseCache(tmp_path / "scratch" / "watch.json")


@pytest.fixture
def source(site):
    site.files["/d/pairs.tsv"] = OLD
    content = {"kind": "url", "format": "tsv", "url": f"{site.url}/d/pairs.tsv", "sha256": sha256(OLD)}
    return UrlSource.model_validate(content)


def test_a_pinned_file_is_unchanged_and_fetched_once(site, source, downloads, responses):
    first = check_url("c", source, downloads, responses)
    again = check_url("c", source, downloads, responses)
    assert (first.changed, again.changed) == (False, False)
    assert (again.known, again.found, again.pins) == (sha256(OLD), sha256(OLD), {})
    assert site.methods == ["HEAD", "GET", "HEAD"]
    assert again.why == "ETag unchanged"


def test_a_changed_file_is_detected_by_etag_and_stored_for_the_next_fetch(site, source, downloads, responses):
    check_url("c", source, downloads, responses)
    site.files["/d/pairs.tsv"], site.etag = NEW, '"2"'
    news = check_url("c", source, downloads, responses)
    assert (news.changed, news.found, news.pins) == (True, sha256(NEW), {"sha256": sha256(NEW)})
    assert downloads.find("c", sha256(NEW), lambda name: name == "pairs.tsv").read_bytes() == NEW
    assert check_url("c", source, downloads, responses).changed  # still new until it is pinned
    assert site.methods.count("GET") == 2
    pinned = source.model_copy(update={"sha256": sha256(NEW)})
    assert not check_url("c", pinned, downloads, responses).changed
    assert not list(downloads.downloads.glob(".watch-*"))


@pytest.mark.parametrize("broken", [None, b"{", b"[]", b'{"%s": 3}'])
def test_a_lost_cache_only_costs_another_fetch(site, source, downloads, tmp_path, broken):
    file = tmp_path / "watch.json"
    check_url("c", source, downloads, ResponseCache(file))
    if broken is None:
        file.unlink()
    else:
        file.write_bytes(broken.replace(b"%s", sha256(source.url.encode()).encode()))
    assert not check_url("c", source, downloads, ResponseCache(file)).changed
    assert site.methods.count("GET") == 2


def test_without_validators_the_size_is_trusted_for_a_day(site, source, downloads, responses):
    site.etag = None
    hour = 3600
    status = check_url("c", source, downloads, responses, clock=lambda: 0)
    assert "sends no ETag and no Last-Modified" in status.why
    site.files["/d/pairs.tsv"] = NEW
    assert not check_url("c", source, downloads, responses, clock=lambda: 23 * hour).changed
    assert check_url("c", source, downloads, responses, clock=lambda: 25 * hour).changed
    site.files["/d/pairs.tsv"] = OLD + NEW
    assert check_url("c", source, downloads, responses, clock=lambda: 26 * hour).found == sha256(OLD + NEW)
    check_url("c", source, downloads, responses, clock=lambda: 1 * hour)  # a clock that was set back
    assert site.methods.count("GET") == 4


def test_get_is_used_if_the_server_refuses_head(site, source, downloads, responses):
    site.answers_head = False
    assert not check_url("c", source, downloads, responses).changed
    assert not check_url("c", source, downloads, responses).changed
    assert site.methods == ["HEAD", "GET", "GET", "HEAD", "GET"]


@pytest.mark.parametrize(("fault", "kind"), [(404, SourceError), (503, OfflineError), (429, OfflineError)])
def test_a_refusal_is_an_error(site, source, downloads, responses, fault, kind):
    site.faults = [fault]
    with pytest.raises(kind, match=f"c: .*/d/pairs.tsv: status {fault}") as caught:
        check_url("c", source, downloads, responses)
    assert type(caught.value) is kind


def test_an_interrupted_transfer_is_not_hashed(site, source, downloads, responses):
    site.faults = [None, "break"]
    with pytest.raises(OfflineError, match="the transfer ended at"):
        check_url("c", source, downloads, responses)
    assert not check_url("c", source, downloads, responses).changed


def test_a_file_that_grew_too_large_is_rejected(site, source, downloads, responses):
    with pytest.raises(SourceError, match="larger than max_bytes"):
        check_url("c", source.model_copy(update={"max_bytes": 3}), downloads, responses)


def test_an_unreachable_host_is_an_offline_error(source, downloads, responses):
    with pytest.raises(OfflineError, match=r"cannot be reached .*try again online"):
        check_url("c", source.model_copy(update={"url": "http://127.0.0.1:9/x?key=secret"}), downloads, responses)
