"""Load the models, listen, and serve until SIGTERM or Ctrl-C.

The server listens once every model is loaded, so no request meets one that is not ready. On SIGTERM it stops accepting
connections and answers the requests that it has.
"""

import asyncio
import errno
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import uvicorn
from fastapi import FastAPI

from seqloom.errors import ParamsError
from seqloom.places import SHADOW
from seqloom.serving.app import create_app
from seqloom.serving.batcher import Bounds
from seqloom.serving.companion import Companion, Role
from seqloom.serving.drift import DriftBound, DriftWatch
from seqloom.serving.engine_pool import EnginePool, Workers
from seqloom.serving.metrics import Metrics
from seqloom.serving.models import Models
from seqloom.serving.prefect_events import PrefectEvents
from seqloom.serving.releases import ModelSource
from seqloom.serving.service import Limits, Served
from seqloom.serving.settings import ServingSettings
from seqloom.serving.shadow_report import ShadowReport
from seqloom.serving.slot import AnyEngine, Load, Slot

_logger = logging.getLogger(__name__)

Ready = Callable[[str, Sequence[Served]], None]
"""Called with the URL and the models when the server listens."""


class Second(NamedTuple):
    """A second version of one of the models: a canary or a shadow."""

    model: str  # the name of the model
    source: ModelSource
    role: Role
    share: float  # 0 to 1


class Serving(NamedTuple):
    """What is served."""

    sources: Sequence[ModelSource]
    device: str = "auto"
    second: Second | None = None


def make_models(serving: Serving, settings: ServingSettings, metrics: Metrics) -> Models:
    """Return the service; start it in the event loop."""
    second = serving.second
    for source in [*serving.sources, *([] if second is None else [second.source])]:
        source.prepare()
    bounds = Bounds(settings.batch_characters, settings.queue_characters, settings.wait_ms / 1000)
    slots = [
        Slot(source, bounds, metrics, _loader(source.name, serving.device, settings.workers, metrics))
        for source in serving.sources
    ]
    limits = Limits(settings.characters, settings.texts, settings.alternatives)
    companion = None
    if second is not None:
        load = _loader(second.source.name, serving.device, min(1, settings.workers), metrics)
        slot = Slot(second.source, bounds, metrics, load)
        report = ShadowReport(SHADOW) if second.role is Role.SHADOW else None
        companion = Companion(second.model, slot, second.role, second.share, metrics, report)
    return Models(slots, limits, metrics, settings.poll_seconds, companion, _drift_watch(settings, metrics))


def _drift_watch(settings: ServingSettings, metrics: Metrics) -> DriftWatch:
    """Return the watch for drift. Raises `ParamsError` if the URL for events is wrong."""
    announce = None if settings.events is None else PrefectEvents(settings.events, os.environ)
    return DriftWatch(metrics, DriftBound(settings.drift_bound, settings.drift_minutes * 60), announce)


def _loader(name: str, device: str, workers: int, metrics: Metrics) -> Load:
    """Return what loads a version of the model called `name`: into this process, or into worker processes."""
    if not workers:
        return _load_here(device)
    given = os.environ.get("OMP_NUM_THREADS", "")
    cores = int(given) if given.isdigit() else max(1, len(os.sched_getaffinity(0)) // workers)

    def load(folder: Path, background: bool) -> AnyEngine:
        return EnginePool(folder, Workers(workers, cores), background, lambda: metrics.worker_lost(name))

    return load


def _load_here(device: str) -> Load:
    """Return what loads a version into this process."""
    import torch

    from seqloom.serving.engine import Engine  # imports torch, which workers would import, too

    cores = torch.get_num_threads()

    def load(folder: Path, background: bool) -> AnyEngine:
        engine = Engine.load(folder, device)
        torch.set_num_threads(1 if engine.small else cores)  # of the threads that will translate with it
        return engine

    return load


def serve(serving: Serving, settings: ServingSettings, ready: Ready) -> None:
    """Serve until a signal ends the process.

    Raises:
        ParamsError: the address cannot be used, or two models translate in the same direction.
        SeqloomError: a model cannot be loaded.
    """
    with listening_socket(settings.host, settings.port) as listener:
        asyncio.run(_serve(serving, settings, listener, ready))


async def _serve(serving: Serving, settings: ServingSettings, listener: socket.socket, ready: Ready) -> None:
    metrics = Metrics()
    models = make_models(serving, settings, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        ready(_url(listener), models.served())
        yield
        await models.close()  # not after `serve`: uvicorn raises the signal again before it returns

    start = time.monotonic()
    await models.start()
    _logger.info("ready in %.1f s", time.monotonic() - start)
    listener.listen(1024)
    config = uvicorn.Config(
        create_app(models, settings, metrics, lifespan),
        access_log=False,  # it would log addresses and queries; `guard` logs requests
        log_config=None,
        ws="none",  # no route is a web socket
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=settings.drain_seconds,
    )
    await uvicorn.Server(config).serve(sockets=[listener])


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that is bound but does not listen yet. Raises `ParamsError` if the address cannot be used."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ParamsError(f"--host {host}: is not an address or name of this machine: {error}") from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ParamsError(f"port {port} is in use; choose another with --port") from error
        raise ParamsError(f"{host} port {port} cannot be used: {error.strerror}") from error
    return listener


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
