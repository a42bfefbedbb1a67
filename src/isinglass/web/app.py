"""The lab's web application: a page, its files, and jobs whose events stream back.

GET  /            and /PAGE: the page; ?token=... of the printed address lets a browser in
GET  /lab.css     /static/NAME.js  /static/show/NAME.js  /vega.js
GET  /api/status  the worker's state, as server-sent events
POST /api/jobs    {"verb": ..., "arguments": {...}}: the job's events; leaving the stream stops the job
DELETE /api/jobs/ID
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

import isinglass
from isinglass.core.errors import IsinglassError
from isinglass.show import embed
from isinglass.web import files
from isinglass.web.compress import Compress
from isinglass.web.events import Failed
from isinglass.web.jobs import Job, Jobs
from isinglass.web.pages import PAGES
from isinglass.web.security import Guard, too_large
from isinglass.web.verb import request as verb_request

LARGEST_BYTES = 2_000_000  # of a request: a text of 100,000 characters in any script
_PING_SECONDS = 15  # a comment on idle streams, by which a tab that has gone is noticed


@dataclass(frozen=True)
class Lab:
    """The routes. `model` is what the page opens with, `documents` a folder for the page Ask (empty: the project's own collection)."""

    jobs: Jobs
    model: str
    documents: str = ""

    def page(self, request: Request) -> Response:
        """The one document; which page it shows is decided by the address, in the browser."""
        if request.path_params.get("page", "") not in ("", *PAGES):
            return RedirectResponse("/")
        boot = {
            "pages": PAGES, "model": self.model, "models": _models(self.model), "documents": self.documents,
            "vega": f"/{files.vega_address()}",
        }  # fmt: skip
        preloads = "".join(f'<link rel="modulepreload" href="/static/{embed.text(name)}">' for name in files.modules() if "/" not in name)
        html = files.own()["index.html"].replace("{version}", embed.text(isinglass.__version__)).replace("{preloads}", preloads)
        return _text(request, html.replace("{boot}", embed.script_json(boot)), files.kind(".html"), cache="no-store")

    def style(self, request: Request) -> Response:
        return _text(request, files.stylesheet(), "text/css; charset=utf-8")

    def script(self, request: Request) -> Response:
        text = files.modules().get(request.path_params["name"])
        return _missing(request) if text is None else _text(request, text, files.kind(".js"))

    def vega(self, request: Request) -> Response:
        headers = {"Content-Encoding": "gzip", "Cache-Control": "private, max-age=31536000, immutable"}
        return Response(files.vega(), media_type=files.kind(".js"), headers=headers)

    async def status(self, request: Request) -> Response:
        return _events(self.jobs.watch())

    async def start(self, request: Request) -> Response:
        """One job. What is wrong with the request itself is told in the same way as what goes wrong in the work."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_BYTES:
                return too_large(LARGEST_BYTES)
        try:
            asked = json.loads(body)
            verb = verb_request(str(asked["verb"]), dict(asked["arguments"]))
        except IsinglassError as error:
            return _events(_once(Failed.of(error).message()))
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"message": 'expected {"verb": "...", "arguments": {...}} as JSON'}, status_code=400)
        job = await self.jobs.start(asked["verb"], asked["arguments"])
        return _events(self._follow(job, {"type": "accepted", "id": job.id, "python": verb.python, "command": verb.command}))

    async def _follow(self, job: Job, first: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        try:
            yield first
            async for message in job.messages():
                yield message
        finally:
            self.jobs.cancel(job.id)  # nothing when it has ended

    async def cancel(self, request: Request) -> Response:
        self.jobs.cancel(request.path_params["id"])
        return Response(status_code=204)

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/", self.page),
            Route("/lab.css", self.style),
            Route("/vega.js", self.vega),
            Route("/static/{name:path}", self.script),
            Route("/api/status", self.status),
            Route("/api/jobs", self.start, methods=["POST"]),
            Route("/api/jobs/{id}", self.cancel, methods=["DELETE"]),
            Route("/{page}", self.page),
        ]


def create_app(*, model: str, token: str, port: int, documents: str = "") -> Starlette:
    """The application for a server that listens on 127.0.0.1:`port`; its worker process lives as long as it does."""
    jobs = Jobs()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with jobs.open():
            yield

    guard = Middleware(Guard, token=token, port=port)
    app = Starlette(routes=Lab(jobs, model, documents).routes, middleware=[guard, Middleware(Compress)], lifespan=lifespan)
    app.state.jobs = jobs
    return app


def _models(first: str) -> list[str]:
    """What the model field suggests: the weights that are on this machine."""
    from isinglass.assets.find import listing

    here = [row["name"] for row in listing() if row["kind"] == "weights" and row["present"]]
    return list(dict.fromkeys([first, *here]))


def _text(request: Request, text: str, kind: str, cache: str = "no-cache") -> Response:
    """A text that the browser asks about again each time, and gets again only when it has changed."""
    headers = {"ETag": files.tag(text), "Cache-Control": cache}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(text, media_type=kind, headers=headers)


def _missing(request: Request) -> Response:
    return PlainTextResponse(f"error: no file {request.url.path}\n", status_code=404)


def _events(messages: AsyncIterator[dict[str, Any]]) -> Response:
    async def written() -> AsyncIterator[dict[str, str]]:
        try:
            async for message in messages:
                yield {"data": embed.to_json(message)}
        finally:
            await messages.aclose()  # type: ignore[attr-defined] # at once, and not when it is collected

    return EventSourceResponse(written(), ping=_PING_SECONDS, headers={"Cache-Control": "no-store"})


async def _once(message: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    yield message
