"""Fixtures: a small web server that can misbehave, small corpora, and download folders."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from seqloom.corpus.members import Members
from seqloom.corpus.settings import CleanSettings, PrepareSettings, SplitSettings
from seqloom.corpus.sources.download_cache import DownloadCache


class Site:
    """The server's files and received requests. Each request consumes one of `faults`: a status or `break`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, bytes] = {}
        self.etag: str | None = '"1"'
        self.faults: list[int | str] = []
        self.redirects: dict[str, str] = {}
        self.ranges: list[str | None] = []
        self.authorizations: list[str | None] = []
        self.queries: list[str] = []
        self.link = ""
        self.methods: list[str] = []
        self.answers_head = True
        self.honours_ranges = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    site: Site

    def do_HEAD(self) -> None:
        site = self.site
        site.methods.append("HEAD")
        fault = site.faults.pop(0) if site.faults else None
        if fault is None and not site.answers_head:
            fault = 405
        content = site.files.get(self.path.partition("?")[0])
        self.send_response(fault if isinstance(fault, int) else 404 if content is None else 200)
        if content is not None and fault is None:
            if site.etag:
                self.send_header("ETag", site.etag)
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()

    def do_GET(self) -> None:
        site = self.site
        site.methods.append("GET")
        wanted = self.headers.get("Range")
        site.ranges.append(wanted)
        site.authorizations.append(self.headers.get("Authorization"))
        fault = site.faults.pop(0) if site.faults else None
        path, _, query = self.path.partition("?")
        if query:
            site.queries.append(query)
        if path in site.redirects:
            self.send_response(302)
            self.send_header("Location", site.redirects[path])
            self.end_headers()
            return
        if isinstance(fault, int) or path not in site.files:
            self.send_response(fault if isinstance(fault, int) else 404)
            self.send_header("Retry-After", "0")
            self.end_headers()
            return
        content, start = site.files[path], 0
        condition = self.headers.get("If-Range")
        if wanted and site.honours_ranges and condition in (None, site.etag):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if site.etag:
            self.send_header("ETag", site.etag)
        if site.link:
            self.send_header("Link", site.link)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        self.wfile.write(rest[: len(rest) // 2] if fault == "break" else rest)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    served = Site(f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass = type("Handler", (_Handler,), {"site": served})
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def members(tmp_path: Path):
    """Write files into a folder and open them as the corpus `c`."""

    def build(files: dict[str, bytes | str]) -> Members:
        folder = tmp_path / "raw"
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Members("c", folder, None)

    return build


NO_RULES = {
    "unescape_html": False, "strip_markup": False, "drop_urls": False, "drop_messages": False,
    "same_placeholders": False, "min_words": None, "max_words": None, "max_characters": None,
    "min_letter_share": None, "max_length_ratio": None, "drop_copies": False, "drop_duplicates": "no",
}  # fmt: skip


@pytest.fixture
def clean_settings():
    """Return CleanSettings with every rule off except those given."""

    def build(**rules: Any) -> CleanSettings:
        return CleanSettings.model_validate({**NO_RULES, **rules})

    return build


@pytest.fixture
def prepare_settings(clean_settings):
    def build(
        *,
        by="group",
        apart="source",
        valid=0.2,
        test=0.2,
        salt="s",
        max_leakage=1.0,
        near_copy=0.8,
        sample=1000,
        **rules,
    ) -> PrepareSettings:
        split = SplitSettings(by=by, apart=apart, valid=valid, test=test, salt=salt)
        return PrepareSettings(
            clean=clean_settings(**rules),
            split=split,
            near_copy=near_copy,
            max_leakage=max_leakage,
            leakage_sample=sample,
        )

    return build


@pytest.fixture
def downloads(tmp_path: Path) -> DownloadCache:
    """Local copies of downloads, without a mirror."""
    return DownloadCache(tmp_path / "downloads", None)


@pytest.fixture
def into(tmp_path: Path) -> Path:
    """The folder that a source is fetched into."""
    folder = tmp_path / "into"
    folder.mkdir()
    return folder
