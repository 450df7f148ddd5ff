import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from seqloom.errors import BusyError
from seqloom.serving.access import hash_key
from seqloom.serving.app import create_app
from seqloom.serving.page import routes
from seqloom.serving.settings import ServingSettings
from tests.serving.services import FakeService


def client_of(service, **settings):
    return TestClient(create_app(service, ServingSettings(**settings)), base_url="http://localhost")


@pytest.fixture(scope="module")
def client():
    with client_of(FakeService()) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "kind", "start"),
    [
        ("/", "text/html", "<!doctype"),
        ("/page/page.css", "text/css", ":root"),
        *((f"/page/{path.name}", "text/javascript", "//") for path in Path(routes.__file__).parent.glob("*.js")),
    ],
)
def test_the_files_are_sent_with_a_strict_policy(client, path, kind, start):
    answer = client.get(path)
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
    assert answer.text.startswith(start)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_state_tells_what_the_script_needs(client):
    state = client.get("/page/state").json()
    assert state["directions"] == [{"source": "de", "target": "en"}, {"source": "en", "target": "de"}]
    assert state["names"] == {"de": "German", "en": "English"}
    assert (state["key_required"], state["suggestions"]) == (False, False)
    assert ".po" in state["files"]
    assert client_of(FakeService(), corrections=Path("x")).get("/page/state").json()["suggestions"] is True


def test_what_is_served(client):
    (served,) = client.get("/page/served").json()["served"]
    assert (served["version"], served["directions"]) == ("seqloom-en-de/3", ["de-en", "en-de"])
    assert served["scores"] == {"bleu": 29.6}


def test_a_text_is_translated_with_alternatives(client):
    answer = client.post("/page/translate", json={"text": "hello", "target": "de", "alternatives": 1})
    assert answer.headers["x-model-version"] == "seqloom-en-de/3"
    assert answer.json() == {
        "translations": [
            {"text": "HELLO", "flags": [], "confidence": 0.8},
            {"text": "HELLO (1)", "flags": [], "confidence": None},
        ],
        "version": "seqloom-en-de/3",
        "source": "en",
        "target": "de",
        "detected": 0.75,
    }
    named = client.post("/page/translate", json={"text": "a", "source": "de", "target": "en"}).json()
    assert (named["source"], named["detected"]) == ("de", None)


def test_a_version_can_be_chosen():
    service = FakeService()
    fields = {"text": "a", "source": "en", "target": "de", "version": "seqloom-en-de/3"}
    client = client_of(service)
    assert client.post("/page/translate", json=fields).status_code == 200
    assert service.queries[0].version == "seqloom-en-de/3"
    service.version = "seqloom-en-de/4"
    answer = client.post("/page/translate", json=fields)
    assert (answer.status_code, answer.json()) == (
        400, {"error": "version seqloom-en-de/3 is not served any more; reload the page"}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "text is missing"),
        (
            {"text": "\ud800", "target": "de"},
            "the body contains half of a surrogate pair, which is not a character",
        ),
        ({"text": "a", "target": "fr"}, "no model translates into 'fr'; served are de, en"),
        (
            {"text": "a", "source": "fr", "target": "de"},
            "no model translates from 'fr' to 'de'; served are de-en, en-de",
        ),
        ({"text": "a", "target": "de", "alternatives": -1}, "alternatives: input should be greater than or equal to 0"),
        ({"text": "a", "target": "de", "other": 1}, "other: extra inputs are not permitted"),
    ],
)
def test_wrong_input_gets_an_error(client, fields, message):
    answer = client.post("/page/translate", content=json.dumps(fields), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (400, {"error": message})


def test_other_origins_cannot_send_plain_forms(client):
    answer = client.post(
        "/page/translate", content=b'{"text": "a", "target": "de"}', headers={"content-type": "text/plain"}
    )
    assert answer.status_code == 400


def test_a_full_queue_tells_when_to_try_again():
    answer = client_of(FakeService(BusyError("the queue is full", 1.2))).post(
        "/page/translate", json={"text": "a", "target": "de"}
    )
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")


def test_a_key_is_asked_for():
    client = client_of(FakeService(), keys=(hash_key("k1"),))
    assert client.get("/").status_code == 200
    assert client.get("/page/state").json()["key_required"] is True
    assert client.get("/page/served").status_code == 403
    assert client.get("/page/served", headers={"authorization": "Bearer k1"}).status_code == 200
    assert client.post("/page/translate", json={"text": "a", "target": "de"}).status_code == 403


def test_unknown_paths_get_an_error(client):
    assert client.get("/page/nothing").json() == {"error": "Not Found"}
