from contextlib import closing

import deepl
import pytest
from starlette.testclient import TestClient

from seqloom.errors import BusyError, ModelError, TooLongError
from seqloom.serving.access import hash_key
from seqloom.serving.app import create_app
from seqloom.serving.settings import ServingSettings
from tests.serving.loopback import served
from tests.serving.services import FakeService


def client_of(service, **settings):
    return TestClient(create_app(service, ServingSettings(**settings)), base_url="http://localhost")


SERVICE = FakeService()


@pytest.fixture
def service():
    SERVICE.queries.clear()
    return SERVICE


@pytest.fixture(scope="module")
def client():
    with client_of(SERVICE) as client:
        yield client


def translate(client, text, **fields):
    answer = client.post("/v2/translate", json={"text": text, "target_lang": "DE"} | fields)
    assert answer.status_code == 200, answer.text
    return [each["text"] for each in answer.json()["translations"]]


def refused(client, path="/v2/translate", **fields):
    answer = client.post(path, json=fields)
    assert list(answer.json()) == ["message"]
    return answer.status_code, answer.json()["message"]


def test_texts_are_translated_and_the_answer_names_the_version(client):
    answer = client.post("/v2/translate", json={"text": ["hello", ""], "target_lang": "DE"})
    assert answer.headers["x-model-version"] == "seqloom-en-de/3"
    assert answer.json() == {
        "translations": [
            {"detected_source_language": "EN", "text": "HELLO"},
            {"detected_source_language": "EN", "text": ""},
        ],
        "model_version": "seqloom-en-de/3",
    }


def test_a_form_is_read_like_json(client, service):
    fields = {"text": ["one", "two, three"], "target_lang": "de", "source_lang": "EN", "show_billed_characters": "1"}
    answer = client.post("/v2/translate", data=fields)
    assert [(each["text"], each["billed_characters"]) for each in answer.json()["translations"]] == [
        ("ONE", 3),
        ("TWO, THREE", 10),
    ]
    boundary = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, values in fields.items()
        for value in ([values] if isinstance(values, str) else values)
    )
    kind = {"content-type": "multipart/form-data; boundary=x"}
    assert client.post("/v2/translate", content=f"{boundary}--x--\r\n", headers=kind).json() == answer.json()
    assert client.post("/v2/translate", data={"text": "x", "target_lang": "DE", "source_lang": ""}).status_code == 200
    assert [len(query.texts) for query in service.queries] == [2, 2, 1]


def test_the_language_is_detected_for_each_text(client, service):
    answer = client.post("/v2/translate", json={"text": ["hello", "das ist gut"], "target_lang": "EN-US"})
    assert [each["detected_source_language"] for each in answer.json()["translations"]] == ["DE", "DE"]
    assert [str(query.direction) for query in service.queries] == ["de-en"]


def test_xml_keeps_its_tags_and_ignored_elements(client, service):
    text = 'turn <x id="1">it</x> <b>on</b> &amp; off'
    assert translate(client, [text], tag_handling="xml", ignore_tags=["x"]) == [
        'TURN <x id="1">it</x> <b>ON</b> &amp; OFF'
    ]
    assert service.queries[0].texts == ("turn <x1/> <g2>on</g2> & off",)


def test_xml_is_split_as_the_fields_say(client, service):
    text = "<p>one</p><p>two <i>three<br/>four</i></p>"
    for fields in ({}, {"outline_detection": "0"}, {"splitting_tags": "br,p"}, {"non_splitting_tags": ["p"]}):
        translate(client, [text], tag_handling="xml", **fields)
    whole = ("<g1>one</g1><g2>two <g3>three<x4/>four</g3></g2>",)
    assert [query.texts for query in service.queries] == [
        ("one", "two <g1>three<x2/>four</g1>"), whole, ("one", "two", "three", "four"), whole
    ]  # fmt: skip


def test_line_breaks_in_xml_are_kept_only_if_asked(client):
    assert translate(client, ["a\nb"], tag_handling="xml") == ["A B"]
    assert translate(client, ["a\nb"], tag_handling="xml", split_sentences=1) == ["A\nB"]


def test_html_is_translated_by_blocks(client, service):
    text = '<h1>one</h1><p>two <b class="x">three</b> <x>four</x></p>'
    wanted = '<h1>ONE</h1><p>TWO <b class="x">THREE</b> <x>four</x></p>'
    assert translate(client, [text], tag_handling="html", ignore_tags="X") == [wanted]
    assert service.queries[0].texts == ("one", "two <b>three</b> <x1/>")


def test_markup_without_text_needs_no_model(client, service):
    answer = client.post("/v2/translate", json={"text": ["<b/>"], "target_lang": "DE", "tag_handling": "xml"})
    assert answer.json()["translations"] == [{"detected_source_language": "EN", "text": "<b/>"}]
    assert service.queries == []


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({}, 400, "text is missing"),
        ({"text": [], "target_lang": "DE"}, 400, "text: value should have at least 1 item"),
        ({"text": [3], "target_lang": "DE"}, 400, "text: input should be a valid string"),
        ({"text": ["a"], "target_lang": "FR"}, 400, "no model translates into 'FR'; served are de, en"),
        ({"text": ["a"], "target_lang": "DE", "source_lang": "FR"}, 400, "no model translates from 'FR' to 'DE'"),
        ({"text": ["a"], "target_lang": "DE", "formality": "rude"}, 400, "formality: input should be 'default', "),
        ({"text": ["a"], "target_lang": "DE", "tag_handling": "rtf"}, 400, "tag_handling: input should be 'xml' or"),
        ({"text": ["a"], "target_lang": "DE", "ignore_tags": [1]}, 400, "ignore_tags: input should be a valid str"),
        ({"text": ["a"], "target_lang": "DE", "glossary_id": "g1"}, 404, "glossary_id: there is no glossary 'g1'"),
        ({"text": ["<b>"], "target_lang": "DE", "tag_handling": "xml"}, 400, "the text is not well-formed XML"),
    ],
)
def test_wrong_fields_get_deepls_error(client, fields, status, message):
    found = refused(client, **fields)
    assert found[0] == status
    assert found[1].startswith(message)


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"{", "application/json", "not valid JSON"),
        (b"\xff", "application/json", "not valid JSON"),
        (b"[" * 100_000, "application/json", "not valid JSON"),
        (b"[]", "application/json", "must be a JSON object"),
        (b'{"text": ["\\ud800"], "target_lang": "DE"}', "application/json", "half of a surrogate pair"),
        (b"text=a", "text/plain", "text is missing"),
        (b"--x", "multipart/form-data; boundary=y", ""),
        (b"text=a", "multipart/form-data", ""),
    ],
)
def test_a_wrong_body_gets_deepls_error(client, body, kind, message):
    answer = client.post("/v2/translate", content=body, headers={"content-type": kind})
    assert answer.status_code == 400
    assert message in answer.json()["message"]


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        (TooLongError("too long"), 413, "too long"),
        (BusyError("the queue is full", 1.5), 429, "the queue is full"),
        (ModelError("secret"), 500, "the text could not be translated; the log of the server says why"),
    ],
)
def test_errors_of_the_service(fault, status, message):
    client = client_of(FakeService(fault))
    assert refused(client, text=["a"], target_lang="DE") == (status, message)


def test_unknown_paths_and_methods_get_deepls_error(client):
    for method, path, status in [
        ("GET", "/v2/nowhere", 404), ("GET", "/v2/translate", 405), ("POST", "/v3/glossaries", 404),
        ("GET", "/v2/glossaries/g1", 404), ("GET", "/v2/document", 405),
    ]:  # fmt: skip
        answer = client.request(method, path)
        assert (answer.status_code, list(answer.json())) == (status, ["message"]), path


def test_a_key_is_asked_for():
    client = client_of(FakeService(), keys=(hash_key("k1"),))
    for path in ("/v2/usage", "/v2/languages", "/v2/glossaries", "/v2/glossary-language-pairs"):
        answer = client.get(path, headers={"authorization": "Bearer k1"})
        assert (answer.status_code, answer.json()) == (403, {"message": "an API key is needed"})
        assert client.get(path, headers={"authorization": "DeepL-Auth-Key k1"}).status_code == 200
    assert refused(client, text=["a"], target_lang="DE")[0] == 403


def test_languages(client):
    assert client.get("/v2/languages").json() == [
        {"language": "DE", "name": "German"},
        {"language": "EN", "name": "English"},
    ]
    targets = client.get("/v2/languages", params={"type": "target"}).json()
    assert [(each["language"], each["name"]) for each in targets] == [
        ("DE", "German"), ("EN-GB", "English (British)"), ("EN-US", "English (American)")
    ]  # fmt: skip
    assert refused(client, "/v2/languages", type="both")[0] == 400


def test_the_official_client(service):
    with served(create_app(service, ServingSettings(keys=(hash_key("k1"),)))) as url:
        with closing(deepl.DeepLClient("wrong", server_url=url)) as client, pytest.raises(deepl.AuthorizationException):
            client.get_usage()
        with closing(deepl.DeepLClient("k1", server_url=url)) as client:
            found = client.translate_text(
                ["hello", "the <x>cat</x>"], target_lang="DE", tag_handling="xml", ignore_tags="x"
            )
            assert [(each.text, each.detected_source_lang, each.billed_characters) for each in found] == [
                ("HELLO", "EN", 5),
                ("THE <x>cat</x>", "EN", 14),
            ]
            options = {
                "formality": "more",
                "context": "c",
                "split_sentences": "nonewlines",
                "preserve_formatting": True,
            }
            more = client.translate_text("gut ist das", source_lang="DE", target_lang="EN-US", **options)
            assert more.text == "GUT IST DAS"
            usage = client.get_usage().character
            assert (usage.count, usage.limit_reached) == (30, False)
            assert [each.code for each in client.get_source_languages()] == ["DE", "EN"]
            assert [each.code for each in client.get_target_languages()] == ["DE", "EN-GB", "EN-US"]
            assert client.get_glossary_languages() == client.list_glossaries() == []
            with pytest.raises(deepl.DeepLException, match="no model translates into 'FR'"):
                client.translate_text("a", target_lang="FR")
