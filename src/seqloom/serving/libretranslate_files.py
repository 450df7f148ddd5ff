"""The files of LibreTranslate's API: a file is translated before the response, which has the URL of its translation."""

from urllib.parse import quote

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from seqloom.errors import RequestError
from seqloom.serving.documents import State, Upload
from seqloom.serving.fields import parse, read_file
from seqloom.serving.interface import VERSION_HEADER, Context


class FileRequest(BaseModel):
    """POST /translate_file, beside the file."""

    source: str
    target: str
    api_key: str = ""


class FileRoutes:
    """The routes /translate_file and /download_file."""

    def __init__(self, context: Context) -> None:
        self._context, self._documents = context, context.documents

    async def translate(self, request: Request) -> Response:
        """Translate a file, and return the URL of the result, which is valid for an hour."""
        form = await read_file(request)
        client = self._context.admit(request, form.fields.get("api_key"))
        asked = parse(FileRequest, form.fields)
        source = None if asked.source.lower() == "auto" else asked.source
        id = self._documents.submit(Upload(form.name, form.content, source, asked.target, client))
        job = await self._documents.finished(id)
        if job.state is State.ERROR:
            raise RequestError(job.fault)
        url = f"{request.base_url}download_file/{id}.{quote(job.name, safe='')}"
        headers = {VERSION_HEADER: job.version} if job.version else None
        return JSONResponse({"translatedFileUrl": url, "version": job.version}, headers=headers)

    async def download(self, name: str) -> Response:
        """Return a translated file. The name in the URL is a secret, so no key is needed."""
        job = self._documents.find(name.partition(".")[0])
        if job is None or job.state is not State.DONE:
            raise HTTPException(404, "there is no such file; translations are kept for an hour")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(job.name, safe='')}"}
        return Response(job.content, media_type="application/octet-stream", headers=headers)
