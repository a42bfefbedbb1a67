"""Turns: several jobs in one process, one of them at work at a time, each in the order in which it asked."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Turns:
    """First come, first served; a plain lock would let the one that just had it take it again."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._line: deque[object] = deque()

    @contextmanager
    def turn(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Wait for a turn and hold it. `waiting` is called once when somebody else has it."""
        ticket = object()
        with self._change:
            self._line.append(ticket)
            if self._line[0] is not ticket:
                waiting()
            self._change.wait_for(lambda: self._line[0] is ticket)
        try:
            yield
        finally:
            with self._change:
                self._line.popleft()
                self._change.notify_all()
