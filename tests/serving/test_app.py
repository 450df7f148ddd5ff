import pytest
from starlette.testclient import TestClient

from seqloom.serving.app import create_app
from seqloom.serving.settings import ServingSettings
from tests.serving.services import FakeService


@pytest.fixture(scope="module")
def client():
    with TestClient(create_app(FakeService(), ServingSettings()), base_url="http://localhost") as client:
        yield client


def test_an_unknown_path_gets_the_protocols_error(client):
    answer = client.get("/nowhere")
    assert (answer.status_code, list(answer.json())) == (404, ["error"])


def test_a_wrong_method_gets_the_protocols_error(client):
    answer = client.delete("/health")
    assert (answer.status_code, list(answer.json())) == (405, ["error"])
    assert answer.headers["allow"] == "GET"
