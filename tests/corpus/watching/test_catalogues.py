import json

import pytest
from pydantic import TypeAdapter

from seqloom.corpus.corpora_settings import Source
from seqloom.corpus.settings import Languages
from seqloom.corpus.watching.sources import check_sources
from seqloom.corpus.watching.status import ResponseCache
from seqloom.errors import OfflineError

OLD, NEW = "a" * 40, "b" * 40
OPUS = {"kind": "opus", "corpus": "Books", "release": "v1"}
HUB = {"kind": "huggingface", "dataset": "org/name", "commit": OLD, "format": "parquet", "members": "*.parquet"}


@pytest.fixture
def check(site, downloads, tmp_path, monkeypatch):
    monkeypatch.setenv("SEQLOOM_OPUS_API", f"{site.url}/opusapi/")
    monkeypatch.setenv("HF_ENDPOINT", f"{site.url}/hub")

    def run(source, target="de"):
        languages = Languages.model_validate({"source": "en", "target": target})
        sources = {"c": TypeAdapter(Source).validate_python(source)}
        responses = ResponseCache(tmp_path / "responses.json")
        return check_sources(sources, languages, downloads, responses, tmp_path / "manifest.json")

    return run


def releases(*found):
    entries = [{"corpus": "Books", "latest": "True", "version": each} for each in found]
    return json.dumps({"corpora": entries}).encode()


def test_a_newer_release_of_opus_is_found_and_the_pin_of_the_old_one_is_dropped(site, check):
    site.files["/opusapi/"] = releases("v2")
    (status,) = check({**OPUS, "sha256": "0" * 64}).statuses
    assert (status.changed, status.known, status.found) == (True, "v1", "v2")
    assert status.pins == {"release": "v2", "sha256": None}
    assert site.queries == ["corpus=Books&source=de&target=en&preprocessing=moses&version=latest"]


@pytest.mark.parametrize(("found", "why"), [(["v1"], "newest release"), ([], "does not list it")])
def test_the_newest_release_is_no_change(site, check, found, why):
    site.files["/opusapi/"] = releases(*found)
    (status,) = check(OPUS).statuses
    assert not status.changed
    assert why in status.why


def test_a_new_commit_of_a_data_set_is_found(site, check):
    site.files["/hub/api/datasets/org/name/revision/refs%2Fconvert"] = json.dumps({"sha": NEW}).encode()
    (status,) = check({**HUB, "branch": "refs/convert"}).statuses
    assert (status.changed, status.pins) == (True, {"commit": NEW})
    (status,) = check(HUB).statuses
    assert "set `branch`" in status.why
    assert not status.changed


def test_mtdata_is_not_checked(check):
    (status,) = check({"kind": "mtdata", "dataset": "A-b-1-deu-eng"}).statuses
    assert "not checked" in status.why


@pytest.mark.parametrize("source", [OPUS, {**HUB, "branch": "main"}])
def test_a_server_that_does_not_answer_is_an_offline_error(site, check, source):
    site.faults = [503]
    (error,) = check(source).errors
    assert isinstance(error, OfflineError)
