"""Requests generated from the OpenAPI document: no server error, and every error has the form of its protocol."""

import warnings

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from seqloom.serving.app import create_app
from seqloom.serving.settings import ServingSettings
from tests.examples import examples
from tests.serving.services import FakeService

LANGUAGES = {"source": "en", "target": "de", "source_lang": "EN", "target_lang": "DE"}
FORMS = (["error"], ["message"], ["error_code", "message"])  # of LibreTranslate and the page, DeepL, MLflow


@pytest.fixture(scope="module")
def operations():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import schemathesis  # every worker process imports this file; schemathesis takes a second

    app = create_app(FakeService(), ServingSettings(allowed_hosts=("*",)))
    schema = schemathesis.openapi.from_asgi("/spec", app)
    return {f"{each.ok().method.upper()} {each.ok().path}": each.ok() for each in schema.get_all_operations()}


def test_the_document_has_every_protocol(operations):
    assert {"POST /translate", "POST /v2/translate", "POST /v2/document/{id}/result", "POST /invocations"} <= set(
        operations
    )
    assert len(operations) >= 20


@pytest.mark.slow
@pytest.mark.hypothesis
def test_no_generated_request_is_an_error_of_the_server(operations):
    statuses = set()

    @settings(
        max_examples=examples(100),
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    @given(st.data())
    def check(data):
        operation = operations[data.draw(st.sampled_from(sorted(operations)))]
        case = data.draw(operation.as_strategy())
        if isinstance(case.body, dict) and data.draw(st.booleans()):  # else hardly any request reaches the service
            case.body |= {name: code for name, code in LANGUAGES.items() if name in case.body}
        answer = case.call()
        statuses.add(answer.status_code)
        assert answer.status_code < 500, (case.as_curl_command(), answer.text)
        if answer.status_code >= 400:
            assert sorted(answer.json()) in FORMS

    check()
    assert {200, 400} <= statuses
