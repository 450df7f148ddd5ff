"""Fetching a pretrained model from the hub, which a local server imitates."""

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from seqloom.errors import HashError, OfflineError, SourceError
from seqloom.params import Params
from seqloom.places import PRETRAINED, SCRATCH
from seqloom.progress import Progress, ignore
from seqloom.stages import download_pretrained
from tests.stages.pretrained_files import COMMIT, FILES, TAKEN, Hub, lying, params

pytestmark = pytest.mark.usefixtures("empty_project")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub(dict(FILES)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def of_the_hub(revision: str = COMMIT, source: str = "owner/model") -> Params:
    return params(pretrained={"source": source, "revision": revision})


def test_a_commit_is_fetched_once_and_only_its_data(hub: Hub) -> None:
    reports: list[Progress] = []
    download_pretrained.run(of_the_hub(), reports.append)
    assert lying() == sorted(["manifest.json", *(f"model/{name}" for name in TAKEN)])
    for name in TAKEN:
        assert (PRETRAINED / "model" / name).read_bytes() == FILES[name]
    assert not [path for path, _ in hub.asked if path.endswith((".py", ".md", ".bin"))]
    fetched = [report for report in reports if report.task == "download owner/model"]
    assert fetched[-1].done == fetched[-1].total == sum(len(FILES[name]) for name in TAKEN)
    hub.asked.clear()
    (PRETRAINED / "manifest.json").unlink()
    download_pretrained.run(of_the_hub(), ignore)
    assert hub.asked == []
    assert lying() == sorted(["manifest.json", *(f"model/{name}" for name in TAKEN)])


def test_a_cache_that_was_moved_is_used(hub: Hub, tmp_path: Path) -> None:
    download_pretrained.run(of_the_hub(), ignore)
    cache = (SCRATCH / "downloads").rename(tmp_path / "kept")
    hub.asked.clear()
    SCRATCH.rename(tmp_path / "old")
    SCRATCH.mkdir()
    cache.rename(SCRATCH / "downloads")
    download_pretrained.run(of_the_hub(), ignore)
    assert hub.asked == []


def test_a_cache_without_a_file_that_is_needed_now_is_not_used(hub: Hub) -> None:
    usual = download_pretrained.choose

    def fewer(names: Iterable[str]) -> list[str]:
        return [name for name in usual(names) if name != "spiece.model"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download_pretrained, "choose", fewer)
        download_pretrained.run(of_the_hub(), ignore)
    assert "model/spiece.model" not in lying()
    download_pretrained.run(of_the_hub(), ignore)
    assert lying() == sorted(["manifest.json", *(f"model/{name}" for name in TAKEN)])


def test_an_interrupted_download_resumes_with_the_same_file(hub: Hub) -> None:
    def interrupt(report: Progress) -> None:
        if report.done > len(FILES["config.json"]):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_pretrained.run(of_the_hub(), interrupt)
    assert not list(PRETRAINED.iterdir())
    hub.asked.clear()
    download_pretrained.run(of_the_hub(), ignore)
    fetched = [path for path, _ in hub.asked if path.startswith("GET /owner")]
    assert f"GET /owner/model/resolve/{COMMIT}/config.json" not in fetched
    assert f"GET /owner/model/resolve/{COMMIT}/spiece.model" in fetched


@pytest.mark.parametrize(("status", "error"), [(503, OfflineError), (429, OfflineError), (403, SourceError)])
def test_a_refusal_of_the_hub_is_an_expected_error(hub: Hub, status: int, error: type[SourceError]) -> None:
    hub.faults[f"/api/models/owner/model/tree/{COMMIT}"] = status
    with pytest.raises(error, match=str(status)) as raised:
        download_pretrained.run(of_the_hub(), ignore)
    assert type(raised.value) is error


def test_a_damaged_file_is_found_and_fetched_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    right, whole = hub.listing(), hub.files["model.safetensors"]
    monkeypatch.setattr(hub, "listing", lambda: right)
    hub.files["model.safetensors"] = whole[:-1] + b"?"
    with pytest.raises(HashError, match=r"model\.safetensors is damaged"):
        download_pretrained.run(of_the_hub(), ignore)
    hub.files["model.safetensors"] = whole
    download_pretrained.run(of_the_hub(), ignore)
    assert (PRETRAINED / "model" / "model.safetensors").read_bytes() == whole


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("f" * 40, "owner/model"), "the hub has no commit ffff"),
        ((COMMIT, "owner/other"), "no such model, or it is private"),
    ],
)
def test_the_error_names_what_the_hub_does_not_have(hub: Hub, given: tuple[str, str], message: str) -> None:
    with pytest.raises(SourceError, match=message) as raised:
        download_pretrained.run(of_the_hub(*given), ignore)
    assert not isinstance(raised.value, OfflineError)


def test_a_token_of_the_environment_is_sent_and_not_stored(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    reports: list[Progress] = []
    download_pretrained.run(of_the_hub(), reports.append)
    assert {token for _, token in hub.asked} == {"Bearer hf_secret"}
    kept = [path for root in (SCRATCH, PRETRAINED) for path in root.rglob("*") if path.is_file()]
    assert not [path for path in kept if b"hf_secret" in path.read_bytes()]
    assert "hf_secret" not in str(reports)


def test_no_token_is_sent_without_the_variable(hub: Hub) -> None:
    download_pretrained.run(of_the_hub(), ignore)
    assert {token for _, token in hub.asked} == {None}


def test_offline_the_error_says_where_to_put_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OfflineError, match=r"put the model's folder below data/local .* data/local/model"):
        download_pretrained.run(of_the_hub(), ignore)
