"""Turns, stopping in the middle of a step, and what is kept: the worker's parts, in this process."""

import subprocess
import sys
import threading
import time
from queue import SimpleQueue

import pytest

from isinglass.core.errors import EngineError
from isinglass.web import worker as module
from isinglass.web.bench import Bench, Kept
from isinglass.web.events import Shown, Working
from isinglass.web.turns import Turns
from isinglass.web.worker import Cancelled, Stopper, Worker


class Asked:
    """A verb made of steps."""

    closes = False

    def __init__(self, steps):
        self.steps = steps

    def run(self, bench):
        yield from self.steps()


class Keeping(Asked):
    """One that is stopped between its steps."""

    closes = True


@pytest.fixture
def start(monkeypatch):
    """Run generators as jobs of one worker; gives the worker, and the messages as they come."""
    messages, verbs = SimpleQueue(), {}
    monkeypatch.setattr(module, "request", lambda verb, arguments: verbs[verb])
    worker = Worker(messages)

    def begin(job, steps, kind=Asked):
        verbs[job] = kind(steps)
        worker.take(job, job, {})

    yield begin, worker, lambda: messages.get(timeout=30)
    worker._threads.shutdown()


def until_the_end(next_message, job):
    seen = []
    while True:
        name, message = next_message()
        if name == job:
            seen.append(message)
            if message["type"] in ("done", "failed", "cancelled"):
                return seen


def test_a_job_tells_its_events_and_its_end(start):
    begin, _, message = start
    begin("a", lambda: iter([Working("counting", 1, 2), Shown(data={"x": 1.0})]))
    events = until_the_end(message, "a")
    assert [event["type"] for event in events] == ["working", "shown", "done"]
    assert events[0] == {"type": "working", "doing": "counting", "done": 1, "total": 2}
    assert events[1]["data"] == {"x": 1.0} and events[2]["seconds"] > 0


def test_two_jobs_take_turns(start):
    """A long job does not keep a short one waiting for its end."""
    begin, _, message = start
    going = threading.Event()

    def long():
        for number in range(200):
            going.set()
            time.sleep(0.005)
            yield Working("long", number)

    begin("long", long)
    assert going.wait(10)
    begin("short", lambda: iter([Working("short")]))
    seen = []
    while not seen or seen[-1] != ("short", "done"):
        name, event = message()
        seen.append((name, event["type"]))
    assert seen.count(("long", "working")) < 100
    until_the_end(message, "long")


def test_a_step_is_stopped_in_its_middle(start):
    begin, worker, message = start
    going, after = threading.Event(), []

    def endless():
        going.set()
        began = time.monotonic()
        while time.monotonic() - began < 60:
            pass
        after.append("ran to its end")
        yield Working("never")

    begin("endless", endless)
    assert going.wait(10)
    began = time.monotonic()
    worker.cancel("endless")
    assert [event["type"] for event in until_the_end(message, "endless")] == ["cancelled"]
    assert time.monotonic() - began < 20 and after == []
    begin("next", lambda: iter([Working("still here")]))
    assert until_the_end(message, "next")[-1]["type"] == "done"


def test_a_job_in_line_is_stopped_too(start):
    begin, worker, message = start
    going, release = threading.Event(), threading.Event()

    def first():
        going.set()
        release.wait(30)
        yield Working("first")

    begin("first", first)
    assert going.wait(10)
    begin("second", lambda: iter([Working("second")]))
    assert message() == ("second", {"type": "working", "doing": "waiting for other work", "done": None, "total": None})
    worker.cancel("second")
    release.set()
    assert [event["type"] for event in until_the_end(message, "second")] == ["cancelled"]


def test_errors_are_told_as_the_house_writes_them(start, capsys):
    begin, _, message = start

    def refused():
        yield Working("trying")
        raise EngineError("no such tap", details=["known: a"], hint="did you mean 'a'?")

    begin("refused", refused)
    assert until_the_end(message, "refused")[-1] == {
        "type": "failed",
        "message": "no such tap",
        "details": ["known: a"],
        "hint": "did you mean 'a'?",
    }
    assert capsys.readouterr().err == ""

    def broken():
        yield Working("trying")
        {}["missing"]

    begin("broken", broken)
    event = until_the_end(message, "broken")[-1]
    assert event["message"] == "KeyError: 'missing'" and "test_worker.py:" in event["details"][0]
    assert "defect of the program" in event["hint"] and "Traceback" in capsys.readouterr().err


def test_a_stop_that_comes_late_does_nothing():
    stopper = Stopper()
    with stopper.step():
        pass
    stopper.stop()
    time.sleep(0.01)
    with pytest.raises(Cancelled), stopper.step():
        pytest.fail("a stopped job made a step")


def test_turns_are_first_come_first_served():
    turns, order, waiting = Turns(), [], []

    def take(name):
        with turns.turn(lambda: waiting.append(name)):
            order.append(name)

    with turns.turn(lambda: waiting.append("main")):
        threads = []
        for name in "abcdef":
            threads.append(threading.Thread(target=take, args=(name,)))
            threads[-1].start()
            while name not in waiting:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == list("abcdef") and waiting == list("abcdef")


def test_what_was_asked_for_last_is_kept():
    kept = Kept(2)
    made = [kept.get(key, lambda key=key: key.upper()) for key in "abacab"]
    assert made == list("ABACAB")
    assert "a" in kept and "b" in kept and "c" not in kept


def test_a_folder_that_has_changed_is_read_again(tmp_path):
    from helpers.lab import tiny_folder

    def load(bench):
        steps = bench.model(folder)
        said = []
        while True:
            try:
                said.append(next(steps).doing)
            except StopIteration as end:
                return end.value, said

    folder, bench = tiny_folder(tmp_path / "model"), Bench()
    first, said = load(bench)
    assert said == [f"loading {folder}"]
    assert load(bench) == (first, [])
    import os

    os.utime(tmp_path / "model" / "model.safetensors", (time.time() + 9, time.time() + 9))
    again, said = load(bench)
    assert again is not first and said == [f"loading {folder}"]


def test_a_job_that_keeps_what_is_done_is_stopped_between_two_steps(start):
    begin, worker, message = start
    done, inside, left = [], threading.Event(), threading.Event()

    def steps():
        try:
            for number in range(100):
                inside.set()
                for _ in range(20):  # lines at which another job would be stopped
                    time.sleep(0.01)
                done.append(number)
                yield Working("step", number)
        finally:
            left.set()

    begin("a", steps, Keeping)
    assert inside.wait(10)
    worker.cancel("a")
    events = until_the_end(message, "a")
    assert [event["type"] for event in events] == ["working", "cancelled"] and done == [0] and left.is_set()


def test_a_module_is_imported_to_its_end_before_a_job_is_stopped(start, tmp_path, monkeypatch):
    begin, worker, message = start
    (tmp_path / "slowly_imported.py").write_text(
        "import time\nbegun = True\nfor _ in range(30):\n    time.sleep(0.01)\nended = True\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    seen = []

    def steps():
        __import__("slowly_imported")
        for _ in range(1000):
            time.sleep(0.01)
        seen.append("went on")
        yield Working("never")

    begin("a", steps)
    while not hasattr(sys.modules.get("slowly_imported"), "begun"):
        time.sleep(0.001)
    worker.cancel("a")
    assert [event["type"] for event in until_the_end(message, "a")] == ["cancelled"]
    assert sys.modules.pop("slowly_imported").ended and seen == []


LATE = """
import sys, threading
from isinglass.web import worker
real, worker._raise_in = worker._raise_in, lambda thread, error: None
stopper = worker.Stopper()
with stopper.step():
    asking = threading.Thread(target=stopper.stop)  # its exception comes when the step has ended
    asking.start()
    asking.join()
    worker._raise_in = real
sys.settrace(lambda *event: None)
(lambda: None)()
print("traced")
"""


def test_a_stop_that_came_too_late_leaves_nothing_behind():
    """Not even in the interpreter, where a traced function would hang."""
    ran = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, timeout=120)
    assert ran.stdout == "traced\n", ran.stderr
