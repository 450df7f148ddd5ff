"""The API of LibreTranslate, as Weblate, libretranslatepy and other clients use it.

Fields may come as JSON, as a form or in the query. Every error is `{"error": text}`. Each response to /translate names
the version that translated, in the field `version` and in a header.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from seqloom.errors import AccessError, TooLongError
from seqloom.languages import Direction
from seqloom.serving.corrections import Correction, Corrections
from seqloom.serving.documents import suffixes
from seqloom.serving.fields import parse, read_fields
from seqloom.serving.interface import VERSION_HEADER, Context, Fault, Interface
from seqloom.serving.language_names import language_name
from seqloom.serving.libretranslate_files import FileRoutes
from seqloom.serving.markup import read_html_text
from seqloom.serving.matching import find_detected, find_direction
from seqloom.serving.service import Detected, Query
from seqloom.translation.results import Result

_TIMEOUT_MS = 500  # how long a page waits after a key press
_DISABLED_SUGGESTIONS = "suggestions are switched off on this server"

_Route = Callable[[Request], Awaitable[Response]]


class TranslateRequest(BaseModel):
    """POST /translate."""

    q: str | list[str] = Field(description="a text, or several")
    source: str = Field(description="the code of the language of the text, or `auto`")
    target: str = Field(description="the code of the language to translate into")
    format: Literal["text", "html"] = "text"
    alternatives: Annotated[int, Field(ge=0)] = Field(0, description="how many other translations to return")
    api_key: str = ""


class DetectRequest(BaseModel):
    """POST /detect."""

    q: str
    api_key: str = ""


class SuggestRequest(BaseModel):
    """POST /suggest."""

    q: str = Field(description="the text")
    s: str = Field(description="the better translation")
    source: str
    target: str
    api_key: str = ""


class _Text(NamedTuple):
    """A text of a request, with the texts that the model gets and the language it was recognised as."""

    parts: list[str]
    direction: Direction
    detected: Detected | None
    filled: Callable[[Sequence[str]], str]


def interface(context: Context) -> Interface:
    """Return the routes, which also take all paths that belong to no other protocol."""
    router = APIRouter()

    def add(path: str, methods: list[str], route: _Route, record: type[BaseModel] | None = None) -> None:
        extra = None if record is None else {"requestBody": _body(record)}
        for method in methods:  # each has an entry of its own in the OpenAPI document
            router.add_api_route(path, route, methods=[method], openapi_extra=extra, response_class=JSONResponse)
        router.add_api_route(f"{path}/", route, methods=methods, include_in_schema=False)

    routes = _Routes(context)
    add("/translate", ["POST"], routes.translate, TranslateRequest)
    add("/detect", ["POST"], routes.detect, DetectRequest)
    add("/languages", ["GET", "POST"], routes.languages)
    add("/suggest", ["POST"], routes.suggest, SuggestRequest)
    files = FileRoutes(context)
    add("/translate_file", ["POST"], files.translate)
    router.add_api_route("/download_file/{name}", files.download, methods=["GET"], response_class=Response)
    add("/frontend/settings", ["GET"], routes.settings)
    add("/health", ["GET"], routes.health)
    add("/metrics", ["GET"], routes.metrics)
    add("/spec", ["GET"], routes.spec)
    return Interface("libretranslate", ("/",), router, error_response)


def error_response(fault: Fault) -> Response:
    """Return `{"error": message}`."""
    return JSONResponse({"error": fault.message}, fault.status)


class _Routes:
    """The routes; each reads a request and returns its response."""

    def __init__(self, context: Context) -> None:
        self._context, self._service = context, context.service
        folder = context.settings.corrections
        self._corrections = None if folder is None else Corrections(folder, context.settings.corrections_bytes)

    async def translate(self, request: Request) -> Response:
        """Translate a text, or several."""
        fields = await read_fields(request)
        client = self._context.admit(request, _key(fields))
        asked = parse(TranslateRequest, fields)
        texts = [asked.q] if isinstance(asked.q, str) else asked.q
        self._check(texts, asked.alternatives)
        plans = [self._plan(text, asked) for text in texts]
        directions = list(dict.fromkeys(plan.direction for plan in plans))
        queries = [
            Query(_parts(plans, direction), direction, asked.alternatives + 1, client) for direction in directions
        ]
        answers = await self._context.translate(request, *queries)
        found = {each: iter(answer.results) for each, answer in zip(directions, answers, strict=True)}
        results = [_ranked(plan, [next(found[plan.direction]) for _ in plan.parts]) for plan in plans]
        version = ", ".join(dict.fromkeys(answer.version for answer in answers))
        content = _content(asked, plans, results) | {"version": version}
        return JSONResponse(content, headers={VERSION_HEADER: version})

    async def detect(self, request: Request) -> Response:
        """Recognise the language of a text."""
        fields = await read_fields(request)
        self._context.admit(request, _key(fields))
        asked = parse(DetectRequest, fields)
        self._check([asked.q], 0)
        first, *others = self._service.detect(asked.q)
        return JSONResponse([_shown(first), *(_shown(each) for each in others if each.confidence >= 0.01)])

    async def languages(self, request: Request) -> Response:
        """List the languages, each with those that it can be translated into. The body is ignored."""
        served = self._service.directions()
        codes = sorted({code for each in served for code in each})
        return JSONResponse(
            [
                {
                    "code": code,
                    "name": language_name(code),
                    "targets": [each.target for each in served if each.source == code],
                }
                for code in codes
            ]
        )

    async def suggest(self, request: Request) -> Response:
        """Keep a better translation, if that is switched on."""
        if self._corrections is None:
            raise AccessError(_DISABLED_SUGGESTIONS)
        fields = await read_fields(request)
        client = self._context.admit(request, _key(fields))
        asked = parse(SuggestRequest, fields)
        self._check([asked.q, asked.s], 0)
        direction, _ = self._direction(asked.q, asked.source, asked.target)
        version = next(each.version for each in self._service.served() if direction in each.directions)
        await asyncio.to_thread(self._corrections.append, Correction(asked.q, asked.s, direction, version, client))
        return JSONResponse({"success": True})

    async def settings(self, request: Request) -> Response:
        """Return what a page needs to know."""
        first = self._service.directions()[0]
        return JSONResponse(
            {
                "apiKeys": self._context.access.key_required,
                "charLimit": self._service.limits.characters,
                "filesTranslation": True,
                "frontendTimeout": _TIMEOUT_MS,
                "keyRequired": self._context.access.key_required,
                "language": {side: {"code": code, "name": language_name(code)} for side, code in _sides(first)},
                "suggestions": self._corrections is not None,
                "supportedFilesFormat": suffixes(),
            }
        )

    async def health(self, request: Request) -> Response:
        """Return that the server is ready: it listens only once every model is loaded."""
        return JSONResponse({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        """Return the metrics for Prometheus."""
        metrics = self._context.metrics
        return Response(metrics.exposition(), media_type=metrics.content_type)

    async def spec(self, request: Request) -> Response:
        """Return the OpenAPI document of all protocols."""
        app: FastAPI = request.app
        return JSONResponse(app.openapi())

    def _check(self, texts: Sequence[str], alternatives: int) -> None:
        limits = self._service.limits
        if len(texts) > limits.texts:
            raise TooLongError(f"q has {len(texts):,} texts; at most {limits.texts:,} are allowed")
        if (characters := sum(map(len, texts))) > limits.characters:
            raise TooLongError(f"q has {characters:,} characters; at most {limits.characters:,} are allowed")
        if alternatives > limits.alternatives:
            raise TooLongError(f"alternatives: {alternatives} is too many; at most {limits.alternatives} are allowed")

    def _direction(self, text: str, source: str, target: str) -> tuple[Direction, Detected | None]:
        served = self._service.directions()
        if source.lower() == "auto":
            return find_detected(served, self._service.detect(text), target)
        return find_direction(served, source, target), None

    def _plan(self, text: str, asked: TranslateRequest) -> _Text:
        direction, detected = self._direction(text, asked.source, asked.target)
        if asked.format == "html":
            markup = read_html_text(text)
            return _Text(markup.texts, direction, detected, markup.write)
        return _Text([text], direction, detected, lambda translations: translations[0])


def _key(fields: dict[str, Any]) -> str | None:
    key = fields.get("api_key")
    return key if isinstance(key, str) else None


def _parts(plans: Sequence[_Text], direction: Direction) -> tuple[str, ...]:
    return tuple(part for plan in plans if plan.direction == direction for part in plan.parts)


def _ranked(plan: _Text, found: Sequence[Sequence[Result]]) -> list[str]:
    """Return the distinct translations of a text, best first; each part that has fewer repeats its last one."""
    ranks = max((len(each) for each in found), default=1)
    ranked = [plan.filled([each[min(rank, len(each) - 1)].text for each in found]) for rank in range(ranks)]
    return list(dict.fromkeys(ranked))


def _content(asked: TranslateRequest, plans: Sequence[_Text], results: Sequence[list[str]]) -> dict[str, Any]:
    """Return the response: values if q is a text, and arrays if q is an array."""
    columns: dict[str, list[Any]] = {"translatedText": [best for best, *_ in results]}
    if asked.source.lower() == "auto":
        columns["detectedLanguage"] = [_shown(plan.detected) for plan in plans if plan.detected is not None]
    if asked.alternatives:
        columns["alternatives"] = [others for _, *others in results]
    return {name: column[0] if isinstance(asked.q, str) else column for name, column in columns.items()}


def _shown(detected: Detected) -> dict[str, Any]:
    return {"confidence": round(100 * detected.confidence), "language": detected.language}


def _sides(direction: Direction) -> list[tuple[str, str]]:
    return [("source", direction.source), ("target", direction.target)]


def _body(record: type[BaseModel]) -> dict[str, Any]:
    schema = record.model_json_schema()
    kinds = ("application/json", "application/x-www-form-urlencoded")
    return {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}
