import json
import warnings

import pandas as pd
import pytest
from starlette.testclient import TestClient

from seqloom.errors import BusyError, ModelError
from seqloom.serving.access import hash_key
from seqloom.serving.app import create_app
from seqloom.serving.settings import ServingSettings
from tests.serving.loopback import served
from tests.serving.services import EN_DE, FakeService


class OneWay(FakeService):
    def directions(self):
        return [EN_DE]


def client_of(service, **settings):
    return TestClient(create_app(service, ServingSettings(**settings)), base_url="http://localhost")


@pytest.fixture(scope="module")
def client():
    with client_of(OneWay()) as client:
        yield client


def refused(answer):
    assert list(answer.json()) == ["error_code", "message"]
    return answer.status_code, answer.json()["error_code"], answer.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["source"], "index": [0, 1], "data": [["one"], ["two"]]}},
        {"dataframe_split": {"columns": ["id", "source"], "data": [[1, "one"], [2, "two"]]}},
        {"dataframe_split": {"columns": [0], "data": [["one"], ["two"]]}},
        {"dataframe_split": {"data": [["one"], ["two"]]}},
        {"dataframe_records": [{"id": 7, "source": "one"}, {"source": "two"}]},
        {"dataframe_records": [{"text": "one"}, {"text": "two"}]},
        {"instances": ["one", "two"]},
        {"instances": [["one"], ["two"]]},
        {"instances": [{"source": "one"}, {"source": "two"}]},
        {"inputs": ["one", "two"]},
        {"inputs": {"source": ["one", "two"], "other": ["x", "y"]}},
        {"inputs": ["one", "two"], "params": {"language": "DE"}},
    ],
)
def test_every_form_of_input(client, body):
    answer = client.post("/invocations", json=body)
    assert answer.json() == {"predictions": ["ONE", "TWO"], "model_version": "seqloom-en-de/3"}
    assert answer.headers["x-model-version"] == "seqloom-en-de/3"


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ('source\none\n"two,\nthree"\n', ["ONE", "TWO,\nTHREE"]),
        ("id,source\r\n1,NA\r\n2,\r\n", ["NA", ""]),
        ("text\n", []),
    ],
)
def test_csv(client, body, wanted):
    answer = client.post("/invocations", content=body, headers={"content-type": "text/csv; charset=utf-8"})
    assert answer.json()["predictions"] == wanted


def test_one_text_and_no_text(client):
    assert client.post("/invocations", json={"inputs": "one"}).json()["predictions"] == ["ONE"]
    for form in ("instances", "inputs", "dataframe_records"):
        assert client.post("/invocations", json={form: []}).json()["predictions"] == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "the body must be a JSON object"),
        ({}, "exactly one of dataframe_split, dataframe_records, instances, inputs"),
        ({"inputs": ["\ud800"]}, "half of a surrogate pair"),
        ({"inputs": ["a"], "instances": ["a"]}, "exactly one of"),
        ({"inputs": ["a", None]}, "row 1, counted from 0, is null; every row must be a string"),
        ({"instances": [["a", "b"]]}, "row 0, counted from 0, is of type list"),
        ({"dataframe_split": {"columns": ["x", "source"], "data": [["a"]]}}, "row 0, counted from 0, is null"),
        ({"dataframe_split": {"data": ["a"]}}, "dataframe_split: has the wrong form"),
        ({"dataframe_split": {"columns": 3, "data": [["a"]]}}, "dataframe_split: has the wrong form"),
        ({"dataframe_records": [{}]}, "row 0, counted from 0, is null"),
        ({"inputs": {}}, "inputs: has the wrong form"),
        ({"inputs": 3}, "inputs: has the wrong form"),
        ({"inputs": ["a"], "params": []}, None),
        ({"inputs": ["a"], "params": [1]}, "params: must be an object"),
        ({"inputs": ["a"], "params": {"language": 3}}, "params: language must be a string"),
        ({"inputs": ["a"], "params": {"beam": 2}}, "params: beam cannot be set while a model is served"),
        ({"inputs": ["a"], "params": {"language": "fr"}}, "no model translates into 'fr'; served are de"),
    ],
)
def test_wrong_input_gets_mlflows_error(client, body, message):
    answer = client.post("/invocations", content=json.dumps(body), headers={"content-type": "application/json"})
    if message is None:
        assert answer.status_code == 200
        return
    status, code, found = refused(answer)
    assert (status, code) == (400, "BAD_REQUEST")
    assert message in found


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff", "text/csv", 400),
        (b'"', "text/csv", 400),
        (b"", "text/csv", 400),
        (b"x", "text/plain", 415),
        (b"source\nx", "text/csv; charset=latin-1", 415),
    ],
)
def test_a_wrong_body_gets_mlflows_error(client, body, kind, status):
    answer = client.post("/invocations", content=body, headers={"content-type": kind})
    assert refused(answer)[:2] == (status, "BAD_REQUEST")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [(BusyError("the queue is full", 2.0), 429, "REQUEST_LIMIT_EXCEEDED"), (ModelError("x"), 500, "INTERNAL_ERROR")],
)
def test_errors_of_the_service(fault, status, code):
    assert refused(client_of(OneWay(fault)).post("/invocations", json={"inputs": ["a"]}))[:2] == (status, code)


def test_the_language_is_needed_if_several_are_served():
    client = client_of(FakeService())
    assert "language is required; valid are de, en" in refused(client.post("/invocations", json={"inputs": ["a"]}))[2]
    answer = client.post("/invocations", json={"inputs": ["a"], "params": {"language": "en"}})
    assert answer.json()["predictions"] == ["A"]


def test_other_methods_get_mlflows_error(client):
    assert refused(client.get("/invocations"))[0] == 405
    assert client.get("/ping").status_code == 200
    assert client.get("/health").json() == {"status": "ok"}


def test_mlflows_own_client():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing MLflow's server warns of its own type hints
        from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    with served(create_app(OneWay(), ServingSettings())) as url:
        client = ScoringServerClient("127.0.0.1", url.rpartition(":")[2])
        client.wait_server_ready(timeout=5)
        assert client.get_version()[0].isdigit()
        frame = pd.DataFrame({"source": ["one", "two"]})
        assert client.invoke(frame, params={"language": "de"})["predictions"] == ["ONE", "TWO"]
        with pytest.raises(Exception, match=r"error code 400.*cannot be set while"):
            client.invoke(frame, params={"beam": 2})


def test_a_key_is_asked_for():
    client = client_of(OneWay(), keys=(hash_key("k1"),))
    assert refused(client.post("/invocations", json={"inputs": ["a"]}))[:2] == (403, "PERMISSION_DENIED")
    answer = client.post("/invocations", json={"inputs": ["a"]}, headers={"authorization": "Bearer k1"})
    assert answer.json()["predictions"] == ["A"]
    assert client.get("/ping").status_code == 200
