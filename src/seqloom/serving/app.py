"""The application: the routes of all protocols, and each protocol's own form for every error."""

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from seqloom.errors import RequestError, SeqloomError
from seqloom.serving import deepl, insights, libretranslate, scoring
from seqloom.serving.access import Access
from seqloom.serving.documents import Documents
from seqloom.serving.guard import Guard
from seqloom.serving.interface import VERSION_HEADER, Context, Fault, Interface, fault_of
from seqloom.serving.metrics import Metrics
from seqloom.serving.page import routes
from seqloom.serving.service import Service
from seqloom.serving.settings import ServingSettings

# One module for each protocol; each has `interface(context) -> Interface`. FastAPI tries the routes in this order; for
# the last ones that takes a fifth of a request's time, so the most common request, /translate, comes first.
_PROTOCOLS = (
    libretranslate.interface, deepl.interface, scoring.interface, insights.interface, routes.interface,
)  # fmt: skip

_logger = logging.getLogger(__name__)
_Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    service: Service, settings: ServingSettings, metrics: Metrics | None = None, lifespan: _Lifespan | None = None
) -> FastAPI:
    """Return the application that answers with `service`.

    The service must have been started. `lifespan` encloses the time in which the application serves.
    """
    metrics = metrics or Metrics()
    context = Context(service, Access(settings), settings, metrics, Documents(service))
    interfaces = [make(context) for make in _PROTOCOLS]
    app = FastAPI(
        title="seqloom", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, lifespan=lifespan
    )
    for each in interfaces:
        app.include_router(each.router)
    _handle_errors(app, interfaces)
    app.add_middleware(
        Guard,
        settings=settings,
        metrics=metrics,
        owner=lambda path: _owner(interfaces, path).name,
        error_response=lambda path, fault: _error_response(interfaces, path, fault),
    )
    if settings.origins:
        exposed = [VERSION_HEADER, "Retry-After"]
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=exposed,
        )
    return app


def _handle_errors(app: FastAPI, interfaces: Sequence[Interface]) -> None:
    def answer(request: Request, fault: Fault) -> Response:
        return _error_response(interfaces, request.url.path, fault)

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, SeqloomError)
        fault = fault_of(error)
        if fault.status >= 500:
            _logger.error("%s: %s", request.url.path, error)
        return answer(request, fault)

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = answer(request, Fault(error.status_code, str(error.detail), error))
        response.headers.update(error.headers or {})
        return response

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(request, fault_of(RequestError(_first_fault(error))))

    app.add_exception_handler(SeqloomError, ours)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, invalid)


def _error_response(interfaces: Sequence[Interface], path: str, fault: Fault) -> Response:
    response = _owner(interfaces, path).error_response(fault)
    if fault.retry_after is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(fault.retry_after)))
    return response


def _owner(interfaces: Sequence[Interface], path: str) -> Interface:
    """Return the interface with the longest prefix of the path."""
    fitting = [(len(prefix), each) for each in interfaces for prefix in each.prefixes if path.startswith(prefix)]
    return max(fitting, key=lambda pair: pair[0])[1]


def _first_fault(error: RequestValidationError) -> str:
    fault = error.errors()[0]
    where = ".".join(str(each) for each in fault["loc"] if each not in ("body", "query"))
    return f"{where or 'the body'}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
