"""What tests of download_pretrained use: a pretrained model's files, and a local server that imitates the hub."""

import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch
from safetensors.torch import save

from seqloom.params import Params, parse_params
from seqloom.places import PRETRAINED
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


def params(name: str = "pretrained", **changes: Any) -> Params:
    content = tree()
    content["model"]["name"] = name
    content["train"]["lr"] = float(content["train"]["lr"])
    for section, change in changes.items():
        content["model"][section].update(change)
    return parse_params(json.dumps(content))


def lying() -> list[str]:
    return sorted(path.relative_to(PRETRAINED).as_posix() for path in PRETRAINED.rglob("*") if path.is_file())


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
