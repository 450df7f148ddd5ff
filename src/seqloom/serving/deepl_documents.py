"""The documents of DeepL's API: upload, status, result. A result can be fetched once."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from seqloom.errors import RequestError
from seqloom.serving.deepl_fields import DocumentFields, KeyFields, deepl_fields, deepl_record
from seqloom.serving.documents import Job, State, Upload
from seqloom.serving.fields import read_file
from seqloom.serving.interface import VERSION_HEADER, Context

_KEY = 24  # the first characters of our id are DeepL's document_id, the others its document_key


class DocumentRoutes:
    """The routes below /v2/document. `admit` checks the key of a request and returns its client."""

    def __init__(self, context: Context, admit: Callable[[Request], str]) -> None:
        self._documents, self._admit = context.documents, admit

    def add_to(self, router: APIRouter) -> None:
        """Add the routes to a router."""
        upload = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _UPLOAD}}}}
        key = {"requestBody": {"required": True, "content": {"application/json": {"schema": _DOCUMENT_KEY}}}}
        router.add_api_route("/v2/document", self.upload, methods=["POST"], openapi_extra=upload)
        router.add_api_route("/v2/document/{id}", self.status, methods=["POST"], openapi_extra=key)
        router.add_api_route("/v2/document/{id}/result", self.result, methods=["POST"], openapi_extra=key)

    async def upload(self, request: Request) -> dict[str, str]:
        """Begin to translate a document."""
        client = self._admit(request)
        form = await read_file(request)
        fields = deepl_record(form.fields, DocumentFields)
        if fields.glossary_id is not None:
            raise HTTPException(404, f"glossary_id: there is no glossary {fields.glossary_id!r}; none are served")
        name = fields.filename or form.name
        suffix = name.rpartition(".")[2].lower()
        if fields.output_format not in (None, suffix):
            raise RequestError(f"output_format: documents keep their format, which is {suffix}")
        source, target = fields.source_lang, fields.target_lang
        id = self._documents.submit(Upload(name, form.content, source, target, client))
        return {"document_id": id[:_KEY], "document_key": id[_KEY:]}

    async def status(self, request: Request, id: str) -> dict[str, Any]:
        """Return how far a document is."""
        self._admit(request)
        _, job = await self._find(request, id)
        status: dict[str, Any] = {"document_id": id, "status": job.state}
        if job.state == State.DONE:
            status |= {"billed_characters": job.characters, "model_version": job.version}
        if job.state == State.ERROR:
            status["error_message"] = job.fault
        return status

    async def result(self, request: Request, id: str) -> Response:
        """Return a translated document."""
        self._admit(request)
        whole, job = await self._find(request, id)
        if job.state == State.ERROR:
            raise RequestError(job.fault)
        if job.state != State.DONE:
            raise HTTPException(503, "the document is not ready; ask for its status first")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(job.name, safe='')}"}
        if job.version:
            headers[VERSION_HEADER] = job.version
        return Response(self._documents.take(whole), media_type="application/octet-stream", headers=headers)

    async def _find(self, request: Request, id: str) -> tuple[str, Job]:
        fields = await deepl_fields(request, KeyFields)
        whole = id + fields.document_key
        job = self._documents.find(whole)
        if job is None or len(id) != _KEY:
            raise HTTPException(404, "there is no such document; results are kept for an hour, and sent once")
        return whole, job


_UPLOAD = {
    "type": "object",
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "target_lang": {"type": "string"},
        "source_lang": {"type": "string"},
        "filename": {"type": "string"},
    },
    "required": ["file", "target_lang"],
}
_DOCUMENT_KEY = {
    "type": "object",
    "properties": {"document_key": {"type": "string"}},
    "required": ["document_key"],
}
