"""Preparation: records through steps, as an iterator of what was kept and what was dropped and why."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

from isinglass.core.config import read_toml
from isinglass.core.errors import ConfigError
from isinglass.core.variants import Call, import_user_files, parse, user_files
from isinglass.data.records import Record
from isinglass.data.step import CorpusStep, Dropped, Item, Kept, Outcome, Passed, Step, TextStep, Verdict
from isinglass.data.steps import family

#: What `isinglass data prepare` does when it is not told otherwise.
DEFAULT = ("clean", "exact_duplicates")
_CHUNK = 256  # records handed to a process at once
_FEW = 1024  # records that one process judges before others have started


def prepare(
    records: Iterable[Record], steps: Iterable[str | Step] = DEFAULT, *, field: str = "text", processes: int = 1
) -> Iterator[Outcome]:
    """Each record through the steps in order: `Kept` with the record as they left it, or `Dropped` with the reason and what was found.

    There is one outcome for each record, in the order of the records, whatever the number of processes. Steps are names or expressions
    (`isinglass explain steps`) or objects; they see the text in `field`. Steps that judge a text by itself run in `processes`; those that
    compare texts run in this one. Raises VariantError for an unknown step and DataError for a record without the field.

    >>> records = [Record({"text": text}, f"line {n}") for n, text in enumerate(["one", "two ", "one"], start=1)]
    >>> for outcome in prepare(records, ["clean", "exact_duplicates"]):
    ...     print(type(outcome).__name__, outcome.record.place)
    Kept line 1
    Kept line 2
    Dropped line 3
    """
    if processes < 1:
        raise ConfigError(f"processes = {processes!r}, expected at least 1")
    built = [family.resolve(step, where="steps") for step in steps]
    return _run(records, built, field, processes)


def read_steps(text: str) -> list[str]:
    """Steps as they are written: `clean, near_duplicates(threshold=0.8)`, or the path of a TOML file with `steps`, either a list of such
    expressions or tables `[[steps]]` of a name and its settings.

    >>> read_steps("clean, quality(rules='c4')")
    ['clean', "quality(rules='c4')"]
    """
    if text.strip().endswith(".toml"):
        return steps_of(read_toml(Path(text.strip()).expanduser()), text.strip())
    if not text.strip():
        return []
    listed = parse(f"steps({text})")
    if not isinstance(listed, Call) or listed.kwargs:
        raise ConfigError(f"cannot read the steps {text!r}", hint="clean, near_duplicates(threshold=0.8)")
    return [str(step) for step in listed.args]


def steps_of(recipe: Mapping[str, Any], where: str) -> list[str]:
    """The steps of a recipe's `steps`, as expressions. Raises ConfigError, which names the key, for anything else in their place."""
    listed = recipe.get("steps")
    if not isinstance(listed, list):
        raise ConfigError(f"{where}: steps is {listed!r}, expected a list", hint='steps = ["clean", "exact_duplicates"]')
    return [_expression(step, f"{where}: steps[{place}]") for place, step in enumerate(listed)]


def _expression(step: Any, where: str) -> str:
    if isinstance(step, str):
        return step
    if not isinstance(step, dict) or not isinstance(step.get("name"), str):
        raise ConfigError(f"{where} = {step!r}, expected an expression or a table with a name", hint='[[steps]]\nname = "clean"')
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in step.items() if key != "name"}
    return str(Call(step["name"], (), tuple(settings.items())))


def _run(records: Iterable[Record], steps: Sequence[Step], field: str, processes: int) -> Iterator[Outcome]:
    outcomes: Iterator[Outcome] = map(Kept, records)
    for _, group in groupby(steps, key=lambda step: isinstance(step, TextStep)):
        members = list(group)
        for step in members:
            if isinstance(step, CorpusStep):
                outcomes = _sifted(outcomes, step, field)
        alone = [step for step in members if isinstance(step, TextStep)]
        if alone:
            outcomes = _in_processes(outcomes, alone, field, processes) if processes > 1 else map(partial(_judged, alone, field), outcomes)
    return outcomes


def _judged(steps: Sequence[TextStep], field: str, outcome: Outcome) -> Outcome:
    """One record through steps that judge it by itself."""
    for step in steps:
        if isinstance(outcome, Kept):
            outcome = _after(outcome, step.judge(outcome.record.string(field)), field)
    return outcome


def _after(kept: Kept, verdict: Verdict, field: str) -> Outcome:
    record = kept.record
    if not isinstance(verdict, Passed):
        return Dropped(record, verdict.reason, verdict.detail)
    if verdict.fields or verdict.text != record[field]:
        record = Record({**record.fields, field: verdict.text, **verdict.fields}, record.place)
    return Kept(record, kept.changes + verdict.changes)


def _sifted(outcomes: Iterator[Outcome], step: CorpusStep, field: str) -> Iterator[Outcome]:
    """All records through a step that compares them. What was dropped before keeps its place in the order."""
    waiting: deque[Outcome] = deque()

    def items() -> Iterator[Item]:
        for outcome in outcomes:
            waiting.append(outcome)
            if isinstance(outcome, Kept):
                yield Item(outcome.record.place, outcome.record.string(field))

    for verdict in step.sift(items()):
        while isinstance(passing := waiting.popleft(), Dropped):
            yield passing
        yield _after(passing, verdict, field)
    yield from waiting


def _in_processes(outcomes: Iterator[Outcome], steps: Sequence[TextStep], field: str, processes: int) -> Iterator[Outcome]:
    """Chunks judged by several processes and given back in order; no more are read ahead than the processes need."""
    first = list(islice(outcomes, _FEW))
    if len(first) < _FEW:  # done before a process would have started
        yield from map(partial(_judged, steps, field), first)
        return
    whole = chain(first, outcomes)
    del first
    # "spawn": a fork of a process with threads may hang
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        processes, mp_context=context, initializer=_start, initargs=(user_files(steps), pickle.dumps(tuple(steps)), field)
    )
    running: deque[Future[list[Outcome]]] = deque()
    try:
        for chunk in iter(lambda: list(islice(whole, _CHUNK)), []):
            with _deaf():  # the first chunk starts the processes
                running.append(pool.submit(_judge_chunk, chunk))
            if len(running) > 2 * processes:
                yield from running.popleft().result()
        while running:
            yield from running.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that are started in here do not hear Ctrl-C, which reaches every one: the one that began them ends them."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set what signals do
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Worker:
    """What a process of the pool works with; it is set once, when the process starts, because a step may be large."""

    steps: tuple[TextStep, ...] = ()
    field = ""


def _start(files: Sequence[Path], steps: bytes, field: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where they were not started by the main thread
    import_user_files(files)  # before their classes are asked for
    _Worker.steps, _Worker.field = pickle.loads(steps), field


def _judge_chunk(chunk: list[Outcome]) -> list[Outcome]:
    return [_judged(_Worker.steps, _Worker.field, outcome) for outcome in chunk]
