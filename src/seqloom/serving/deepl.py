"""The API of DeepL, version 2: texts with or without markup, documents, usage, languages.

Glossaries are not served: naming one is an error, since a translation that ignores it would look right. Formality,
context and the kind of model are accepted and change nothing.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from seqloom.errors import TooLongError
from seqloom.serving.by_direction import directions_of, translate_texts
from seqloom.serving.deepl_documents import DocumentRoutes
from seqloom.serving.deepl_fields import LanguagesFields, TranslateFields, deepl_fields
from seqloom.serving.interface import VERSION_HEADER, Context, Fault, Interface
from seqloom.serving.language_names import language_name
from seqloom.serving.markup import Markup, XmlTags, read_html_text, read_xml_text

PREFIXES = ("/v2/", "/v3/")
_SCHEME = "deepl-auth-key "
_UNLIMITED = 10**12  # what DeepL itself reports for accounts without a limit
_MOST_CLIENTS = 10_000  # whose characters are counted
_REGIONS = {"en": ("EN-GB", "EN-US"), "pt": ("PT-BR", "PT-PT")}  # DeepL's clients refuse the plain codes as targets


def interface(context: Context) -> Interface:
    """Return the routes below `/v2/`; all of them ask for the key, if there are keys."""
    router = APIRouter()
    routes = _Routes(context)
    body = {"content": {kind: {"schema": TranslateFields.model_json_schema()} for kind in _KINDS}, "required": True}
    add = router.add_api_route
    add("/v2/translate", routes.translate, methods=["POST"], openapi_extra={"requestBody": body})
    for method in ("GET", "POST"):  # each has an entry of its own in the OpenAPI document
        add("/v2/usage", routes.usage, methods=[method])
        add("/v2/languages", routes.languages, methods=[method])
    add("/v2/glossary-language-pairs", routes.glossary_pairs, methods=["GET"])
    add("/v2/glossaries", routes.glossaries, methods=["GET"])
    DocumentRoutes(context, routes.admit).add_to(router)
    return Interface("deepl", PREFIXES, router, error_response)


_KINDS = ("application/json", "application/x-www-form-urlencoded")


def error_response(fault: Fault) -> Response:
    """Return `{"message": ...}`; a request that exceeds a limit gets status 413."""
    status = 413 if isinstance(fault.error, TooLongError) else fault.status
    return JSONResponse({"message": fault.message}, status)


class _Routes:
    """The routes, and the characters that each client had translated since the process started."""

    def __init__(self, context: Context) -> None:
        self._context, self._service = context, context.service
        self._characters: OrderedDict[str, int] = OrderedDict()

    async def translate(self, request: Request) -> JSONResponse:
        """Translate texts."""
        client = self.admit(request)
        fields = await deepl_fields(request, TranslateFields)
        if fields.glossary_id is not None:
            raise HTTPException(404, f"glossary_id: there is no glossary {fields.glossary_id!r}; none are served")
        documents = [await asyncio.to_thread(_reader(fields), text) for text in fields.text]
        whole = ["\n".join(document.texts) for document in documents]
        directions = directions_of(self._service, whole, fields.source_lang, fields.target_lang)
        pairs = [
            (text, direction)
            for document, direction in zip(documents, directions, strict=True)
            for text in document.texts
        ]
        texts, each = [text for text, _ in pairs], [direction for _, direction in pairs]
        found = await translate_texts(self._context, request, texts, each, client)
        self._count(client, sum(map(len, fields.text)))
        following = iter(found.texts)
        answers = []
        for text, document, direction in zip(fields.text, documents, directions, strict=True):
            written = await asyncio.to_thread(document.write, list(islice(following, len(document.texts))))
            answers.append(_answer(fields, text, written, direction.source))
        headers = {VERSION_HEADER: found.version} if found.version else None
        return JSONResponse({"translations": answers, "model_version": found.version}, headers=headers)

    async def usage(self, request: Request) -> dict[str, int]:
        """Return the number of characters that the client had translated since the process started."""
        client = self.admit(request)
        return {"character_count": self._characters.get(client, 0), "character_limit": _UNLIMITED}

    async def languages(self, request: Request) -> list[dict[str, Any]]:
        """Return the languages: `type` is source or target."""
        self.admit(request)
        fields = await deepl_fields(request, LanguagesFields)
        directions = self._service.directions()
        if fields.type == "source":
            codes = sorted({direction.source for direction in directions})
            return [{"language": _base(code), "name": language_name(code)} for code in codes]
        targets = sorted({direction.target for direction in directions})
        listed = [code for target in targets for code in _REGIONS.get(target, (target.upper(),))]
        return [{"language": code, "name": language_name(code), "supports_formality": False} for code in listed]

    async def glossary_pairs(self, request: Request) -> dict[str, list[Any]]:
        """Return no pairs of languages: there are no glossaries."""
        self.admit(request)
        return {"supported_languages": []}

    async def glossaries(self, request: Request) -> dict[str, list[Any]]:
        """Return no glossaries."""
        self.admit(request)
        return {"glossaries": []}

    def admit(self, request: Request) -> str:
        """Check the key in the header of a request, and return its client."""
        header = request.headers.get("authorization", "")
        key = header[len(_SCHEME) :].strip() if header.lower().startswith(_SCHEME) else None
        return self._context.admit(request, key)

    def _count(self, client: str, characters: int) -> None:
        self._characters[client] = self._characters.pop(client, 0) + characters
        if len(self._characters) > _MOST_CLIENTS:
            self._characters.popitem(last=False)


def _reader(fields: TranslateFields) -> Callable[[str], Markup]:
    ignored = frozenset(fields.ignore_tags)
    match fields.tag_handling:
        case "html":
            return partial(read_html_text, ignored=frozenset(map(str.lower, ignored)))
        case "xml":
            splitting, joining = frozenset(fields.splitting_tags), frozenset(fields.non_splitting_tags)
            newlines = fields.split_sentences == "1"
            return partial(read_xml_text, tags=XmlTags(ignored, splitting, joining, fields.outline_detection, newlines))
        case None:
            return lambda text: Markup([text], lambda found: found[0])


def _answer(fields: TranslateFields, text: str, written: str, source: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"detected_source_language": _base(source), "text": written}
    if fields.show_billed_characters:
        answer["billed_characters"] = len(text)
    if fields.model_type is not None:
        answer["model_type_used"] = "quality_optimized"
    return answer


def _base(code: str) -> str:
    """Return a language as DeepL names sources: without its region, in capitals."""
    return code.replace("_", "-").partition("-")[0].upper()
