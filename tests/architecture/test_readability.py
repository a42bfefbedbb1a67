"""The readability budget: from `ig.generate` to the softmax of attention a reader passes at most 8 frames and 700 lines of ours."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import isinglass as ig
from isinglass.generation.lm import LM
from isinglass.nn.attention.kernels.reference import attention_weights

ROOT = Path(ig.__file__).parent
FRAMES, LINES = 8, 700


@pytest.fixture
def path_to_softmax(make_lm: Callable[..., LM]) -> list[CodeType]:
    """The functions of ours on the stack when the first softmax is taken, outermost first, generate itself included."""
    lm = make_lm("tiny", attention={"kernel": "reference"})
    ig.generate(lm, "abc", max_tokens=1)  # packed before, so that packing is not on the way
    found: list[list[CodeType]] = []
    softmax = inspect.unwrap(attention_weights).__code__

    def look(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code is softmax and not found:
            stack, at = [], frame
            while at is not None:
                stack.append(at.f_code)
                at = at.f_back
            found.append([code for code in reversed(stack) if Path(code.co_filename).is_relative_to(ROOT)])

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        ig.generate(lm, "abc", max_tokens=1)
    finally:
        sys.setprofile(before)
    return found[0]


def test_frames(path_to_softmax: list[CodeType]) -> None:
    names = [code.co_qualname for code in path_to_softmax]
    assert names[0] == "generate"
    assert names[-1] == "attention_weights"
    assert len(names) <= FRAMES + 1, names  # the softmax's own frame is where one arrives


def test_lines(path_to_softmax: list[CodeType]) -> None:
    lines = {code: len(inspect.getsourcelines(code)[0]) for code in path_to_softmax}
    assert sum(lines.values()) <= LINES, {code.co_qualname: n for code, n in lines.items()}


def test_functions_on_the_way_fit_on_a_screen(path_to_softmax: list[CodeType]) -> None:
    assert all(len(inspect.getsourcelines(code)[0]) <= 50 for code in path_to_softmax)
