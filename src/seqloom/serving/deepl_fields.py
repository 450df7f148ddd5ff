"""The fields of DeepL's requests, from JSON and from forms."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.requests import Request

from seqloom.serving.fields import parse, read_fields


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

Formality = Literal["default", "more", "less", "prefer_more", "prefer_less"]


class Fields(BaseModel):
    """Fields of a request; DeepL has more, which are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


_Fields = TypeVar("_Fields", bound=Fields)


class TranslateFields(Fields):
    """What `/v2/translate` takes. The fields without a comment change nothing: these models have no such choice."""

    text: Annotated[list[str], BeforeValidator(_in_list), Field(min_length=1)]
    target_lang: Language
    source_lang: Language | None = None  # None: detected for each text
    context: str | None = None
    split_sentences: Annotated[Literal["0", "1", "nonewlines"], BeforeValidator(_as_text)] | None = None
    # "1" keeps line breaks in XML
    preserve_formatting: bool = False
    formality: Formality = "default"
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


class DocumentFields(Fields):
    """What the upload of a document takes beside the file."""

    target_lang: Language
    source_lang: Language | None = None
    filename: str | None = None  # replaces the name of the file
    formality: Formality = "default"
    glossary_id: str | None = None  # refused
    output_format: str | None = None  # only the format of the document


class KeyFields(Fields):
    """What the status and the result of a document take."""

    document_key: str


async def deepl_fields(request: Request, record: type[_Fields]) -> _Fields:
    """Return the fields of a request as a record. Raises `RequestError` if they, or the body, are wrong."""
    return deepl_record(await read_fields(request), record)


def deepl_record(found: Mapping[str, Any], record: type[_Fields]) -> _Fields:
    """Return fields as a record. An empty field, except a text, counts as missing: forms send them.

    Raises:
        RequestError: a field is missing or wrong; the error names the first one.
    """
    return parse(record, {name: value for name, value in found.items() if name == "text" or value != ""})
