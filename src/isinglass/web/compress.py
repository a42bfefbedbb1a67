"""gzip for everything the lab sends, event streams too: each event leaves at once, in one block of the same stream."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LEVEL = 1  # on this machine's own wire a quick pass is worth more than a thorough one


@dataclass(frozen=True)
class Compress:
    """ASGI middleware. What already has a Content-Encoding passes."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "gzip" not in Headers(scope=scope).get("accept-encoding", ""):
            await self.app(scope, receive, send)
            return
        stream: list[zlib._Compress] = []

        async def squeezed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if "content-encoding" not in headers and message["status"] == 200:
                    stream.append(zlib.compressobj(_LEVEL, zlib.DEFLATED, 31))
                    headers["Content-Encoding"] = "gzip"
                    headers.add_vary_header("Accept-Encoding")
                    del headers["Content-Length"]
            elif message["type"] == "http.response.body" and stream:
                more = message.get("more_body", False)
                squeezed = stream[0].compress(message.get("body", b"")) + stream[0].flush(zlib.Z_SYNC_FLUSH if more else zlib.Z_FINISH)
                message = {**message, "body": squeezed}
            await send(message)

        await self.app(scope, receive, squeezed)
