"""Create the TrainJob of trainjob.yaml from within a pod, wait for its end, and exit with 0 if it is complete.

    export SEQLOOM_TRAIN_LAUNCHER="python deploy/training/kubernetes/submit.py"

With this, `dvc repro` and the flows in the pod train on several machines. The pod needs the service account of
access.yaml and its token. SIGTERM deletes the job; its pods then have time for a checkpoint.
"""

import json
import os
import signal
import ssl
import sys
import time
import urllib.request
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn
from urllib.error import HTTPError, URLError

import yaml

from seqloom.exits import MISUSED, TERMINATED, TRY_LATER

MANIFEST = Path(__file__).parent / "trainjob.yaml"
ACCOUNT = Path(os.environ.get("SEQLOOM_SERVICE_ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
EVERY = float(os.environ.get("SEQLOOM_POLL_SECONDS", "10"))
SILENT_AT_MOST = 30  # polls without an answer from the API server


class Api:
    """The TrainJobs of a namespace, through the API server of this pod's cluster."""

    def __init__(self, namespace: str) -> None:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT_HTTPS", "443")
        host = f"[{host}]" if ":" in host else host
        scheme = os.environ.get("SEQLOOM_KUBERNETES_SCHEME", "https")  # http in tests
        self._jobs = f"{scheme}://{host}:{port}/apis/trainer.kubeflow.org/v1alpha1/namespaces/{namespace}/trainjobs"
        authority = ACCOUNT / "ca.crt"
        self._context = ssl.create_default_context(cafile=str(authority)) if scheme == "https" else None

    def call(self, method: str, name: str = "", content: object = None) -> dict[str, Any]:
        """Return the answer to a request.

        Raises:
            OSError: the server refused it or does not answer.
        """
        request = urllib.request.Request(
            f"{self._jobs}/{name}".rstrip("/"),
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            # Read each time: the kubelet renews the token.
            headers={
                "Authorization": f"Bearer {(ACCOUNT / 'token').read_text().strip()}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=30, context=self._context) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


def wait(api: Api, name: str) -> int:
    """Wait until the job is complete or failed; return the exit status."""
    silent = 0
    while True:
        time.sleep(EVERY)
        try:
            conditions = api.call("GET", name).get("status", {}).get("conditions", [])
            silent = 0
        except HTTPError as error:
            if error.code == 404:
                print(f"error: TrainJob {name} was deleted", file=sys.stderr)
                return 1
            conditions, silent = [], silent + 1
        except URLError:
            conditions, silent = [], silent + 1
        if silent > SILENT_AT_MOST:
            print(f"error: the API server does not answer; TrainJob {name} may go on", file=sys.stderr)
            return 1
        for condition in conditions:
            if condition["status"] == "True" and condition["type"] in ("Complete", "Failed"):
                print(f"seqloom: TrainJob {name}: {condition['type']}: {condition.get('message', '')}", flush=True)
                return int(condition["type"] == "Failed")


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(TERMINATED)


def main() -> int:
    """Create the job and wait for it."""
    if "KUBERNETES_SERVICE_HOST" not in os.environ or not (ACCOUNT / "token").is_file():
        print(f"error: this is not a pod with a service account's token in {ACCOUNT}", file=sys.stderr)
        return MISUSED
    manifest = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    api = Api(manifest["metadata"]["namespace"])
    signal.signal(signal.SIGTERM, _end)
    try:
        name = api.call("POST", content=manifest)["metadata"]["name"]
    except HTTPError as error:
        print(f"error: the API server refused the TrainJob: {error.code} {error.read().decode()}", file=sys.stderr)
        return 1
    except URLError as error:
        print(f"error: the API server does not answer: {error.reason}", file=sys.stderr)
        return TRY_LATER
    print(f"seqloom: TrainJob {name} trains", flush=True)
    try:
        return wait(api, name)
    except (KeyboardInterrupt, SystemExit):
        api.call("DELETE", name)
        raise


if __name__ == "__main__":
    sys.exit(main())
