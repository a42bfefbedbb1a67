"""Untrained: what the 124M model of seed 123 writes, and how surprised it is, before any training."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch

from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.models.transformer import Decoder
from isinglass.studies.book_numbers.drawn import drawn_as_in_the_book
from isinglass.studies.book_numbers.number import Number, Value
from isinglass.text.load import tokenizer
from isinglass.training.dataset import held_out, records_of
from isinglass.training.objectives import causal_lm

STORY = "the-verdict.txt"
CONTEXT, BATCH = 256, 2
PROMPT = [15496, 11, 314, 716]  # "Hello, I am"
WRITTEN = [27018, 24086, 47843, 30961, 42348, 7267, 49706, 43231, 47062, 34657]


def numbers() -> list[Number]:
    """Sections 4.7 and 5.1."""
    drawn = "our decoder, its weights drawn as torch's modules draw them, in the book's order"
    made = cache(lambda: LM(drawn_as_in_the_book(f"gpt2(embeddings='untied', context_length={CONTEXT})", 123), tokenizer("gpt2")))
    return [
        Number(
            chapter="4",
            what="ten tokens after 'Hello, I am', greedy, seed 123",
            theirs=WRITTEN,
            measure=written,
            shown_by="src/isinglass/models/transformer.py",
            note=drawn,
        ),
        Number(
            chapter="5",
            what=f"{STORY}: loss before training, last 10 %, seed 123",
            theirs=10.981,
            digits=3,
            file=STORY,
            measure=lambda path: loss(made(), sides(path)[1]),
            shown_by="src/isinglass/training/objectives/causal_lm.py",
            note=drawn,
        ),
        Number(
            chapter="5",
            what=f"{STORY}: loss before training, first 90 %, seed 123",
            theirs=10.98758,
            digits=5,
            file=STORY,
            measure=lambda path: loss(made(), sides(path)[0]),
            shown_by="src/isinglass/training/objectives/causal_lm.py",
            note=drawn,
        ),
    ]


@torch.inference_mode()
def written() -> Value:
    model: Decoder = drawn_as_in_the_book("gpt2(embeddings='untied')", 123)
    ids = list(PROMPT)
    for _ in WRITTEN:
        ids.append(int(model(torch.tensor([ids]), rows="last").argmax()))
    return ids[len(PROMPT) :]


def sides(path: Path) -> tuple[list[Record], list[Record]]:
    """The story, and its end that is held out."""
    return held_out(records_of(path), 0.1, seed=0)


@torch.no_grad()
def loss(lm: LM, records: list[Record]) -> float:
    """The mean over windows that follow one another; our last one, which reaches back so that no token is left out, is not in the book."""
    objective = causal_lm.build()
    windows = objective.examples(lm, records, CONTEXT)
    whole = [windows[number] for number in range(len(windows)) if windows.windows.start(number) == number * CONTEXT]  # type: ignore[attr-defined]
    batches = [objective.collate(whole[at : at + BATCH], [0] * BATCH) for at in range(0, len(whole), BATCH)]
    total = sum(float(objective.loss(lm.decoder, batch).total) for batch in batches)
    return total / sum(batch.n_targets for batch in batches)
