"""The place where logs and artifacts lie: a second server, that knows its callers by the link alone.

GitHub answers with a redirect to a blob store (``*.blob.core.windows.net``), signed and good for a short
time. That store refuses a request that brings an Authorization header it does not know: so does this one.
Source: docs.github.com, "Download job logs for a workflow run" ("expires after 1 minute");
learn.microsoft.com, "Azure Storage: common REST API error codes" (InvalidAuthenticationInfo 400,
AuthenticationFailed 403).
"""

from __future__ import annotations

import hashlib
import hmac
import io
import re
import secrets
import time
import zipfile
from collections.abc import Callable
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from muva_console.drill.github.runs import Runs
from muva_console.drill.github.steplogs import parts
from muva_console.drill.github.troubles import Troubles
from muva_console.drill.state import Estate

MINUTE = 60
"""Seconds that a link lives."""
_KINDS = re.compile(r"(logs|runs|artifacts)/\d+(/\d+)?")


class Blobs:
    """Signs links and answers them."""

    def __init__(self, estate: Estate, runs: Runs, *, clock: Callable[[], float] = time.time) -> None:
        self._estate = estate
        self._runs = runs
        self._key = secrets.token_bytes(32)
        self._clock = clock

    def link(self, path: str) -> str:
        """An address of a log, a run's logs or an artifact, for the next minute."""
        until = int(self._clock()) + MINUTE
        query = urlencode({"se": until, "sig": self._signature(path, until)})
        return f"http://127.0.0.1:{self._estate.github_blob_port}/{path}?{query}"

    def app(self) -> Starlette:
        """The second server."""
        app = Starlette(routes=[Route("/{path:path}", self._serve, methods=["GET", "HEAD"])])
        app.add_middleware(Troubles, estate=self._estate)
        return app

    async def _serve(self, request: Request) -> Response:
        if "authorization" in request.headers:
            return _error(
                400, "InvalidAuthenticationInfo", "Authentication information is not in the format."
            )
        path = request.path_params["path"]
        until = request.query_params.get("se", "")
        good = until.isdigit() and hmac.compare_digest(
            self._signature(path, int(until)), request.query_params.get("sig", "")
        )
        if not good or int(until) < self._clock() or not _KINDS.fullmatch(path):
            return _error(403, "AuthenticationFailed", "Signature not valid in the specified time frame")
        kind, _, rest = path.partition("/")
        if kind == "runs":
            run, _, attempt = rest.partition("/")
            data = await run_in_threadpool(self._zip, int(run), int(attempt))
            name = f"logs_{run}.zip"
            return Response(data, media_type="application/zip", headers=_attached(name))
        file = self._runs.log(int(rest)) if kind == "logs" else self._runs.artifact(int(rest))
        if not file.is_file():
            return _error(404, "BlobNotFound", "The specified blob does not exist.")
        kinds = {"logs": "text/plain; charset=utf-8", "artifacts": "application/zip"}
        return FileResponse(file, media_type=kinds[kind])

    def _zip(self, id: int, attempt: int) -> bytes:
        """A run's logs as GitHub packs them: each job's whole, and a folder with each step's."""
        run = self._runs.read(id)
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for at, job in enumerate(run.attempts(attempt) if run is not None else ()):
                log = self._runs.log(job.id)
                if not log.is_file():
                    continue
                text = log.read_bytes().decode("utf-8", "replace")
                folder = job.name.replace("/", "")
                archive.writestr(f"{at}_{folder}.txt", text)
                for step, part in parts(text, job.steps):
                    archive.writestr(f"{folder}/{step.number}_{step.name.replace('/', '')}.txt", part)
        return made.getvalue()

    def _signature(self, path: str, until: int) -> str:
        return hmac.new(self._key, f"{path} {until}".encode(), hashlib.sha256).hexdigest()


def _attached(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}


def _error(status: int, code: str, message: str) -> Response:
    told = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f'<?xml version="1.0" encoding="utf-8"?>{told}'
    return Response(body, status_code=status, media_type="application/xml", headers={"x-ms-error-code": code})
