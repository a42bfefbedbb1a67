"""Running the command line in this process (fast) or as a user does, in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from helpers.command import command
from isinglass.cli.main import main
from isinglass.generation.lm import create, export


class Ran(NamedTuple):
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """`cli("tokens", "Hello")` runs the command in this process."""

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capfd.readouterr())

    return run


@pytest.fixture
def process() -> Callable[..., Ran]:
    """`process("tokens", "Hello", input=b"...", COLUMNS="40")` runs it as a process; upper-case names are its environment."""

    def run(*arguments: object, input: bytes = b"", **environment: str) -> Ran:
        done = subprocess.run(command(*arguments), input=input, capture_output=True, env={**os.environ, **environment}, timeout=240)
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two layers with GPT-2's vocabulary, as a Hugging Face folder; loads in milliseconds."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return export(create("tiny(context_length=64)", tokenizer="gpt2"), folder)


@pytest.fixture(scope="session")
def long_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a context that takes minutes to fill, to be interrupted."""
    folder = tmp_path_factory.mktemp("models") / "long"
    return export(create("tiny(context_length=50000)", tokenizer="gpt2"), folder)


@pytest.fixture(scope="session")
def byte_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers over bytes: the smallest model there is."""
    return export(create("tiny"), tmp_path_factory.mktemp("models") / "bytes")


@pytest.fixture(scope="session")
def chat_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers over bytes that are talked to in ChatML."""
    folder = export(create("tiny(context_length=400)"), tmp_path_factory.mktemp("models") / "chat")
    (folder / "chat_template.jinja").write_text("{% for m in messages %}<|im_start|>{{ m.role }}{% endfor %}", encoding="utf-8")
    return folder
