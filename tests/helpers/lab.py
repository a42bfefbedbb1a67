"""A running lab for tests: its own process, as a user starts it, or the application alone."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import isinglass as ig


def tiny_folder(folder: Path, expression: str = "tiny", **options) -> str:
    """A small model that reads bytes, as a folder; returns its path."""
    return str(ig.export(ig.create(expression, **options), folder, format="isinglass"))


@contextlib.contextmanager
def lab(model: str, *options: str) -> Iterator[Lab]:
    """`isinglass lab` in a process of its own, ended by Ctrl-C."""
    command = [sys.executable, "-m", "isinglass.cli.main", "lab", "--model", model, "--no-open", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    try:
        assert address, process.communicate()[1]
        yield Lab(address, process)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


class Lab:
    """`address` is the printed one, with the token; `root` the same without."""

    def __init__(self, address: str, process: subprocess.Popen | None) -> None:
        parts = urlsplit(address)
        self.address, self.root, self.process, self.port = address, f"http://{parts.netloc}", process, parts.port
        self.token = parts.query.removeprefix("token=")

    def post(self, verb: str, **arguments) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Start a job; the answer's stream is left open."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Origin": self.root, "Cookie": f"isinglass_lab_{self.port}={self.token}", "Content-Type": "application/json"}
        connection.request("POST", "/api/jobs", json.dumps({"verb": verb, "arguments": arguments}), headers)
        return connection, connection.getresponse()

    def messages(self, verb: str, **arguments) -> list[dict]:
        """All messages of a job."""
        connection, answer = self.post(verb, **arguments)
        with contextlib.closing(connection):
            return list(events(answer))

    def children(self) -> list[int]:
        """Processes of the lab's worker."""
        import psutil

        assert self.process is not None
        return [child.pid for child in psutil.Process(self.process.pid).children() if "spawn_main" in " ".join(child.cmdline())]


def events(answer) -> Iterator[dict]:
    """The messages of a stream of server-sent events."""
    for line in answer:
        if line.startswith(b"data:"):
            yield json.loads(line[5:])
