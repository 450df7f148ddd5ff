"""The fields of DeepL's requests, from JSON and from forms."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.requests import Request

from seqloom.errors import RequestError


def _listed(value: Any) -> Any:
    """Return a comma-separated text, or a list of such texts, as a list of names."""
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        return value
    return [name.strip() for part in parts for name in part.split(",") if name.strip()]


def _in_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Names = Annotated[list[str], BeforeValidator(_listed)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$", max_length=40)]


class Fields(BaseModel):
    """Fields of a request; DeepL has more, which are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class TranslateFields(Fields):
    """What `/v2/translate` takes. The fields without a comment change nothing: these models have no such choice."""

    text: Annotated[list[str], BeforeValidator(_in_list), Field(min_length=1)]
    target_lang: Language
    source_lang: Language | None = None  # None: detected for each text
    context: str | None = None
    split_sentences: Annotated[Literal["0", "1", "nonewlines"], BeforeValidator(_as_text)] | None = None
    # "1" keeps line breaks in XML
    preserve_formatting: bool = False
    formality: Literal["default", "more", "less", "prefer_more", "prefer_less"] = "default"
    model_type: Literal["quality_optimized", "latency_optimized", "prefer_quality_optimized"] | None = None
    glossary_id: str | None = None  # refused
    tag_handling: Literal["xml", "html"] | None = None
    tag_handling_version: Literal["v1", "v2"] | None = None
    outline_detection: bool = True  # find the elements of XML that separate texts
    splitting_tags: Names = []  # separate texts
    non_splitting_tags: Names = []  # do not
    ignore_tags: Names = []  # their content is copied
    show_billed_characters: bool = False  # count the characters of each text in the answer


class LanguagesFields(Fields):
    """What `/v2/languages` takes."""

    type: Literal["source", "target"] = "source"


_FAULTS = {"missing": "is required", "too_short": "must not be empty"}
SomeFields = TypeVar("SomeFields", bound=Fields)


async def read_fields(request: Request) -> dict[str, Any]:
    """Return the fields of a request: those of its JSON or form, and of its query. A repeated field is a list.

    Empty values of other fields than texts count as missing, as forms cannot leave a field out.

    Raises:
        RequestError: the body is not valid, or is not a JSON object.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    found = _collected(request.query_params.multi_items())
    if kind == "application/json" or kind.endswith("+json"):
        found |= _json(await request.body())
    elif kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        async with request.form() as form:
            found |= _collected((name, value) for name, value in form.multi_items() if isinstance(value, str))
    elif await request.body():
        raise RequestError(
            f"the content type is {kind or 'missing'}; send application/json or application/x-www-form-urlencoded"
        )
    return {name: value for name, value in found.items() if name == "text" or value not in ("", None)}


def checked(kind: type[SomeFields], found: Mapping[str, Any]) -> SomeFields:
    """Return the fields as a record. Raises `RequestError` if one is missing or wrong; it names the field."""
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"][:2])) or "the body"
        what = _FAULTS.get(fault["type"], f"{fault['msg'][0].lower()}{fault['msg'][1:]}")
        raise RequestError(f"{where}: {what}") from None


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise RequestError("the body is not valid JSON in UTF-8") from error
    if not isinstance(found, dict):
        raise RequestError("the body must be a JSON object")
    return found


def _collected(items: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in items:
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found
