"""The application: the routes of all protocols, and each protocol's own form for every error."""

import math
from collections.abc import Sequence

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from seqloom.errors import RequestError, SeqloomError
from seqloom.serving import deepl, libretranslate, scoring
from seqloom.serving.access import Access
from seqloom.serving.interface import Context, Fault, Interface, fault_of
from seqloom.serving.page import routes
from seqloom.serving.service import Service
from seqloom.serving.settings import ServingSettings

# One module for each protocol; each has `interface(context) -> Interface`. Later ones go before libretranslate.
_PROTOCOLS = (deepl.interface, scoring.interface, routes.interface, libretranslate.interface)


def create_app(service: Service, settings: ServingSettings) -> FastAPI:
    """Return the application that answers with `service`."""
    context = Context(service, Access(settings), settings)
    interfaces = [make(context) for make in _PROTOCOLS]
    app = FastAPI(title="seqloom", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    for each in interfaces:
        app.include_router(each.router)
    _handle_errors(app, interfaces)
    return app


def _handle_errors(app: FastAPI, interfaces: Sequence[Interface]) -> None:
    def answer(request: Request, fault: Fault) -> Response:
        response = _owner(interfaces, request.url.path).error_response(fault)
        if fault.retry_after is not None:
            response.headers["Retry-After"] = str(max(1, math.ceil(fault.retry_after)))
        return response

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, SeqloomError)
        return answer(request, fault_of(error))

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = answer(request, Fault(error.status_code, str(error.detail), error))
        response.headers.update(error.headers or {})
        return response

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(request, fault_of(RequestError(_first_fault(error))))

    async def unexpected(request: Request, error: Exception) -> Response:
        return answer(request, Fault(500, "internal error; the log of the server has the details", error))

    app.add_exception_handler(SeqloomError, ours)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, unexpected)


def _owner(interfaces: Sequence[Interface], path: str) -> Interface:
    """Return the interface with the longest prefix of the path."""
    fitting = [(len(prefix), each) for each in interfaces for prefix in each.prefixes if path.startswith(prefix)]
    return max(fitting, key=lambda pair: pair[0])[1]


def _first_fault(error: RequestValidationError) -> str:
    fault = error.errors()[0]
    where = ".".join(str(each) for each in fault["loc"] if each not in ("body", "query"))
    return f"{where or 'the body'}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
