import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from seqloom.errors import BusyError, ModelError
from seqloom.serving.access import hash_key
from seqloom.serving.app import create_app
from seqloom.serving.settings import ServingSettings
from tests.examples import examples
from tests.serving.services import EN_DE, FakeService, failing

VERSION = "seqloom-en-de/3"


def connect(service=None, **settings):
    return TestClient(create_app(service or FakeService(), ServingSettings(**settings)), base_url="http://localhost")


@pytest.fixture(scope="module")
def client():
    return connect()


def ask(**fields):
    return {"q": "hello", "source": "en", "target": "de"} | fields


def test_a_text_gets_a_text_and_the_version(client):
    answer = client.post("/translate", json=ask())
    assert answer.json() == {"translatedText": "HELLO", "version": VERSION}
    assert answer.headers["x-model-version"] == VERSION


def test_an_array_gets_an_array(client):
    answer = client.post("/translate", json=ask(q=["a", "", "c"], api_key=""))
    assert answer.json()["translatedText"] == ["A", "", "C"]
    assert client.post("/translate", json=ask(q=["a"])).json()["translatedText"] == ["A"]
    assert client.post("/translate", json=ask(q=[])).json()["translatedText"] == []


@pytest.mark.parametrize("path", ["/translate", "/translate/"])
def test_fields_come_as_json_form_multipart_or_query(client, path):
    answers = [
        client.post(path, json=ask()),
        client.post(path, data=ask()),
        client.post(path, files={name: (None, value) for name, value in ask().items()}),
        client.post(path, params=ask()),
        client.post(path, content=json.dumps(ask())),  # without a content type
    ]
    assert [(each.status_code, each.json()["translatedText"]) for each in answers] == [(200, "HELLO")] * 5


def test_a_repeated_field_of_a_form_is_an_array(client):
    assert client.post("/translate", data=ask(q=["a", "b"])).json()["translatedText"] == ["A", "B"]


def test_the_language_of_each_text_is_recognised(client):
    answer = client.post("/translate", json=ask(q="hello", source="auto")).json()
    assert answer["detectedLanguage"] == {"confidence": 75, "language": "en"}
    service = FakeService()
    answer = connect(service).post("/translate", json=ask(q=["ist", "so", "für"], source="auto", target="en")).json()
    assert [each["language"] for each in answer["detectedLanguage"]] == ["de", "de", "de"]  # only de can become en
    assert [each["confidence"] for each in answer["detectedLanguage"]] == [75, 25, 75]
    assert [each.direction.source for each in service.queries] == ["de"]


def test_alternatives_are_returned_and_bounded(client):
    answer = client.post("/translate", json=ask(alternatives=2)).json()
    assert answer["alternatives"] == ["HELLO (1)", "HELLO (2)"]
    answer = client.post("/translate", data=ask(q=["a", "b"], alternatives="1")).json()
    assert answer["alternatives"] == [["A (1)"], ["B (1)"]]
    answer = client.post("/translate", json=ask(alternatives=4))
    assert answer.status_code == 400
    assert answer.json() == {"error": "alternatives: 4 is too many; at most 3 are allowed"}


def test_html_keeps_its_markup():
    service = FakeService()
    text = '<p class="a">hello <b>big</b> world &amp; all</p>\n<script>run()</script><img alt="cat">'
    answer = connect(service).post("/translate", json=ask(q=[text, "plain"], format="html", alternatives=1)).json()
    assert service.queries[0].texts == ("hello <b>big</b> world & all", "cat", "plain")
    translated = '<p class="a">HELLO <b>BIG</b> WORLD &amp; ALL</p>\n<script>run()</script><img alt="CAT">'
    assert answer["translatedText"] == [translated, "PLAIN"]
    assert answer["alternatives"][1] == ["PLAIN (1)"]


def test_html_without_text_is_returned(client):
    assert client.post("/translate", json=ask(q="<br>", format="html")).json()["translatedText"] == "<br>"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"q": "a", "source": "en"}, "target is missing"),
        ({"source": "en", "target": "de"}, "q is missing"),
        (ask(q=None), "q is missing"),
        (ask(q=3), "q: input should be a valid string"),
        (ask(q=["a", 3]), "q: input should be a valid string"),
        (ask(source="fr"), "no model translates from 'fr' to 'de'; served are de-en, en-de"),
        (ask(source="auto", target="fr"), "no model translates into 'fr'; served are de, en"),
        (ask(format="xml"), "format: input should be 'text' or 'html'"),
        (ask(alternatives=-1), "alternatives: input should be greater than or equal to 0"),
        (ask(q="x" * 1001), "q has 1,001 characters; at most 1,000 are allowed"),
        (ask(q=["x"] * 21), "q has 21 texts; at most 20 are allowed"),
    ],
)
def test_wrong_fields_are_named(client, fields, error):
    answer = client.post("/translate", json=fields)
    assert (answer.status_code, answer.json()) == (400, {"error": error})


@pytest.mark.parametrize(
    "body", ["{", "[1]", '{"q": "\\ud800"}', "[" * 100_000, '{"q":' * 100_000, b'{"q": "\xff"}', "{} {}"]
)
def test_a_broken_body_is_an_error_of_one_line(client, body):
    answer = client.post("/translate", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert "\n" not in answer.json()["error"]


def test_a_file_in_place_of_a_text_is_refused(client):
    answer = client.post("/translate", files={"q": ("a.txt", b"hello")})
    assert (answer.status_code, answer.json()) == (400, {"error": "q: a file is not accepted here; send text"})


def test_codes_of_other_spellings_are_understood(client):
    service = FakeService()
    assert connect(service).post("/translate", json=ask(source="EN_us", target="de-AT")).status_code == 200
    assert service.queries[0].direction == EN_DE


def test_a_full_queue_says_when_to_come_back():
    answer = connect(failing(BusyError("busy", 7.2))).post("/translate", json=ask())
    assert (answer.status_code, answer.headers["retry-after"], answer.json()) == (429, "8", {"error": "busy"})


def test_an_error_of_the_model_is_not_shown(caplog):
    answer = connect(failing(ModelError("secret detail"))).post("/translate", json=ask())
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "secret detail" in caplog.text


def test_a_bug_is_answered_in_the_protocols_form(caplog):
    answer = connect(FakeService(ValueError("a bug"))).post("/translate", json=ask())
    assert (answer.status_code, list(answer.json())) == (500, ["error"])
    assert "a bug" not in answer.text
    assert "a bug" in caplog.text


def test_a_language_is_detected(client):
    found = [{"confidence": 75, "language": "de"}, {"confidence": 25, "language": "en"}]
    assert client.post("/detect", data={"q": "das ist"}).json() == found
    assert client.post("/detect/", json={"q": "das ist"}).json() == found
    assert client.post("/detect", json={}).json() == {"error": "q is missing"}


@pytest.mark.parametrize("path", ["/languages", "/languages/"])
def test_languages_are_listed_whatever_the_body(client, path):
    languages = [
        {"code": "de", "name": "German", "targets": ["en"]},
        {"code": "en", "name": "English", "targets": ["de"]},
    ]
    kind = {"content-type": "application/x-www-form-urlencoded"}
    answers = [
        client.get(path),
        client.request("GET", path, content="api_key=k", headers=kind),
        client.request("GET", path, content="", headers=kind),
        client.post(path),
        client.post(path, content="{", headers={"content-type": "application/json"}),
    ]
    assert [each.json() for each in answers] == [languages] * 5


def test_what_is_switched_off_is_forbidden(client):
    suggestion = client.post("/suggest", json={"q": "a", "s": "b", "source": "en", "target": "de"})
    assert suggestion.status_code == 403
    assert list(suggestion.json()) == ["error"]


def test_suggestions_are_kept_where_that_is_switched_on(tmp_path):
    client = connect(corrections=tmp_path / "corrections")
    asked = {"q": "hello", "s": "Hallo", "source": "en", "target": "de"}
    assert client.post("/suggest", data=asked).json() == {"success": True}
    assert client.post("/suggest", json=asked | {"s": " "}).json() == {"error": "q and s must not be empty"}
    assert client.post("/suggest", json=asked | {"target": "fr"}).status_code == 400
    assert client.post("/suggest", json=asked | {"s": "x" * 1000}).status_code == 400
    assert client.get("/frontend/settings").json()["suggestions"] is True
    rows = (tmp_path / "corrections" / "en-de.tsv").read_text().splitlines()
    assert [row.split("\t")[:3] for row in rows] == [["source", "target", "version"], ["hello", "Hallo", VERSION]]


def test_settings_health_and_spec(client):
    settings = client.get("/frontend/settings").json()
    assert settings["charLimit"] == 1000
    assert settings["language"]["target"] == {"code": "en", "name": "English"}
    assert (settings["suggestions"], settings["keyRequired"]) == (False, False)
    assert client.get("/health").json() == {"status": "ok"}
    paths = client.get("/spec").json()["paths"]
    schema = paths["/translate"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["q", "source", "target"]
    assert "/translate/" not in paths


def test_requests_are_measured_without_private_labels():
    client = connect()
    client.post("/translate", json=ask(q="private words"))
    client.get("/private-path")
    text = client.get("/metrics").text
    assert 'seqloom_requests_total{interface="libretranslate",route="/translate",status="200"} 1.0' in text
    assert 'seqloom_requests_total{interface="libretranslate",route="unknown",status="404"} 1.0' in text
    assert "private" not in text
    assert "testclient" not in text  # the address


def test_a_key_is_needed_where_keys_are_set():
    client = connect(keys=(hash_key("right"),))
    denied = [client.post("/translate", json=ask(api_key=key)) for key in ("", "wrong")] + [
        client.post("/detect", json={"q": "a"})
    ]
    assert [each.status_code for each in denied] == [403, 403, 403]
    assert client.post("/translate", json=ask(api_key="right")).status_code == 200
    assert client.post("/translate", data=ask(api_key="right")).status_code == 200
    assert client.get("/languages").status_code == 200
    assert client.get("/frontend/settings").json()["keyRequired"] is True


def test_a_form_may_hold_unescaped_utf8(client):
    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = client.post("/translate", content="q=tür&source=en&target=de".encode(), headers=kind)
    assert answer.json()["translatedText"] == "TÜR"
    assert client.post("/translate", content=b"q=a&" * 10_001, headers=kind).status_code == 400


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.sampled_from(["en", "de"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ["q", "source", "target", "format", "alternatives", "api_key", "s"]
HOSTILE = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@HOSTILE
@given(
    path=st.sampled_from(["/translate", "/detect", "/suggest"]), fields=st.dictionaries(st.sampled_from(FIELDS), VALUES)
)
def test_no_json_is_a_server_error(client, path, fields):
    answer = client.post(path, content=json.dumps(fields), headers={"content-type": "application/json"})
    assert answer.status_code in (200, 400, 403)
    assert answer.status_code == 200 or list(answer.json()) == ["error"]


@HOSTILE
@given(
    body=st.binary(max_size=200),
    kind=st.sampled_from(
        ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", ""]
    ),
)
def test_no_bytes_are_a_server_error(client, body, kind):
    answer = client.post("/translate", content=body, headers={"content-type": kind})
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
