"""The worker process: it holds the models and does all work with them, so that the page stays alive whatever happens to it.

Jobs run in threads that take turns: one step (from one event to the next) of each job after the other, so a long training
and a quick look share the machine fairly. A job is stopped between two lines of Python, however long its step; one that
keeps what it has done (`Verb.closes`) is stopped between two steps.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from isinglass.web.bench import Bench
from isinglass.web.events import Failed, Working
from isinglass.web.turns import Turns
from isinglass.web.verb import request

_IMPORT_SECONDS = 0.05  # until it is asked again whether an import has ended
AT_ONCE = 8  # jobs that take turns; more wait in line


class Cancelled(BaseException):
    """Raised inside a job that is no longer wanted; not an Exception, so that no handler along the way takes it for a fault."""


class Stopper:
    """Stops one job from another thread, in the middle of a step unless it is `gentle`, but at most once and never outside a step.

    A module that is being imported is imported to its end: torch and numpy cannot be imported a second time in a process.
    """

    def __init__(self) -> None:
        self.asked = self.gentle = self._raised = False
        self._lock = threading.Lock()
        self._thread: int | None = None

    def stop(self) -> None:
        with self._lock:
            if not self.asked and not self.gentle:
                self._interrupt()
            self.asked = True

    def _interrupt(self) -> None:
        if self._thread is None:
            return  # the next step does not begin
        if _imports(self._thread):
            threading.Timer(_IMPORT_SECONDS, self._try_again).start()
        else:
            self._raised = True
            _raise_in(self._thread, Cancelled)

    def _try_again(self) -> None:
        with self._lock:
            self._interrupt()

    @contextmanager
    def step(self) -> Iterator[None]:
        """The part of a job that may be stopped."""
        with self._lock:
            if self.asked:
                raise Cancelled
            self._thread = threading.get_ident()
        try:
            yield
        finally:
            with self._lock:
                self._thread = None
            if self._raised:
                _drop()


def _imports(thread: int) -> bool:
    """Whether a thread is in the middle of an import."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _raise_in(thread: int, error: type[BaseException]) -> None:
    # CPython's own means (PyThreadState_SetAsyncExc): the thread raises when it comes to its next line of Python
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))


def _drop() -> None:
    """Raise here what came too late. To take it back instead would leave CPython's flag for it set for good: every thread then checks it
    at every call, and in 3.11 a traced function never begins."""
    try:
        _raise_in(threading.get_ident(), Cancelled)
        while True:
            time.sleep(0)
    except Cancelled:
        return


class Worker:
    """Jobs by their id. `say` takes what goes to the server and may be called from any thread."""

    def __init__(self, messages: SimpleQueue[tuple[str, dict[str, Any]]]) -> None:
        self._messages, self._bench, self._turns = messages, Bench(), Turns()
        self._stoppers: dict[str, Stopper] = {}
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="job")

    def take(self, job: str, verb: str, arguments: Mapping[str, Any]) -> None:
        """Put a job in line."""
        self._stoppers[job] = Stopper()
        self._threads.submit(self._run, job, verb, arguments)

    def cancel(self, job: str) -> None:
        """Stop a job; nothing when it has ended."""
        if stopper := self._stoppers.get(job):
            stopper.stop()

    def _run(self, job: str, verb: str, arguments: Mapping[str, Any]) -> None:
        began = time.perf_counter()

        def say(message: dict[str, Any]) -> None:
            self._messages.put((job, message))

        try:
            self._steps(job, verb, arguments, say)
            say({"type": "done", "seconds": time.perf_counter() - began})
        except Cancelled:
            say({"type": "cancelled"})
        except BaseException as error:
            failed = Failed.of(error)
            if failed.hint.startswith("this is a defect"):
                traceback.print_exception(error, file=sys.stderr)
            say(failed.message())
        finally:
            self._stoppers.pop(job, None)

    def _steps(self, job: str, verb: str, arguments: Mapping[str, Any], say: Any) -> None:
        stopper = self._stoppers[job]
        asked = request(verb, arguments)
        stopper.gentle = asked.closes
        events = asked.run(self._bench)
        waiting: Callable[[], None] = lambda: say(Working("waiting for other work").message())  # noqa: E731
        with closing(events):  # type: ignore[type-var] # a generator
            while True:
                with self._turns.turn(waiting), stopper.step():
                    event = next(events, None)
                    message = event.message() if event else None
                if message is None:
                    return
                say(message)
                waiting = _nothing  # said once; afterwards turns are short


def _nothing() -> None:
    return None


def serve(connection: Connection) -> None:
    """The process's main: take requests until the server is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the server, which ends this process
    messages: SimpleQueue[tuple[str, dict[str, Any]]] = SimpleQueue()
    worker = Worker(messages)
    threading.Thread(target=_send_all, args=(connection, messages), daemon=True).start()
    messages.put(("", {"type": "ready"}))
    try:
        while True:
            match connection.recv():
                case ("run", job, verb, arguments):
                    worker.take(job, verb, arguments)
                case ("cancel", job):
                    worker.cancel(job)
                case _:
                    break
    except (EOFError, OSError):
        pass  # the server has gone
    os._exit(0)  # threads in the middle of a step must not keep the process


def _send_all(connection: Connection, messages: SimpleQueue[tuple[str, dict[str, Any]]]) -> None:
    """One thread writes, so that no job can be stopped in the middle of a message."""
    try:
        while True:
            connection.send(messages.get())
    except OSError:
        os._exit(0)
