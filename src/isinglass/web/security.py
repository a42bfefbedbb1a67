"""Who may talk to the lab: this machine's user, from the page that the lab itself served.

The server listens on 127.0.0.1, but any page in the user's browser can send requests there. So: a secret that only the printed address
has (then a cookie that scripts cannot read), a Host header that names this machine (a foreign name that resolves to 127.0.0.1 is how DNS
rebinding works), and on everything that changes something an Origin that is the lab's own.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE = ("GET", "HEAD")
HEADERS = {
    # styles: chips carry their fill, and Vega its sizes, in style attributes; scripts come from files alone
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # the first address holds the secret
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class Guard:
    """ASGI middleware that answers 403 to whoever is not the user's own tab."""

    app: ASGIApp
    token: str
    port: int

    @property
    def cookie(self) -> str:
        """Cookies do not know ports; two labs must not overwrite each other's."""
        return f"isinglass_lab_{self.port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if self._by_address(scope):
                    headers["Set-Cookie"] = f"{self.cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/"
            await send(message)

        refused = self._refusal(scope)
        await (refused or self.app)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in (f"127.0.0.1:{self.port}", f"localhost:{self.port}"):
            return _refused(f"the lab is not known as {host!r}", f"open http://127.0.0.1:{self.port}/ with the token that was printed")
        if origin != f"http://{host}" and (origin is not None or scope["method"] not in SAFE):
            return _refused(f"a page of {origin or 'an unknown origin'} may not ask the lab", "use the lab's own page")
        if not self._by_address(scope) and not self._by_cookie(headers):
            return _refused("this address lacks the lab's token", "open the address that `isinglass lab` printed in the terminal")
        return None

    def _by_address(self, scope: Scope) -> bool:
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return scope["method"] in SAFE and self._same(given)

    def _by_cookie(self, headers: Headers) -> bool:
        return self._same(cookie_parser(headers.get("cookie", "")).get(self.cookie, ""))

    def _same(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())


def _refused(message: str, hint: str) -> Response:
    return PlainTextResponse(f"error: {message}\nhint: {hint}\n", status_code=403)


def too_large(limit: int) -> Response:
    """For a request that no page would send."""
    return JSONResponse({"message": f"the request is larger than {limit:,} bytes"}, status_code=413)
