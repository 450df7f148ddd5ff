import asyncio
import logging

import httpx
import pytest
from starlette.testclient import TestClient

from seqloom.serving.app import create_app
from seqloom.serving.service import Query
from seqloom.serving.settings import ServingSettings
from tests.serving.services import FakeService

ASK = {"q": "secret words", "source": "en", "target": "de"}


def connect(service=None, url="http://localhost", **settings):
    return TestClient(create_app(service or FakeService(), ServingSettings(**settings)), base_url=url)


@pytest.mark.parametrize("url", ["http://localhost:8080", "http://127.0.0.1", "http://[::1]:81", "http://LOCALHOST"])
def test_the_names_of_this_machine_are_served(url):
    assert connect(url=url).get("/health").status_code == 200


@pytest.mark.parametrize("url", ["http://evil.example", "http://localhost.evil.example:8080"])
def test_other_hosts_are_refused_in_the_protocols_form(url):
    answer = connect(url=url).get("/health")
    assert answer.status_code == 400
    assert "--allow-host" in answer.json()["error"]
    assert connect(url=url, allowed_hosts=("*",)).get("/health").status_code == 200


def test_every_response_has_security_headers_and_only_its_own_origin():
    for path in ("/health", "/nowhere"):
        answer = connect().get(path, headers={"origin": "http://evil.example"})
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "access-control-allow-origin" not in answer.headers


def test_named_origins_may_call_from_a_browser():
    client = connect(origins=("https://tool.example",))
    answer = client.post("/translate", json=ASK, headers={"origin": "https://tool.example"})
    assert answer.headers["access-control-allow-origin"] == "https://tool.example"
    assert "access-control-allow-origin" not in client.get("/health", headers={"origin": "https://x.example"}).headers


def test_a_large_body_is_refused_before_it_is_read_whole():
    client = connect(body_bytes=100)
    assert client.post("/translate", content=b"x" * 101).status_code == 413
    streamed = client.post("/translate", content=(b"x" * 60 for _ in range(3)))  # without a length
    assert (streamed.status_code, streamed.json()) == (413, {"error": "the request is larger than 100 bytes"})
    assert client.post("/translate", json=ASK).status_code == 200


def test_the_log_names_routes_but_no_texts_keys_or_addresses(caplog):
    with caplog.at_level(logging.INFO, "seqloom"):
        connect().post("/translate?api_key=k3y", data=ASK)
    assert "POST /translate 200" in caplog.text
    for private in ("secret", "k3y", "testclient"):
        assert private not in caplog.text


def test_a_client_that_disconnects_frees_its_place():
    cancelled = []

    class Endless(FakeService):
        async def translate(self, query: Query):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(query.texts)
                raise

    app = create_app(Endless(), ServingSettings())
    messages = [
        {"type": "http.request", "body": b'{"q": "a", "source": "en", "target": "de"}', "more_body": False},
        {"type": "http.disconnect"},
    ]

    async def receive():
        return messages.pop(0)

    async def send(message):
        pass

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/translate", "raw_path": b"/translate", "root_path": "",
             "scheme": "http", "query_string": b"", "headers": headers, "client": ("1.2.3.4", 5), "server": ("x", 80),
             "http_version": "1.1", "asgi": {"version": "3.0"}}  # fmt: skip
    asyncio.run(app(scope, receive, send))
    assert cancelled == [("a",)]


def test_health_answers_while_texts_are_translated():
    proceed = asyncio.Event()

    class Slow(FakeService):
        async def translate(self, query: Query):
            await proceed.wait()
            return await super().translate(query)

    async def scenario():
        transport = httpx.ASGITransport(create_app(Slow(), ServingSettings()))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            task = asyncio.create_task(client.post("/translate", json=ASK))
            health = await client.get("/health")
            proceed.set()
            return health.status_code, (await task).status_code

    assert asyncio.run(scenario()) == (200, 200)
