import json
import threading
import urllib.error
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from seqloom.errors import ParamsError
from seqloom.serving.drift import DriftBound, Drifted
from seqloom.serving.prefect_events import PrefectEvents, event_of

DRIFTED = Drifted("seqloom-en-de", "seqloom-en-de/3", {"characters": 0.31234}, DriftBound(0.25, 3600.0))


@contextmanager
def server(status):
    """Answer every POST with a status; yield the URL and the requests."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append((self.path, self.headers.get("Authorization"), body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}/api/", requests
        finally:
            http.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("environment", "header"),
    [({}, None), ({"PREFECT_API_AUTH_STRING": "me:it"}, "Basic bWU6aXQ="), ({"PREFECT_API_KEY": "k"}, "Bearer k")],
)
def test_an_event_is_sent(environment, header):
    with server(204) as (url, requests):
        PrefectEvents(url, environment)(DRIFTED)
    ((path, authorization, (event,)),) = requests
    assert (path, authorization) == ("/api/events", header)
    assert event["event"] == "seqloom.drift"
    assert event["resource"] == {
        "prefect.resource.id": "seqloom.model.seqloom-en-de", "seqloom.version": "seqloom-en-de/3"
    }  # fmt: skip
    assert event["payload"]["population_stability_index"] == {"characters": 0.3123}


def test_a_server_that_refuses_is_an_error():
    with server(422) as (url, _), pytest.raises(urllib.error.HTTPError):
        PrefectEvents(url, {})(DRIFTED)


def test_a_wrong_url_is_refused():
    with pytest.raises(ParamsError, match="--events file:///etc: is not the URL of a Prefect API"):
        PrefectEvents("file:///etc", {})


def test_prefect_accepts_the_event_and_it_starts_retrain():
    from prefect.server.events.schemas.automations import EventTrigger
    from prefect.server.events.schemas.events import Event

    from pipelines import ROOT
    from pipelines.deployments import When, read_deployments

    event = Event.model_validate(event_of(DRIFTED)).receive()
    (nightly,) = [each for each in read_deployments(ROOT, When()) if each.name == "nightly"]
    fields = ("expect", "match", "match_related", "after", "for_each", "posture", "threshold", "within")
    triggers = [EventTrigger(**each.model_dump(mode="json", include=set(fields))) for each in nightly.triggers]
    assert [each.expects(event.event) and each.covers(event) for each in triggers] == [False, True]
