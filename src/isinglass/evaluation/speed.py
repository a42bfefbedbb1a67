"""Speed of generation beside transformers: both in one process, in turn, so that the ratio holds when the machine's speed drifts."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from isinglass.core.errors import ExtraMissing
from isinglass.generation.lm import DTYPES, LM, load
from isinglass.generation.loop import generate
from isinglass.models.checkpoint import write_huggingface

Run = Callable[[int], None]  # generates that many tokens per row


@dataclass(frozen=True)
class Setting:
    """What is measured: `ours` says how we run, transformers always runs eager."""

    dtype: str
    batch: int
    compile: bool = False


@dataclass(frozen=True)
class Measured:
    """Tokens per second of all rows together, one number per round, ours and theirs measured in turn."""

    setting: Setting
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Medians, and the median of the rounds' ratios."""
        ratios = [a / b for a, b in zip(self.ours, self.theirs, strict=True)]
        return {
            "dtype": self.setting.dtype,
            "batch": self.setting.batch,
            "ours": "compiled" if self.setting.compile else "eager",
            "tokens per second": statistics.median(self.ours),
            "transformers": statistics.median(self.theirs),
            "ratio": statistics.median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
        }


def compare_generation(model: str, settings: list[Setting], *, n_tokens: int, rounds: int) -> Iterator[Measured]:
    """Yield one result per setting. Both generate greedily, `n_tokens` per row beyond the first, the prompt's pass taken off.

    Raises ExtraMissing without transformers.
    """
    with tempfile.TemporaryDirectory() as folder:
        for dtype in dict.fromkeys(setting.dtype for setting in settings):
            lm = load(model, dtype=dtype)
            write_huggingface(lm.model, Path(folder))
            peer = _transformers_model(folder, dtype)
            for setting in (s for s in settings if s.dtype == dtype):
                yield _measure(setting, _ours(lm, setting), _theirs(peer, lm, setting.batch), n_tokens, rounds)


def _measure(setting: Setting, ours: Run, theirs: Run, n_tokens: int, rounds: int) -> Measured:
    measured = Measured(setting)
    for run in (ours, theirs):
        run(2)  # warm up: pack, compile, fill caches
    for _ in range(rounds):
        measured.ours.append(_rate(ours, n_tokens, setting.batch))
        measured.theirs.append(_rate(theirs, n_tokens, setting.batch))
    return measured


def _rate(run: Run, n_tokens: int, batch: int) -> float:
    """Tokens per second of the steps alone: a long run less a run of one token."""
    return batch * n_tokens / (_seconds(run, n_tokens + 1) - _seconds(run, 1))


def _seconds(run: Run, n_tokens: int) -> float:
    began = time.perf_counter()
    run(n_tokens)
    return time.perf_counter() - began


_PROMPT = "The capital of France is"


def _ours(lm: LM, setting: Setting) -> Run:
    prompts = [_PROMPT] * setting.batch

    def run(n_tokens: int) -> None:
        generate(lm, prompts, max_tokens=n_tokens, ignore_end=True, compile=setting.compile)

    return run


def _theirs(peer: Any, lm: LM, batch: int) -> Run:
    ids = torch.tensor([lm.encode(_PROMPT)] * batch)
    mask = torch.ones_like(ids)

    def run(n_tokens: int) -> None:
        with torch.inference_mode():
            peer.generate(ids, attention_mask=mask, max_new_tokens=n_tokens, min_new_tokens=n_tokens, do_sample=False, pad_token_id=0)

    return run


def _transformers_model(folder: str, dtype: str) -> Any:
    try:
        from transformers import AutoModelForCausalLM  # type: ignore[import-not-found]
        from transformers.utils import logging  # type: ignore[import-not-found]
    except ImportError:
        raise ExtraMissing("transformers", "test") from None
    logging.disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(folder, dtype=DTYPES[dtype]).eval()


def first_token_seconds(model: str, rounds: int) -> list[float]:
    """Seconds of a new process from its start to the first token of a generation, loading included."""
    code = f"import isinglass as ig; ig.generate(ig.load({model!r}), {_PROMPT!r}, max_tokens=1)"
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        seconds.append(time.perf_counter() - began)
    return seconds
