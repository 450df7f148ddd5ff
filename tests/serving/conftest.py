"""A server on a free port of this machine, with the champion of a registry; the model is tiny and untrained."""

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import uvicorn

from seqloom.serving.app import create_app
from seqloom.serving.metrics import Metrics
from seqloom.serving.models import Models
from seqloom.serving.registry_process import Found, find
from seqloom.serving.releases import RegisteredSource
from seqloom.serving.server import Serving, listening_socket, make_models
from seqloom.serving.settings import ServingSettings
from tests.workspaces import give_registered

MODEL = "seqloom-en-de"


def begin(model: str, number: str | None, background: bool) -> Callable[[], Found]:
    """Look in the registry in this process, which has imported MLflow anyway."""
    return partial(find, model, number)


class Running(NamedTuple):
    """A server in another thread."""

    url: str
    root: Path  # the clone with its registry
    models: Models
    loop: asyncio.AbstractEventLoop

    def refresh(self) -> None:
        """Let every model look for a new champion now."""
        (slot,) = self.models._slots
        asyncio.run_coroutine_threadsafe(slot.refresh(), self.loop).result(600)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with two versions of a model with the same files; the first one is the champion."""
    root = tmp_path_factory.mktemp("served")
    give_registered(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        from seqloom.tracking.client.store import connect

        client = connect(root, create=False).client
        first = client.get_model_version(MODEL, "1")
        client.create_model_version(MODEL, source=first.source, run_id=first.run_id, model_id=first.model_id)
    return root


@pytest.fixture
def clone(registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a copy of the registry."""
    root = tmp_path / "clone"
    shutil.copytree(registry, root)
    monkeypatch.chdir(root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return root


@pytest.fixture
def running(clone: Path) -> Iterator[Running]:
    """A server that looks for a new champion when it is told to."""
    with serving_at(clone, Serving([RegisteredSource(MODEL, begin=begin)], "cpu")) as running:
        yield running


@contextmanager
def serving_at(root: Path, serving: Serving, workers: int = 0, poll_seconds: float = 1000) -> Iterator[Running]:
    """Serve from a thread until the block ends. `root` is the working folder, with the registry."""
    settings, metrics = ServingSettings(port=0, poll_seconds=poll_seconds, workers=workers), Metrics()
    ready, started = threading.Event(), []

    async def run() -> None:
        models = make_models(serving, settings, metrics)

        @asynccontextmanager
        async def lifespan(app):
            yield
            await models.close()

        await models.start()
        listener.listen()
        config = uvicorn.Config(create_app(models, settings, metrics, lifespan), log_config=None)
        server = uvicorn.Server(config)
        started.append((models, asyncio.get_running_loop(), server))
        ready.set()
        await server.serve(sockets=[listener])

    with listening_socket("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=asyncio.run, args=(run(),))
        thread.start()
        assert ready.wait(600)
        models, loop, server = started[0]
        try:
            yield Running(f"http://127.0.0.1:{listener.getsockname()[1]}", root, models, loop)
        finally:
            server.should_exit = True
            thread.join(60)
        assert not thread.is_alive()
