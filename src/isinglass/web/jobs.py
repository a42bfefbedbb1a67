"""The server's side of the worker process: jobs go in, their events come out; a worker that dies is started again."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import secrets
import signal
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from typing import Any

from isinglass.web.events import Failed
from isinglass.web.worker import serve

LAST = ("done", "failed", "cancelled")  # after one of these a job says nothing more
_PATIENCE_SECONDS = (0.0, 0.0, 1.0, 5.0, 15.0)  # before the next start of a worker that keeps dying at once
_AT_ONCE_SECONDS = 5.0
Message = dict[str, Any]


class Job:
    """One request that is being worked on; `messages` ends with one of the types in `LAST`."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(8)
        self._queue: asyncio.Queue[Message] = asyncio.Queue()

    def say(self, message: Message) -> None:
        self._queue.put_nowait(message)

    async def messages(self) -> AsyncIterator[Message]:
        while True:
            message = await self._queue.get()
            yield message
            if message["type"] in LAST:
                return


class Jobs:
    """One worker process and the jobs in it. `status` is what the page shows of the worker: starting, ready or lost."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._jobs: dict[str, Job] = {}
        self._watchers: set[asyncio.Queue[Message]] = set()
        self._sending = asyncio.Lock()
        self._sends: set[asyncio.Task[None]] = set()
        self._early_deaths = 0
        self._closed = False
        self.status: Message = {"state": "starting", "message": ""}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Jobs]:
        """Start the worker; end it with the block."""
        self._loop = asyncio.get_running_loop()
        self._start()
        try:
            yield self
        finally:
            self._closed = True
            await self._send(("end",))
            await asyncio.to_thread(self._end)

    @property
    def pid(self) -> int | None:
        """Of the worker process."""
        return self._process.pid

    async def start(self, verb: str, arguments: Mapping[str, Any]) -> Job:
        """Hand a job to the worker. Its arguments have been checked."""
        job = Job()
        self._jobs[job.id] = job
        await self._send(("run", job.id, verb, dict(arguments)))
        return job

    def cancel(self, id: str) -> None:
        """Stop a job, if it still runs; its messages end at once."""
        if job := self._jobs.pop(id, None):
            job.say({"type": "cancelled"})
            # a task of its own: whoever cancels is often itself being cancelled, because its tab has gone
            sending = self._loop.create_task(self._send(("cancel", id)))
            self._sends.add(sending)
            sending.add_done_callback(self._sends.discard)

    async def watch(self) -> AsyncIterator[Message]:
        """The worker's status now, and each time it changes."""
        queue: asyncio.Queue[Message] = asyncio.Queue()
        queue.put_nowait(self.status)
        self._watchers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers.discard(queue)

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        self._process = self._context.Process(target=serve, args=(theirs,), name="isinglass lab worker")
        self._process.start()
        self._began = time.monotonic()
        theirs.close()  # the worker's end is the worker's alone, so that its death is seen here
        self._connection = ours
        self._listener = threading.Thread(target=self._listen, args=(ours,), daemon=True)
        self._listener.start()

    def _listen(self, connection: Connection) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            try:
                while True:
                    self._loop.call_soon_threadsafe(self._received, *connection.recv())
            except (EOFError, OSError):
                self._loop.call_soon_threadsafe(self._lost, connection)

    def _received(self, id: str, message: Message) -> None:
        if message["type"] == "ready":
            self._tell({"state": "ready", "message": ""})
        elif job := self._jobs.get(id):
            job.say(message)
            if message["type"] in LAST:
                del self._jobs[id]

    def _lost(self, connection: Connection) -> None:
        if self._closed or connection is not self._connection:
            return
        self._process.join(2)
        how = _ended(self._process.exitcode)
        connection.close()
        failed = Failed(
            "the worker process ended while it worked on this",
            [how],
            "it is being started again: run once more; a model that is too large for this machine's memory ends like this",
        )
        for job in self._jobs.values():
            job.say(failed.message())
        self._jobs.clear()
        self._tell({"state": "lost", "message": f"The worker process ended ({how}). It is being started again."})
        self._early_deaths = self._early_deaths + 1 if time.monotonic() - self._began < _AT_ONCE_SECONDS else 0
        self._loop.call_later(_PATIENCE_SECONDS[min(self._early_deaths, len(_PATIENCE_SECONDS) - 1)], self._restart)

    def _restart(self) -> None:
        if not self._closed:
            self._start()

    def _tell(self, status: Message) -> None:
        self.status = status
        for queue in self._watchers:
            queue.put_nowait(status)

    async def _send(self, message: tuple[Any, ...]) -> None:
        async with self._sending:
            # a worker that has just died is noticed by `_listen`, which fails its jobs
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._connection.send, message)

    def _end(self) -> None:
        self._process.join(2)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()
        self._listener.join(2)  # it has seen the worker's end; closed under its hands, a connection fails in ways that vary
        self._connection.close()


def _ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by signal {-code}, {signal.Signals(-code).name}"
    return f"exit code {code}"
