"""The page of `seqloom serve` in Chromium."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import websockets

from seqloom.serving.app import create_app
from seqloom.serving.settings import ServingSettings
from tests.serving.loopback import served
from tests.serving.services import FakeService

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PORT_FILE = "DevToolsActivePort"  # Chromium writes it into its profile: the port, and the path of its socket
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}

pytestmark = [pytest.mark.services, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


class Tab:
    """A page of the browser, driven through its debugging protocol. `faults` are errors that it logged."""

    def __init__(self, socket, session: str) -> None:
        self.socket, self.session, self.number, self.faults = socket, session, 0, []

    async def command(self, method: str, **params):
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        await self.socket.send(json.dumps(request | ({"sessionId": self.session} if self.session else {})))
        while True:
            message = json.loads(await self.socket.recv())
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.faults.append(message["params"])
            if message.get("id") == self.number and message.get("sessionId", "") == self.session:
                return message["result"]

    async def value(self, script: str):
        found = await self.command("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return found["result"].get("value")

    async def until(self, script: str):
        for _ in range(200):
            if found := await self.value(script):
                return found
            await asyncio.sleep(0.1)
        raise AssertionError(f"never true: {script}")


async def open_tab(profile: Path) -> tuple[websockets.ClientConnection, Tab]:
    while not (profile / PORT_FILE).is_file() or len((profile / PORT_FILE).read_text().split()) < 2:
        await asyncio.sleep(0.1)
    port, path = (profile / PORT_FILE).read_text().split()
    socket = await websockets.connect(f"ws://127.0.0.1:{port}{path}", open_timeout=60, max_size=None)
    browser = Tab(socket, "")
    target = (await browser.command("Target.createTarget", url="about:blank"))["targetId"]
    session = (await browser.command("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
    return socket, Tab(socket, session)


async def use(tab: Tab, url: str, scheme: str, size: tuple[int, int]) -> None:
    """Type a text, and open every page."""
    for domain in ("Page", "Runtime", "Log"):
        await tab.command(f"{domain}.enable")
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    await tab.command("Emulation.setEmulatedMedia", features=media)
    await tab.command(
        "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=size[0] < 500
    )
    await tab.command("Page.navigate", url=url)
    await tab.until("document.activeElement.id === 'text' && document.querySelectorAll('#source option').length === 3")
    await tab.command("Input.insertText", text="hello")
    await tab.until("document.getElementById('result').textContent === 'HELLO'")
    assert await tab.value("document.getElementById('version').textContent") == "seqloom-en-de/3 · confidence 80%"
    assert await tab.value("document.querySelectorAll('#alternatives li').length") == 2
    await tab.value("document.getElementById('draw').click()")
    assert await tab.until("document.querySelectorAll('#weights td').length") == 3  # a corner, and two pieces by one
    in_words = await tab.value("document.getElementById('weights-text').textContent")
    assert in_words == "▁HELLO: ▁hello 100%end: ▁hello 100%"
    for page in ("file", "compare", "models", "translate"):
        await tab.value(f"location.hash = '{page}'")
        await tab.until(f"!document.getElementById('{page}').hidden")
        assert await tab.value("document.documentElement.scrollWidth === document.documentElement.clientWidth")
    served = await tab.until("document.getElementById('served').textContent")
    assert "BLEU" in served
    assert "Drift: length0.31" in served
    assert tab.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_page_works(tmp_path, scheme, size):
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
    command = [CHROMIUM, *options, f"--user-data-dir={tmp_path}", "about:blank"]

    async def scenario(url: str) -> None:
        async with asyncio.timeout(120):
            socket, tab = await open_tab(tmp_path)
            async with socket:
                await use(tab, url, scheme, SIZES[size])

    with served(create_app(FakeService(), ServingSettings())) as url:
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            asyncio.run(scenario(url))
        finally:
            browser.terminate()
            browser.wait(30)
