"""A model made here: a tiny one learns the King James Bible in less than half a minute, and is then looked into like any other."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Any

from isinglass.core import units
from isinglass.generation.lm import LM, create
from isinglass.generation.loop import generate
from isinglass.inspection.predictions import NextTokens
from isinglass.inspection.trace import trace
from isinglass.show.format import token
from isinglass.show.table import Table
from isinglass.studies.tour.station import Station, command, source
from isinglass.text.training import train_tokenizer
from isinglass.training.dataset import records_of
from isinglass.training.events import Finished, Sampled
from isinglass.training.loop import training
from isinglass.training.run import Run

ORDER = 80
STEPS = 200  # 17 s on two quiet cores; a count and not a clock, so that a slow machine makes the same model
PROMPT, ASKED = "And God said", "And the LORD said unto"
MODEL = "gpt2(n_layers=4, d_model=128, n_heads=4, context_length=64, feedforward=\"mlp(activation='relu', bias=False)\")"
ATTENTION = {"bias": "none", "position": "rotary"}
_VOCABULARY = 1024
_LOOKS = 3  # evaluations, each with a sample
_TOP = 6
_SAMPLE_TOKENS = 32
# validation loss in nats of the recipes tried: Muon with 16 windows 3.62 (57 processor seconds), with 8 3.74 (48), AdamW 4.05 (54)
_CONFIG = {
    "batch_size": 16, "optimizer": "muon(lr=1e-2)", "schedule": "linear(warmup=10, floor=0.02)", "evaluation_batches": 10,
    "samples": [PROMPT], "sample_tokens": _SAMPLE_TOKENS,
}  # fmt: skip


def station(lm: LM, *, steps: int = STEPS) -> Station:
    records = records_of({"source": "kjv", "unit": "paragraph"})
    tokenizer = train_tokenizer("bpe", [record.text for record in records], vocab_size=_VOCABULARY)
    untrained = create(MODEL, tokenizer=tokenizer, attention=ATTENTION)
    samples = [(0, generate(untrained, PROMPT, max_tokens=_SAMPLE_TOKENS, strategy="sample(temperature=0.8)", seed=0).text)]
    run: Run | None = None
    for event in training(untrained, records, steps=steps, config={**_CONFIG, "evaluate_every": math.ceil(steps / _LOOKS)}):
        if isinstance(event, Sampled):
            samples.append((event.step, event.text))
        elif isinstance(event, Finished):
            run = event.run
    assert run is not None  # training always ends with Finished
    before, after = (trace(one, ASKED).next_tokens(top=_TOP) for one in (untrained, run.lm))
    facts = _facts(lm, run, samples, before, after)
    return Station("A model of its own", _text(facts), _items(run, samples, after, command("tour", "--only", "training")), facts)


def _items(run: Run, samples: Sequence[tuple[int, str]], after: NextTokens, again: str) -> tuple[Any, ...]:
    """The loss curve, what the model wrote on its way, and what it expects now."""
    curve, expected = run.figure, after.figure
    curve.title, curve.command = "The loss of a model that learns the King James Bible", again
    expected.title, expected.command = f"What it expects after “{ASKED}”", again
    written = Table(
        [{"steps": step, "text": PROMPT + _legible(text)} for step, text in samples],
        title="What it writes before, while and after it learns", command=again,
        notes=["sampled at temperature 0.8 from the same seed; □ is nothing that can be printed"],
    )  # fmt: skip
    return curve, written, expected


def _facts(lm: LM, run: Run, samples: Sequence[tuple[int, str]], before: NextTokens, after: NextTokens) -> dict[str, Any]:
    steps = [row for row in run.rows if "n_tokens" in row]
    n_tokens, seconds = sum(row["n_tokens"] for row in steps), sum(row["seconds"] for row in steps)
    first = after.table.rows[0]
    return {
        "model": source(lm), "n_parameters": sum(weight.numel() for weight in run.lm.model.parameters()),
        "steps": len(steps), "n_tokens": int(n_tokens), "seconds": seconds, "tokens_per_second": n_tokens / seconds,
        "validation_loss": {str(row["step"]): row["validation_loss"] for row in run.evaluations},
        "bits_per_byte": run.evaluations[-1]["validation_bits_per_byte"],
        "samples": {str(step): text for step, text in samples},
        "prompt": ASKED, "first_token": first["token"], "probability": first["probability"],
        "entropy_nats": {"before": before.entropy[1.0], "after": after.entropy[1.0]},
    }  # fmt: skip


def _text(facts: dict[str, Any]) -> str:
    *_, loss = facts["validation_loss"].values()
    entropy = facts["entropy_nats"]
    return (
        f"A decoder of {units.count(facts['n_parameters'])} parameters begins with random weights and reads "
        f"{units.count(facts['n_tokens'])} tokens of the King James Bible in {facts['steps']:,} steps, at "
        f"{facts['tokens_per_second']:,.0f} tokens per second: {units.duration(facts['seconds'])}. On chapters that it never reads its "
        f"loss ends at {loss:.2f} nats per token, {facts['bits_per_byte']:.2f} bits per byte; guessing evenly among {_VOCABULARY:,} tokens "
        f"would be {math.log(_VOCABULARY):.2f} nats. What looked into {facts['model'] or 'the model above'} looks into this one as well: "
        f"after “{ASKED}” it expects “{token(facts['first_token'])}” with {units.share(facts['probability'])}, and its doubt went from "
        f"{entropy['before']:.2f} to {entropy['after']:.2f} nats."
    )


def _legible(text: str) -> str:
    return "".join(letter if letter.isprintable() and not unicodedata.combining(letter) and letter != "\ufffd" else "□" for letter in text)
