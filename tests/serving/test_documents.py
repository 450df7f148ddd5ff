import asyncio
from contextlib import closing

import deepl
import pytest
from starlette.testclient import TestClient

from seqloom.errors import BusyError, DirectionError, ModelError, RequestError
from seqloom.serving.access import hash_key
from seqloom.serving.app import create_app
from seqloom.serving.documents import MOST_OF_CLIENT, Documents, State, Upload
from seqloom.serving.service import Limits
from seqloom.serving.settings import ServingSettings
from tests.serving.loopback import served
from tests.serving.services import FakeService

PROPERTIES = b"# title\nfirst = one\nsecond = two\n"
SENT = Upload("a.properties", PROPERTIES, "en", "de", "c")


def translated(documents, upload=SENT):
    """Translate a document, and return its id and job."""

    async def wait():
        id = documents.submit(upload)
        return id, await documents.finished(id)

    return asyncio.run(wait())


def test_a_document_is_translated_and_can_be_taken_once():
    service = FakeService()
    documents = Documents(service)
    id, job = translated(documents)
    assert (job.state, job.version, job.characters) == (State.DONE, "seqloom-en-de/3", 6)
    assert documents.take(id) == b"# title\nfirst = ONE\nsecond = TWO\n"
    assert documents.find(id) is None
    assert [query.client for query in service.queries] == ["c"]


def test_the_language_is_detected():
    service = FakeService()
    translated(Documents(service), SENT._replace(content=b"first = das ist gut\n", source=None, target="EN"))
    assert str(service.queries[0].direction) == "de-en"


def test_texts_are_sent_in_parts():
    service = FakeService(limits=Limits(characters=9000, texts=2, alternatives=0))
    lines = b"".join(b"k%d = %s\n" % (number, b"x%d " % number * 800) for number in range(4))
    _, job = translated(Documents(service), SENT._replace(content=lines))
    assert job.state == State.DONE
    assert [len(query.texts) for query in service.queries] == [1, 1, 1, 1]
    few = b"".join(b"k%d = x%d\n" % (number, number) for number in range(5))
    translated(Documents(service), SENT._replace(content=few))
    assert [len(query.texts) for query in service.queries[4:]] == [2, 2, 1]


def test_a_full_queue_only_delays_a_document():
    class Busy(FakeService):
        async def translate(self, query):
            if self.fault:
                fault, self.fault = self.fault, None
                raise fault
            return await super().translate(query)

    assert translated(Documents(Busy(BusyError("full", 0.0))))[1].state == State.DONE


@pytest.mark.parametrize(
    ("service", "content", "fault"),
    [
        (FakeService(ModelError("the model is broken")), PROPERTIES, "the model is broken"),
        (FakeService(), b"\xff\xfe\x00", "a.properties"),
        (FakeService(ZeroDivisionError()), PROPERTIES, "internal error; the log of the server has the details"),
    ],
)
def test_a_document_that_cannot_be_translated_says_why(service, content, fault):
    _, job = translated(Documents(service), SENT._replace(content=content))
    assert job.state == State.ERROR
    assert fault in job.fault


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": "a.exe"}, RequestError("a.exe: the format cannot be told from the name")),
        ({"content": b"\x1f\x8b"}, RequestError("a.properties: is compressed")),
        ({"target": "fr"}, DirectionError("no model translates from 'en' to 'fr'")),
        ({"source": None, "target": "fr"}, DirectionError("no model translates into 'fr'")),
    ],
)
def test_wrong_documents_are_refused(change, error):
    with pytest.raises(type(error), match=str(error)):
        translated(Documents(FakeService()), SENT._replace(**change))


def test_documents_are_limited_and_forgotten():
    now = [0.0]
    documents = Documents(FakeService(), clock=lambda: now[0])
    ids = [translated(documents)[0] for _ in range(MOST_OF_CLIENT)]
    with pytest.raises(BusyError, match="too many documents"):
        translated(documents)
    translated(documents, SENT._replace(client="other"))
    now[0] = 3601.0
    assert documents.find(ids[0]) is None
    translated(documents)


@pytest.fixture(scope="module")
def client():
    with TestClient(create_app(FakeService(), ServingSettings()), base_url="http://localhost") as client:
        yield client


@pytest.mark.parametrize(
    ("fields", "file", "status", "message"),
    [
        ({}, ("a.txt", b"x"), 400, "target_lang is missing"),
        ({"target_lang": "DE"}, None, 400, "a document is sent as multipart/form-data"),
        ({"target_lang": "DE"}, ("a.exe", b"x"), 400, "a.exe: the format cannot be told"),
        ({"target_lang": "DE", "output_format": "pdf"}, ("a.txt", b"x"), 400, "output_format: documents keep"),
        ({"target_lang": "DE", "glossary_id": "g"}, ("a.txt", b"x"), 404, "glossary_id: there is no glossary 'g'"),
    ],
)
def test_wrong_uploads_get_deepls_error(client, fields, file, status, message):
    answer = client.post("/v2/document", data=fields, files={"file": file} if file else None)
    assert answer.status_code == status
    assert answer.json()["message"].startswith(message)


def test_an_unknown_document_gets_deepls_error(client):
    for path in ("/v2/document/x", "/v2/document/x/result"):
        answer = client.post(path, json={"document_key": "y"})
        assert (answer.status_code, list(answer.json())) == (404, ["message"])
        assert client.post(path).json() == {"message": "document_key is missing"}


def test_libretranslates_files(client):
    sent = {"files": {"file": ("ä b.properties", PROPERTIES)}}
    for source in ("en", "auto"):
        answer = client.post("/translate_file", data={"source": source, "target": "de"}, **sent)
        url = answer.json()["translatedFileUrl"]
        assert url.startswith("http://localhost/download_file/")
        assert answer.headers["x-model-version"] == "seqloom-en-de/3"
        for _ in range(2):
            file = client.get(url.removeprefix("http://localhost"))
            assert file.content == b"# title\nfirst = ONE\nsecond = TWO\n"
            assert file.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%A4%20b.properties"
    settings = client.get("/frontend/settings").json()
    assert settings["filesTranslation"] is True
    assert ".po" in settings["supportedFilesFormat"]


@pytest.mark.parametrize(
    ("fields", "file", "message"),
    [
        ({"source": "en"}, ("a.txt", b"x"), "target is missing"),
        ({"source": "en", "target": "fr"}, ("a.txt", b"x"), "no model translates from 'en' to 'fr'"),
        ({"source": "en", "target": "de"}, ("a.exe", b"x"), "a.exe: the format cannot be told"),
        ({"source": "en", "target": "de"}, ("a.json", b"{"), "a.json: "),
    ],
)
def test_wrong_files_get_libretranslates_error(client, fields, file, message):
    answer = client.post("/translate_file", data=fields, files={"file": file})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(message)
    assert client.get("/download_file/x.txt").status_code == 404


def test_the_official_client(tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client asks for the status every five seconds
    source, target = tmp_path / "ä.properties", tmp_path / "out.properties"
    source.write_bytes(PROPERTIES)
    with (
        served(create_app(FakeService(), ServingSettings(keys=(hash_key("k1"),)))) as url,
        closing(deepl.DeepLClient("k1", server_url=url)) as client,
    ):
        status = client.translate_document_from_filepath(source, target, target_lang="DE")
        assert (status.done, status.billed_characters) == (True, 6)
        assert target.read_bytes().startswith(b"# title\nfirst = ONE\n")
