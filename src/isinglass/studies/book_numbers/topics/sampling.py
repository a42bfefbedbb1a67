"""Sampling: nine words and their logits, at several temperatures, the best three, and a thousand draws."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from isinglass.generation.sampling import Row, draw
from isinglass.generation.strategies.sample import build
from isinglass.studies.book_numbers.number import Number, Value

WORDS = ("closer", "every", "effort", "forward", "inches", "moves", "pizza", "toward", "you")
LOGITS = (4.51, 0.89, -1.90, 6.75, 1.63, -1.62, -1.89, 6.28, 1.79)
COUNTS = [73, 0, 0, 582, 2, 0, 0, 343, 0]
N_DRAWS = 1000
SAMPLE = "isinglass explain strategies.sample"


def numbers() -> list[Number]:
    """Section 5.3."""
    of = "of " + ", ".join(WORDS)
    return [
        Number(chapter="5", what="the most likely word", theirs="forward", measure=most_likely, shown_by="isinglass explain greedy"),
        Number(
            chapter="5",
            what=f"1,000 draws with seed 123, times {of}",
            theirs=COUNTS,
            measure=torch_draws,
            shown_by=SAMPLE,
            note="our distribution, drawn from by torch.multinomial as in the book",
        ),
        Number(
            chapter="5",
            what="the same by our own draw, seed 123",
            theirs=COUNTS,
            measure=our_draws,
            shown_by="src/isinglass/generation/sampling.py",
            note="the same distribution from another use of random numbers: each row has its own generator, sums are in fp64",
        ),
        Number(
            chapter="5",
            what=f"probabilities {of}, top-k 3",
            theirs=[0.0615, 0.0, 0.0, 0.5775, 0.0, 0.0, 0.0, 0.3610, 0.0],
            measure=lambda: probabilities(top_k=3).tolist(),
            shown_by="isinglass explain top_k",
        ),
        Number(
            chapter="5",
            what="probability of pizza at temperature 5",
            theirs=0.0430,
            measure=lambda: float(probabilities(temperature=5.0)[WORDS.index("pizza")]),
            shown_by="isinglass explain filters.temperature",
        ),
    ]


def law(temperature: float | None = None, top_k: int | None = None) -> Tensor:
    """The logits that a sampler with these settings draws from."""
    return build(temperature=temperature, top_k=top_k).law(torch.tensor(LOGITS), [])  # type: ignore[attr-defined]


def probabilities(temperature: float | None = None, top_k: int | None = None) -> Tensor:
    return law(temperature, top_k).softmax(-1)


def most_likely() -> str:
    return WORDS[int(law(temperature=0.0).argmax())]


def torch_draws() -> Value:
    """One draw at a time from torch's own stream, which is put back."""
    chances = probabilities()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        return _counted(int(torch.multinomial(chances, 1)) for _ in range(N_DRAWS))


def our_draws() -> Value:
    logits, row = law(), Row.start([], seed=123, number=0)
    return _counted(draw(logits, row.generator) for _ in range(N_DRAWS))


def _counted(drawn: object) -> list[int]:
    counts = Counter(drawn)  # type: ignore[call-overload]
    return [counts[number] for number in range(len(WORDS))]
