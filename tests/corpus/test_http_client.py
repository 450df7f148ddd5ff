"""Broken and malicious servers: errors are reported cleanly, and retries end."""

import email
import hashlib
import io
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqloom.corpus.source_settings import UrlSource
from seqloom.corpus.sources import http_client
from seqloom.corpus.sources.download import RetryPolicy
from seqloom.corpus.sources.download_cache import DownloadCache
from seqloom.corpus.sources.url import fetch_url
from seqloom.corpus.watching.status import ResponseCache
from seqloom.corpus.watching.url import check_url
from seqloom.errors import OfflineError, SourceError
from seqloom.progress import ignore
from tests.examples import examples

HASTE = RetryPolicy(timeout=2.0, attempts=3, pause=0.0)
BODY = b"one\teins\n" * 1000


class Script:
    """A server that sends the given answers in turn, repeating the last one.

    `drip` is the pause between two bytes, in seconds.
    """

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.drip = 0.0
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if self._closed.is_set():
                    return
                try:
                    self._answer(connection)
                except OSError:
                    continue

    def _answer(self, connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request and (block := connection.recv(4096)):
            request += block
        answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
        self.requests.append(request)
        if not self.drip:
            connection.sendall(answer)
            return
        for byte in answer:
            connection.sendall(bytes([byte]))
            if self._closed.wait(self.drip):
                return

    def close(self) -> None:
        self._closed.set()
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._listener.close()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    served = Script()
    yield served
    served.close()


def answer(status: str = "200 OK", body: bytes = BODY, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body


SHA256 = hashlib.sha256(BODY).hexdigest()


def source(url: str, **more: object) -> UrlSource:
    return UrlSource.model_validate({"kind": "url", "format": "tsv", "url": url, "sha256": SHA256, **more})


def length(body: bytes = BODY) -> dict[str, str]:
    return {"Content_Length": str(len(body))}


HALF = answer(body=BODY[: len(BODY) // 2], **length())


@pytest.mark.parametrize(
    "resumed",
    [
        answer("206 Partial Content", Content_Range="bytes 7-99/100"),
        answer("206 Partial Content", Content_Range="bytes " + "9" * 5000 + "-"),
        answer("206 Partial Content", Content_Range="bytes ²-3/4"),
        answer("206 Partial Content"),
        answer("416 Range Not Satisfiable", b""),
    ],
    ids=["another", "huge", "no number", "none", "416"],
)
def test_wrong_answers_to_a_resume_end_the_retries(
    script: Script, downloads: DownloadCache, into: Path, resumed: bytes
) -> None:
    script.answers = [HALF, resumed] * 50
    with pytest.raises(SourceError, match=r"times in a row; run again to continue, or put pairs\.tsv"):
        fetch_url("c", source(f"{script.url}/pairs.tsv"), into, downloads, ignore, HASTE)
    assert len(script.requests) <= 2 * HASTE.attempts
    assert not list(into.iterdir())


def test_a_server_that_sends_one_byte_per_attempt_is_given_up(
    script: Script, downloads: DownloadCache, into: Path
) -> None:
    script.answers = [answer(body=BODY[:1], **length())]
    script.answers += [
        answer("206 Partial Content", BODY[at : at + 1], Content_Range=f"bytes {at}-", Content_Length="100")
        for at in range(1, 50)
    ]
    with pytest.raises(SourceError, match="attempt 7 was the last; run again to continue"):
        fetch_url("c", source(f"{script.url}/p"), into, downloads, ignore, HASTE._replace(most_attempts=7))
    assert len(script.requests) == 7


def test_the_whole_download_has_a_deadline(script: Script, downloads: DownloadCache, into: Path) -> None:
    script.answers = [answer("503 Busy", Retry_After="20")]
    with pytest.raises(SourceError, match="the time limit of 10 s is exceeded"):
        fetch_url("c", source(f"{script.url}/p"), into, downloads, ignore, HASTE._replace(total=10.0))
    assert len(script.requests) == 1  # the requested wait would exceed the deadline


@pytest.mark.parametrize("slow", [answer(**length()), b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 90, b"HTTP/1.1 200 O"])
def test_a_very_slow_server_is_given_up(script: Script, downloads: DownloadCache, into: Path, slow: bytes) -> None:
    script.answers, script.drip = [slow], 0.02
    policy = HASTE._replace(attempts=2, window=0.1)
    with pytest.raises(SourceError, match=r"too slow: \d+ bytes in|the transfer was interrupted"):
        fetch_url("c", source(f"{script.url}/p"), into, downloads, ignore, policy)
    assert len(script.requests) <= 2 * policy.attempts


def test_the_deadline_ends_a_running_transfer(script: Script) -> None:
    script.answers, script.drip = [b"HTTP/1.1 100 Continue\r\n\r\n" * 1000], 0.001
    with pytest.raises(http_client.InterruptedTransferError, match="the whole transfer took too long"):
        http_client.open_url(f"{script.url}/p", "GET", {}, http_client.TransferLimits(until=time.monotonic() + 0.1))


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Length": "²"},
        {"Content_Length": "9" * 5000},
        {"Content_Length": "-5"},
        {"ETag": '"\x1b[31m\xff"', "Last_Modified": "\x00"},
    ],
)
def test_invalid_headers_are_ignored(
    script: Script, downloads: DownloadCache, into: Path, headers: dict[str, str]
) -> None:
    script.answers = [answer(body=BODY[:100], Content_Length="1000"), answer(**headers), answer(**headers)]
    fetch_url("c", source(f"{script.url}/p"), into, downloads, ignore, HASTE)
    assert (into / "p").read_bytes() == BODY


@pytest.mark.parametrize("asked", ["²", "9" * 5000, "-1", "nan", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_an_invalid_retry_after_is_ignored(script: Script, downloads: DownloadCache, into: Path, asked: str) -> None:
    script.answers = [answer("503 Busy", b"", Retry_After=asked), answer(**length())]
    fetch_url("c", source(f"{script.url}/p"), into, downloads, ignore, HASTE)
    assert (into / "p").read_bytes() == BODY


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("http://[bad/x", "an invalid address"),
        ("http://127.0.0.1:70000/x", "an invalid address"),
        ("ftp://127.0.0.1/x", "not plain http"),
        ("file:///etc/passwd", "not plain http"),
        ("data:text/plain,x", "not plain http"),
        ("http://user:word@127.0.0.1/x", "not plain http"),
        ("http://a..b/\x01", "invalid|cannot be"),
        ("p", "redirects more than 10 times"),
    ],
)
def test_redirects_to_unsafe_addresses_are_rejected(
    script: Script, downloads: DownloadCache, into: Path, target: str, message: str
) -> None:
    script.answers = [answer("302 Found", b"", Location=target)]
    with pytest.raises(SourceError, match=message):
        fetch_url("c", source(f"{script.url}/p"), into, downloads, ignore, HASTE)
    responses = ResponseCache(into / "watch.json")
    with pytest.raises(SourceError, match=message):
        check_url("c", source(f"{script.url}/p"), downloads, responses)


def test_a_redirect_is_followed_without_reading_its_body(script: Script, downloads: DownloadCache, into: Path) -> None:
    script.answers = [
        answer("307 Over There", b"x" * 100, Location="/q", Content_Length="10000000"),
        answer(**length()),
    ]
    fetch_url("c", source(f"{script.url}/p"), into, downloads, ignore, HASTE)
    assert (into / "p").read_bytes() == BODY
    assert script.requests[1].startswith(b"GET /q ")


def test_a_redirect_from_https_to_http_is_rejected() -> None:
    handler = http_client._Redirects()
    request = http_client._Request("https://e.org/p")
    with pytest.raises(http_client.urllib.error.URLError, match="from https to http"):
        handler.http_error_302(
            request, io.BytesIO(), 302, "Found", email.message_from_string("Location: http://e.org/")
        )


@pytest.mark.parametrize(
    "damaged", [b"", b"{", b"[]", b"3", b"null", b"\xff", b'{"address": 3}', b"[" * 100_000, b'"x"']
)
def test_an_invalid_record_of_a_partial_file_is_ignored(
    script: Script, downloads: DownloadCache, into: Path, damaged: bytes
) -> None:
    script.answers = [answer(**length())]
    folder = downloads.folder_of(SHA256)
    folder.mkdir(parents=True)
    (folder / "p.part").write_bytes(BODY[:100])
    (folder / "p.part.json").write_bytes(damaged)
    fetch_url("c", source(f"{script.url}/p"), into, downloads, ignore, HASTE)
    assert (into / "p").read_bytes() == BODY


def test_a_token_appears_in_no_file_name_or_message(script: Script, tmp_path: Path, into: Path) -> None:
    script.answers = [HALF, answer("503 Busy"), answer("503 Busy"), answer("403 No")]
    downloads, reports = DownloadCache(tmp_path / "downloads", None), []
    wanted = source(f"{script.url}/p?token=Geheimnis&x=1")
    messages = []
    for _ in range(2):
        with pytest.raises(SourceError) as caught:
            fetch_url("c", wanted, into, downloads, reports.append, HASTE)
        messages.append(str(caught.value))
    script.answers = [answer(**length())]
    check_url("c", wanted, downloads, ResponseCache(tmp_path / "scratch" / "watch.json"))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"p.part", "p.part.json", "watch.json"} <= {path.name for path in files}
    assert b"Geheimnis" in script.requests[0]  # sent, but stored nowhere
    assert not any(b"Geheimnis" in path.read_bytes() or "Geheimnis" in str(path) for path in files)
    assert "Geheimnis" not in repr([reports, messages])


def test_a_token_may_come_from_the_environment(
    script: Script, downloads: DownloadCache, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.answers = [answer(**length())]
    wanted = source(f"{script.url}/${{SEQLOOM_A}}/p?token=${{SEQLOOM_A_TOKEN}}&x=$y&h=${{HOME}}")
    monkeypatch.delenv("SEQLOOM_A_TOKEN", raising=False)
    with pytest.raises(SourceError, match=r"contains SEQLOOM_A_TOKEN, but .*; see corpora\.c\.url"):
        fetch_url("c", wanted, into, downloads, ignore, HASTE)
    monkeypatch.setenv("SEQLOOM_A_TOKEN", "a b&c")
    fetch_url("c", wanted, into, downloads, ignore, HASTE)
    assert script.requests[0].startswith(b"GET /${SEQLOOM_A}/p?token=a%20b%26c&x=$y&h=${HOME} ")


@pytest.mark.parametrize(
    "url",
    [
        "http://u:p%40h/x", "http://u%40h/x", "http://u:p@h/x", "http://h:70000/x", "http://h:-1/x", "http://[1:2/x",
        "http://[1:2]/x", "http://-oProxyCommand=x/x", "http://h\\@e.org/x", "http:///x", "http://h#@e.org/", "file:///x",
        "http://e.org/a b", "http://e.org/\n",
    ],
)  # fmt: skip
def test_addresses_with_credentials_or_tricks_are_rejected(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        source(url)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8/x", "https://[::1]/x", "https://bücher.example/ä?q=@", "https://e.org", "https://e.org?x=1"],
)
def test_plain_addresses_are_accepted(url: str) -> None:
    assert source(url).url == url


def test_an_address_is_sent_in_ascii(script: Script) -> None:
    script.answers = [answer(**length())]
    with http_client.open_url(f"{script.url}/ä%20b?q=é", "GET", {}, http_client.TransferLimits()) as response:
        assert http_client.read_block(response, 10) == BODY[:10]
    assert script.requests[0].startswith(b"GET /%C3%A4%20b?q=%C3%A9 ")


def test_an_invalid_host_is_an_error(downloads: DownloadCache, into: Path) -> None:
    with pytest.raises(SourceError, match=r"invalid|cannot be reached"):
        fetch_url("c", source("http://a..b/x"), into, downloads, ignore, HASTE)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=200).map(lambda noise: b"HTTP/1.1 200 OK\r\n" + noise),
        st.binary(max_size=100).map(lambda noise: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + noise),
        st.binary(max_size=100).map(lambda noise: b"HTTP/1.1 302 Found\r\nLocation: " + noise + b"\r\n\r\n"),
        st.binary(max_size=100).map(lambda noise: b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1" + noise),
    )
)
def test_any_response_raises_only_our_errors(script: Script, noise: bytes) -> None:
    script.answers = [noise]
    try:
        with http_client.open_url(f"{script.url}/p", "GET", {}, http_client.TransferLimits(timeout=1.0)) as response:
            while http_client.read_block(response, 1 << 16):
                pass
    except (
        http_client.RefusedError,
        http_client.InterruptedTransferError,
        http_client.UnreachableError,
        http_client.UntrustedError,
    ):
        pass


def test_a_refused_connection_is_an_offline_error(downloads: DownloadCache, into: Path) -> None:
    with pytest.raises(OfflineError, match="cannot be reached"):
        fetch_url("c", source("http://127.0.0.1:9/p"), into, downloads, ignore, HASTE)
