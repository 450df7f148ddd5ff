"""The API of LibreTranslate."""

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from seqloom.serving.interface import Context, Fault, Interface


def interface(context: Context) -> Interface:
    """Return the routes, which also take all paths that belong to no other protocol."""
    router = APIRouter()

    @router.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    return Interface("libretranslate", ("/",), router, error_response)


def error_response(fault: Fault) -> Response:
    """Return `{"error": message}`."""
    return JSONResponse({"error": fault.message}, fault.status)
