"""The real worker process: jobs from several tabs, stopping, and its death."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time

import pytest
import uvicorn

from helpers.lab import Lab, events, lab, tiny_folder
from isinglass.web.app import create_app
from isinglass.web.jobs import Jobs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Not large, but with so many layers over a long text that a step takes a while."""
    return tiny_folder(tmp_path_factory.mktemp("models") / "large", "tiny(n_layers=64, d_model=128, n_heads=8, context_length=4096)")


@pytest.fixture(scope="module")
def running(folder):
    with lab(folder, "--quiet") as one:
        yield one


async def all_of(job):
    return [message async for message in job.messages()]


def test_a_job_goes_through_the_process_and_comes_back(running, folder):
    messages = running.messages("predict", text="abc", model=folder)
    assert messages[0]["type"] == "accepted" and "ig.trace" in messages[0]["python"]
    assert [message["slot"] for message in messages if message["type"] == "shown"] == ["next", "surprisal"]
    assert messages[-1]["type"] == "done"


def test_errors_of_the_work_come_back_in_the_house_form(running):
    last = running.messages("predict", text="abc", model="smollm3")[-1]
    assert (last["type"], last["message"]) == ("failed", "unknown model 'smollm3'") and "smollm2" in last["hint"]


def test_two_tabs_do_not_disturb_each_other(running, folder):
    one, other = running.post("predict", text="abc", model=folder), running.post("tokens", text="abc", model=folder, vocabularies="gpt2")
    last = [list(events(answer))[-1]["type"] for _, answer in (other, one)]
    assert last == ["done", "done"]
    for connection, _ in (one, other):
        connection.close()


def test_a_dead_worker_fails_its_job_and_is_replaced(running, folder, large):
    (before,) = running.children()
    connection, answer = running.post("predict", text="x" * 4000, model=large)
    with contextlib.closing(connection):
        stream = events(answer)
        while next(stream)["type"] != "working":
            pass
        os.kill(before, signal.SIGKILL)
        failed = list(stream)[-1]
    assert failed["type"] == "failed" and failed["message"] == "the worker process ended while it worked on this"
    assert failed["details"] == ["killed by signal 9, SIGKILL"] and "started again" in failed["hint"]
    assert running.messages("predict", text="abc", model=folder)[-1]["type"] in ("done", "failed")  # the new one may not be there yet
    assert running.messages("predict", text="abc", model=folder)[-1]["type"] == "done"
    assert running.children() not in ([], [before])


def test_stopping_a_job_frees_the_worker(large, folder):
    async def go():
        async with Jobs().open() as jobs:
            long = await jobs.start("predict", {"text": "x" * 4000, "model": large})
            stream = long.messages()
            while (await anext(stream)).get("doing") != "reading the text":
                pass
            began = time.monotonic()
            jobs.cancel(long.id)
            assert (await anext(stream))["type"] == "cancelled"
            short = await jobs.start("tokens", {"text": "abc", "model": folder, "vocabularies": ""})
            assert (await all_of(short))[-1]["type"] == "done"
            return time.monotonic() - began

    assert asyncio.run(go()) < 30


def test_leaving_the_stream_stops_the_job(large, monkeypatch):
    """A tab that closes: its connection ends, and the worker is told to stop."""
    told, original = [], Jobs._send

    async def send(self, message):
        await original(self, message)
        told.append(message)

    monkeypatch.setattr(Jobs, "_send", send)
    with served(large) as one:
        connection, answer = one.post("predict", text="y" * 4000, model=large)
        stream = events(answer)
        job = next(stream)["id"]
        while next(stream).get("doing") != "reading the text":
            pass
        answer.close()
        connection.close()
        until(lambda: ("cancel", job) in told)
        assert [message[:2] for message in told] == [("run", job), ("cancel", job)]


@contextlib.contextmanager
def served(model):
    """The application in a thread of this process, so that a test can look inside."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    app = create_app(model=model, token="secret", port=port)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    until(lambda: server.started)
    try:
        yield Lab(f"http://127.0.0.1:{port}/?token=secret", None)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_worker_ends_with_the_server(folder):
    import psutil

    with lab(folder) as one:
        one.messages("tokens", text="abc", model=folder, vocabularies="")
        (worker,) = one.children()
    assert one.process.returncode == 0
    for _ in range(100):
        if not psutil.pid_exists(worker):
            break
        time.sleep(0.05)
    assert not psutil.pid_exists(worker)


def test_a_server_that_is_killed_leaves_no_worker_behind(folder):
    import psutil

    with lab(folder) as one:
        one.messages("tokens", text="abc", model=folder, vocabularies="")
        (worker,) = one.children()
        one.process.kill()
        one.process.wait()
        for _ in range(200):
            if not psutil.pid_exists(worker):
                break
            time.sleep(0.05)
        assert not psutil.pid_exists(worker)


def test_a_port_that_is_taken_is_said(running, folder, capsys):
    from isinglass.cli.main import main

    assert main(["lab", "--model", folder, "--port", str(running.port), "--no-open"]) == 2
    assert f"error: port {running.port} of 127.0.0.1 cannot be used" in capsys.readouterr().err
    assert main(["lab", "--port", "70000"]) == 2
    assert "error: --port 70000, expected 0 to 65535" in capsys.readouterr().err


def test_without_its_packages_the_lab_says_what_to_install(monkeypatch, capsys):
    import sys

    from isinglass.cli.main import main

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "isinglass.web.server", raising=False)
    monkeypatch.delattr("isinglass.web.server", raising=False)
    assert main(["lab", "--no-open"]) == 1
    assert "error: this needs the package 'uvicorn', which is not installed\nhint: pip install 'isinglass[lab]'" in capsys.readouterr().err
