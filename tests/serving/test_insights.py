import pytest
from starlette.testclient import TestClient

from seqloom.errors import BusyError, RequestError
from seqloom.serving.access import hash_key
from seqloom.serving.app import create_app
from seqloom.serving.settings import ServingSettings
from tests.serving.services import FakeService

FIELDS = {"text": "turn on", "translation": "schalte ein", "source": "en", "target": "de"}


def client_of(service, **settings):
    return TestClient(create_app(service, ServingSettings(**settings)), base_url="http://localhost")


def test_drift_is_returned_with_its_bound():
    assert client_of(FakeService(), drift_bound=0.2).get("/seqloom/drift").json() == {
        "bound": 0.2,
        "minutes": 60.0,
        "models": [
            {
                "name": "seqloom-en-de",
                "version": "seqloom-en-de/3",
                "texts": 2000,
                "indices": {"characters": 0.31, "pieces": 0.02},
                "drifted": True,
                "reason": "",
            }
        ],
    }


def test_attention_is_returned_with_its_version():
    answer = client_of(FakeService()).post("/seqloom/attention", json=FIELDS)
    assert answer.headers["x-model-version"] == "seqloom-en-de/3"
    assert answer.json() == {
        "source": ["▁turn", "▁on"],
        "target": ["▁schalte", "▁ein", "</s>"],
        "weights": [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]],
        "version": "seqloom-en-de/3",
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "text is missing"),
        (FIELDS | {"target": "fr"}, "no model translates from 'en' to 'fr'"),
        (FIELDS | {"other": 1}, "other: extra inputs are not permitted"),
    ],
)
def test_wrong_input_gets_an_error(fields, message):
    answer = client_of(FakeService()).post("/seqloom/attention", json=fields)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_only_json_is_read():
    answer = client_of(FakeService()).post("/seqloom/attention", data=FIELDS)
    assert (answer.status_code, answer.json()) == (400, {"error": "send JSON"})


def test_a_busy_server_says_when_to_try_again():
    answer = client_of(FakeService(BusyError("busy", 1.0))).post("/seqloom/attention", json=FIELDS)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


def test_a_model_without_attention_says_so():
    answer = client_of(FakeService(RequestError("a network of type LSTM has no attention to show"))).post(
        "/seqloom/attention", json=FIELDS
    )
    assert (answer.status_code, answer.json()) == (400, {"error": "a network of type LSTM has no attention to show"})


def test_both_need_a_key_if_the_server_does():
    client = client_of(FakeService(), keys=(hash_key("k1"),))
    assert client.get("/seqloom/drift").status_code == 403
    assert client.post("/seqloom/attention", json=FIELDS).status_code == 403
    assert client.get("/seqloom/drift", headers={"authorization": "Bearer k1"}).status_code == 200
