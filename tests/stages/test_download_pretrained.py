"""Copying from data/local, and fetching from a local server that imitates the hub."""

import hashlib
import io
import json
import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save

from seqloom.errors import HashError, ModelError, OfflineError, ParamsError, SourceError
from seqloom.params import Params, parse_params
from seqloom.places import PRETRAINED, SCRATCH
from seqloom.progress import Progress, ignore
from seqloom.stages import download_pretrained
from tests.records import tree

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = {"shared.weight": torch.arange(6.0).view(3, 2), "lm_head.weight": torch.arange(6.0).view(3, 2)}
FILES = {
    "config.json": b'{"model_type": "t5"}',
    "tokenizer.json": b"{}",
    "spiece.model": b"pieces",
    "model.safetensors": save(WEIGHTS),
    "modeling_own.py": b"raise SystemExit('code of a stranger')",
    "README.md": b"# A model",
    "pytorch_model.bin": b"a pickle that nobody opens",
    "flax_model.msgpack.index.json": b"{}",
}
TAKEN = ["config.json", "model.safetensors", "spiece.model", "tokenizer.json"]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("data/local").mkdir(parents=True)
    return tmp_path


def params(name: str = "pretrained", **changes: Any) -> Params:
    content = tree()
    content["model"]["name"] = name
    content["train"]["lr"] = float(content["train"]["lr"])
    for section, change in changes.items():
        content["model"][section].update(change)
    return parse_params(json.dumps(content))


def local_model(files: dict[str, bytes]) -> Params:
    folder = Path("data/local/base")
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return params(pretrained={"source": "data/local/base"})


def lying() -> list[str]:
    return sorted(path.relative_to(PRETRAINED).as_posix() for path in PRETRAINED.rglob("*") if path.is_file())


def test_without_anything_to_fetch_the_manifest_does_not_depend_on_data_local() -> None:
    download_pretrained.run(params("transformer"), ignore)
    before = (PRETRAINED / "manifest.json").read_bytes()
    Path("data/local/pairs.tsv").write_text("one\teins\n")
    download_pretrained.run(params("lstm", pretrained={"source": "data/local/nothing"}), ignore)
    assert lying() == ["manifest.json"]
    assert (PRETRAINED / "manifest.json").read_bytes() == before


def test_only_data_is_copied_from_a_folder() -> None:
    download_pretrained.run(local_model(FILES), ignore)
    assert lying() == sorted(["manifest.json", *(f"model/{name}" for name in TAKEN)])
    for name in TAKEN:
        assert (PRETRAINED / "model" / name).read_bytes() == FILES[name]
    manifest = json.loads((PRETRAINED / "manifest.json").read_text())
    assert [file["path"] for file in manifest["model"]["files"]] == TAKEN
    assert manifest["model"]["files"][2]["sha256"] == hashlib.sha256(b"pieces").hexdigest()


def test_pickled_weights_are_stored_as_safetensors_if_there_are_no_others() -> None:
    Path("data/local/base").mkdir()
    shared = torch.arange(6.0).view(3, 2)
    torch.save({"shared.weight": shared, "lm_head.weight": shared}, "data/local/base/pytorch_model.bin")
    download_pretrained.run(local_model({"config.json": b"{}"}), ignore)
    assert lying() == ["manifest.json", "model/config.json", "model/model.safetensors"]
    stored = load_file(PRETRAINED / "model" / "model.safetensors")
    assert stored.keys() == WEIGHTS.keys()
    assert all(torch.equal(stored[name], shared) for name in stored)


def saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


class Stranger:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch data/local/run-by-a-stranger",)


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (saved(Stranger()), "must contain tensors only"),
        (b"no pickle at all", "must contain tensors only"),
        (saved({"a": torch.zeros(3)})[:-60], "must contain tensors only"),
        (pickle.dumps(Stranger(), protocol=0), "must contain tensors only"),
        (b"\x80\x02}q\x00K\x01K\x02s.", "must contain tensors by name|must contain tensors only"),
        (b"", "must contain tensors only"),
        (saved({"a": "text"}), "must contain tensors by name"),
    ],
    ids=["code", "noise", "truncated", "old code", "numbers", "empty", "text"],
)
def test_a_pickle_of_other_objects_is_refused_and_never_run(pickled: bytes, message: str) -> None:
    download_pretrained.run(params("transformer"), ignore)
    given = local_model({"config.json": b"{}", "pytorch_model.bin": pickled})
    with pytest.raises(SourceError, match=message):
        download_pretrained.run(given, ignore)
    assert not Path("data/local/run-by-a-stranger").exists()
    assert [path.name for path in PRETRAINED.iterdir()] == ["manifest.json"]


def test_shards_are_copied_with_their_index() -> None:
    names = ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    names += ["model.safetensors.index.json", "pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin"]
    assert download_pretrained.choose(names) == names[:4]
    assert download_pretrained.choose([names[0], *names[4:]]) == [names[0], names[5]]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"has no config\.json"),
        ({"config.json": b"{}", "tf_model.h5": b""}, r"has no model\.safetensors and no pytorch_model\.bin"),
    ],
)
def test_the_error_says_what_a_model_folder_lacks(files: dict[str, bytes], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        download_pretrained.run(local_model(files), ignore)


def test_missing_files_are_named() -> None:
    with pytest.raises(SourceError, match="there is no folder data/local/base"):
        download_pretrained.run(params(pretrained={"source": "data/local/base"}), ignore)
    with pytest.raises(SourceError, match=r"there is no file data/local/words\.vec"):
        download_pretrained.run(params("lstm", embeddings={"source": "data/local/words.vec"}), ignore)


def test_vectors_are_stored_by_side() -> None:
    Path("data/local/en.vec").write_text("1 2\na 1 2\n")
    download_pretrained.run(params("transformer", embeddings={"target": "data/local/en.vec"}), ignore)
    assert lying() == ["embeddings/target", "manifest.json"]
    assert json.loads((PRETRAINED / "manifest.json").read_text())["embeddings"] == {
        "target": {"source": "data/local/en.vec", "sha256": hashlib.sha256(b"1 2\na 1 2\n").hexdigest()}
    }


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"pretrained": {"source": "owner/model"}}, r"pretrained\.revision: source .* must be a commit of 40"),
        (
            {"pretrained": {"source": "owner/model", "revision": "main"}},
            r"pretrained\.revision: source .* must be a commit of 40",
        ),
        ({"pretrained": {"source": "data/local/base", "revision": COMMIT}}, "a folder, which has no revision"),
        ({"pretrained": {"source": "data/local/../base"}}, "neither a folder below data/local nor a hub id"),
        ({"pretrained": {"source": "/elsewhere/base"}}, "neither a folder below data/local nor a hub id"),
        ({"embeddings": {"source": "elsewhere/words.vec"}}, "must be a path below data/local"),
        ({"embeddings": {"frozen_steps": 5}}, "no file of word vectors is set"),
    ],
)
def test_files_that_dvc_does_not_watch_are_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        params("transformer", **section)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    given = local_model(FILES)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"transformers, which is not installed; pip install 'seqloom\[hf\]'"):
        download_pretrained.run(given, ignore)


class Hub(ThreadingHTTPServer):
    """Imitates the hub for one repository, `owner/model`, and records requests."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.files = files
        self.asked: list[tuple[str, str | None]] = []
        self.faults: dict[str, int] = {}  # status by path

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def listing(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = [{"type": "directory", "path": "onnx", "oid": "0" * 40, "size": 0}]
        for name, content in self.files.items():
            entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": git_hash(content)}
            if name.endswith((".safetensors", ".bin")):
                entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
            entries.append(entry)
        return entries


def git_hash(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


class _Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append((f"{self.command} {path}", self.headers.get("Authorization")))
        if path in self.server.faults:
            return self._send(self.server.faults[path], b"{}", body)
        if path == f"/api/models/owner/model/tree/{COMMIT}":
            return self._send(200, json.dumps(self.server.listing()).encode(), body)
        before, _, name = path.partition(f"/owner/model/resolve/{COMMIT}/")
        if not before and name in self.server.files:
            return self._send(200, self.server.files[name], body)
        unknown = "RevisionNotFound" if path.startswith(("/api/models/owner/model/", "/owner/")) else "RepoNotFound"
        return self._send(404, b"{}", body, {"X-Error-Code": unknown})

    def _send(self, status: int, content: bytes, body: bool, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(content)), "ETag": f'"{git_hash(content)}"', "X-Repo-Commit": COMMIT}
        for name, value in {**headers, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


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
