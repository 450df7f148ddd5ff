"""Sends the event `seqloom.drift` to a Prefect server, by its REST API, so that Prefect need not be installed.

prefect.yaml has a trigger that starts `retrain` on this event.
"""

import base64
import json
import urllib.request
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from seqloom.errors import ParamsError
from seqloom.serving.drift import Drifted

EVENT = "seqloom.drift"
URL_VARIABLE = "PREFECT_API_URL"
DEFAULT_URL = "http://127.0.0.1:4200/api"  # of `make schedule`
_SECONDS = 10


class PrefectEvents:
    """Announces drift to the Prefect API at `url`. `environment` may hold Prefect's credentials."""

    def __init__(self, url: str, environment: Mapping[str, str]) -> None:
        if not url.startswith(("http://", "https://")):
            raise ParamsError(f"--events {url}: is not the URL of a Prefect API; valid is, for example, {DEFAULT_URL}")
        self._url = f"{url.rstrip('/')}/events"
        self._headers = {"Content-Type": "application/json", **_authorization(environment)}

    def __call__(self, drifted: Drifted) -> None:
        """Send the event. Raises `OSError` if the server does not take it."""
        body = json.dumps([event_of(drifted)]).encode()
        request = urllib.request.Request(self._url, body, self._headers, method="POST")
        urllib.request.urlopen(request, timeout=_SECONDS).close()


def event_of(drifted: Drifted) -> dict[str, Any]:
    """Return an event as POST /api/events expects it."""
    return {
        "id": str(uuid.uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": EVENT,
        "resource": {"prefect.resource.id": f"seqloom.model.{drifted.model}", "seqloom.version": drifted.version},
        "payload": {
            "version": drifted.version,
            "population_stability_index": {name: round(index, 4) for name, index in drifted.indices.items()},
            "bound": drifted.bound.above,
            "seconds": drifted.bound.seconds,
        },
    }


def _authorization(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the header for Prefect's own variables of credentials, if they are set."""
    if basic := environment.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {base64.b64encode(basic.encode()).decode()}"}
    if key := environment.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    return {}
