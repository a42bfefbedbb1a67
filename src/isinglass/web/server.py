"""Serving the lab on this machine, until Ctrl-C."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable

import uvicorn

from isinglass.core.errors import ConfigError
from isinglass.web import files
from isinglass.web.app import create_app

HOST = "127.0.0.1"
_LEAVE_SECONDS = 1  # for open streams at the end


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def serve(*, model: str, port: int, ready: Callable[[str], None], documents: str = "") -> None:
    """Run the lab. `ready` gets its address, with the token, once it answers. `port` 0 takes a free one; `documents` is a folder to ask.

    Raises ConfigError for a port that is taken. Ctrl-C ends the worker too and raises KeyboardInterrupt.
    """
    listener = _listen(port)
    number = listener.getsockname()[1]
    token = secrets.token_urlsafe(24)
    app = create_app(model=model, token=token, port=number, documents=documents)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=_LEAVE_SECONDS, server_header=False, lifespan="on"
    )

    def started() -> None:
        ready(f"http://{HOST}:{number}/?token={token}")

    with listener:
        _Server(config, started).run(sockets=[listener])


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as fault:
        listener.close()
        raise ConfigError(f"port {port} of {HOST} cannot be used: {fault.strerror}", hint="--port 0 takes a free one") from None
    return listener


def warm() -> None:
    """Make what the first page needs: the charts' bundle takes a moment."""
    files.stylesheet()
    files.vega()
