"""Real clients and the registry's champion against a real server."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from libretranslatepy import LibreTranslateAPI

from seqloom.errors import ParamsError
from seqloom.serving.server import is_loopback, listening_socket
from seqloom.tracking.client.store import connect
from seqloom.tracking.registry.champion import set_champion
from tests.serving.conftest import MODEL, Running


def test_libretranslatepy_translates_detects_and_lists(running: Running) -> None:
    client = LibreTranslateAPI(running.url, api_key="")
    assert isinstance(client.translate("Turn on the light", "en", "de"), str)
    assert client.detect("Schalte das Licht ein")[0]["language"] == "de"
    assert [each["code"] for each in client.languages()] == ["de", "en"]
    assert [each["code"] for each in LibreTranslateAPI(f"{running.url}/", api_key="k").languages()] == ["de", "en"]


def test_weblates_calls(running: Running) -> None:
    with httpx.Client(base_url=running.url) as weblate:
        codes = [each["code"].replace("-", "_") for each in weblate.get("/languages").json()]
        assert "de" in codes
        texts = [f"Turn on the light [X{number}X]" for number in range(20)]
        asked = {"api_key": "", "q": texts, "source": "en", "target": "de"}
        answer = weblate.post("/translate", json=asked)
    found = answer.json()["translatedText"]
    assert len(found) == 20
    assert all(f"[X{number}X]" in text for number, text in enumerate(found))


def test_attention_and_drift_of_a_registered_model(running: Running) -> None:
    with httpx.Client(base_url=running.url) as client:
        fields = {"text": "Turn on {name}", "source": "en", "target": "de"}
        seen = client.post("/seqloom/attention", json=fields | {"translation": "Licht an {name}"}).json()
        assert seen["source"][-1] == "<0>"
        assert len(seen["weights"]) == len(seen["target"])
        assert [sum(row) for row in seen["weights"]] == pytest.approx([1.0] * len(seen["target"]), abs=1e-2)
        for fields["text"], message in (("x" * 101, "up to 100 pieces"), ("", "the text is empty")):
            answer = client.post("/seqloom/attention", json=fields | {"translation": "y"})
            assert answer.status_code == 400
            assert message in answer.json()["error"]
        client.post("/translate", data={"q": "Turn on", "source": "en", "target": "de"})
        while not (models := client.get("/seqloom/drift").json()["models"]):
            pass  # it is counted in another thread
    (found,) = models
    assert (found["name"], found["version"], found["indices"]) == (MODEL, f"{MODEL}/1", {})


def test_the_champion_is_replaced_while_requests_run(running: Running) -> None:
    found: list[tuple[int, str]] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=running.url, timeout=60) as client:
            while not stop.is_set():
                answer = client.post("/translate", data={"q": "Turn on", "source": "en", "target": "de"})
                found.append((answer.status_code, answer.headers["x-model-version"]))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        set_champion(connect(running.root, create=False), MODEL, "2", "promote", "a test")
        running.refresh()
        before = len(found)
        while len(found) < before + 10 and all(thread.is_alive() for thread in threads):
            stop.wait(0.01)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {status for status, _ in found} == {200}
    assert found[0][1] == f"{MODEL}/1"
    assert {version for _, version in found[-3:]} == {f"{MODEL}/2"}
    metrics = httpx.get(f"{running.url}/metrics").text
    assert f'seqloom_swaps_total{{model="{MODEL}"}} 1.0' in metrics
    assert f'seqloom_model_info{{model="{MODEL}",version="{MODEL}/2"}} 1.0' in metrics


def test_a_version_whose_files_are_gone_leaves_the_champion(running: Running) -> None:
    store = connect(running.root, create=False)
    client = store.client
    client.create_model_version(MODEL, source=(running.root / "nowhere").as_uri())
    client.set_registered_model_alias(MODEL, "champion", "3")
    running.refresh()
    answer = httpx.post(f"{running.url}/translate", data={"q": "Turn on", "source": "en", "target": "de"})
    assert answer.json()["version"] == f"{MODEL}/1"
    assert f'seqloom_alarm{{kind="load",model="{MODEL}"}} 1.0' in httpx.get(f"{running.url}/metrics").text


@pytest.mark.slow
def test_the_command_serves_with_workers_until_it_is_told_to_end(registry: Path) -> None:
    line = [sys.executable, "-m", "seqloom.cli", "serve", "--model", MODEL, "--port", "0", "--workers", "1"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, cwd=registry, **pipes) as process:
        assert process.stdout.readline() == f"{MODEL}/1: en-de\n"
        url = process.stdout.readline().removeprefix("Serving at ").partition(";")[0]
        log = iter(process.stderr.readline, "")
        assert f"{MODEL}/1 serves" in next(log)
        answer = httpx.post(f"{url}/translate", data={"q": "Turn on", "source": "en", "target": "de"})
        assert answer.json()["version"] == f"{MODEL}/1"
        libraries = Path(f"/proc/{process.pid}/maps").read_text()
        assert "libtorch" not in libraries
        assert "/mlflow/" not in libraries
        process.terminate()
        rest = "".join(log)
        assert process.wait(60) == -signal.SIGTERM
    assert "Traceback" not in rest


def test_a_port_that_is_in_use_is_named() -> None:
    with listening_socket("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ParamsError, match=f"port {port} is in use; choose another with --port"):
            listening_socket("127.0.0.1", port)
    with pytest.raises(ParamsError, match="--host no such host: is not an address or name"):
        listening_socket("no such host", 0)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("x", False)],
)
def test_loopback_addresses_are_recognised(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
