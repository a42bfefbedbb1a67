"""How a model answers a quiz: its greedy answer, how sure it is of it, and how likely the accepted ones are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.generation.loop import generate
from isinglass.generation.results import Generation
from isinglass.inspection.quiz import QuizItem
from isinglass.inspection.reading import token_text
from isinglass.inspection.surprisal import nats_of
from isinglass.inspection.trace import trace

_BATCH = 12
_AFTER = 2  # tokens beyond the longest answer, to see where its last word ends
_TOP = 3


@dataclass(frozen=True)
class Answer:
    """What a model makes of one item.

    `text` is its greedy continuation, `correct` whether that begins with an accepted answer (None where there is none). `confidence` is
    the product of the probabilities of the greedy tokens: along the matched answer, else as many as the first accepted one has, else up to
    the first that is not blank. `accepted_probability` is the largest of an accepted answer, the product along its tokens. `entropy`
    (nats) and `top` are of the first token that is not blank: before digits many vocabularies have a token for the space alone, of which
    a model is sure whatever the number.
    """

    item: QuizItem
    tokens: list[str]
    text: str
    correct: bool | None
    confidence: float
    accepted_probability: float | None
    entropy: float
    top: list[tuple[str, float]]

    def row(self) -> dict[str, Any]:
        return {
            "kind": self.item.kind, "question": self.item.prompt, "answer": self.text, "correct": self.correct,
            "confidence": self.confidence, "accepted": ", ".join(self.item.accepted), "P(accepted)": self.accepted_probability,
            "entropy": self.entropy,
            "top first tokens": ", ".join(f"{token!r} {share:.0%}" for token, share in self.top),
        }  # fmt: skip


def answer(lm: LM, items: Sequence[QuizItem], progress: Callable[[int], object] = lambda count: None) -> list[Answer]:
    """The answers to all items; `progress` is told how many more are done. EngineError for a model that does not continue a text."""
    if not items:
        raise EngineError("no questions were given")
    lm.decoder  # noqa: B018 - says at once, and not after minutes, that a model cannot answer
    made: list[Answer] = []
    for start in range(0, len(items), _BATCH):
        made += _batch(lm, items[start : start + _BATCH])
        progress(len(made) - start)
    return made


def _batch(lm: LM, items: Sequence[QuizItem]) -> list[Answer]:
    prompts = [lm.encode(item.prompt) for item in items]
    accepted = [[answer_ids(lm, item.prompt, one) for one in item.accepted] for item in items]
    longest = max((len(ids) for several in accepted for ids in several), default=1) + _AFTER
    greedy = generate(lm, prompts, max_tokens=longest, ignore_end=True)
    blanks = [_blanks(lm, one.ids) for one in greedy]
    # the accepted answers of all items in one pass, and the blanks of the greedy one where none begins with them
    asked = [(place, ids) for place, several in enumerate(accepted) for ids in several]
    asked += [(place, lead) for place, lead in enumerate(blanks) if not any(ids[: len(lead)] == lead for ids in accepted[place])]
    seen = trace(lm, [prompts[place] + ids for place, ids in asked])
    first: dict[int, torch.Tensor] = {}
    likeliest: dict[int, float] = {}
    for row, (place, ids) in enumerate(asked):
        logits = seen.logits[row, -(len(ids) + 1) :]
        if ids[: len(blanks[place])] == blanks[place]:
            first[place] = logits[len(blanks[place])].double().cpu().log_softmax(dim=-1)
        if ids in accepted[place]:
            likeliest[place] = max(likeliest.get(place, 0.0), math.exp(-float(nats_of(logits, [0, *ids]).sum())))
    return [
        _answer(lm, item, greedy[place], (len(blanks[place]), [len(ids) for ids in accepted[place]]), likeliest.get(place), first[place])
        for place, item in enumerate(items)
    ]


def _blanks(lm: LM, ids: list[int]) -> list[int]:
    """The tokens at the beginning that are nothing but space; the last of all tokens is not counted."""
    count = next((place for place, id in enumerate(ids) if lm.tokenizer.decode([id]).strip()), len(ids) - 1)
    return ids[: min(count, len(ids) - 1)]


def _answer(
    lm: LM, item: QuizItem, made: Generation, lengths: tuple[int, list[int]], accepted: float | None, first: torch.Tensor
) -> Answer:
    matched = item.matched(made.text)
    n_tokens = lengths[1][0] if lengths[1] else lengths[0] + 1
    if matched is not None:
        n_tokens = next(count for count in range(1, len(made.ids) + 1) if len(lm.tokenizer.decode(made.ids[:count])) >= len(matched))
    best = first.topk(_TOP)
    top = [(token_text(lm, int(id)), float(value.exp())) for id, value in zip(best.indices, best.values, strict=True)]
    return Answer(
        item, [token_text(lm, id) for id in made.prompt_ids], made.text, matched is not None if item.accepted else None,
        math.exp(sum(made.log_probs[:n_tokens])), accepted, float(-(first.exp() * first).nan_to_num().sum()), top,
    )  # fmt: skip


def answer_ids(lm: LM, prompt: str, answer: str) -> list[int]:
    """The tokens of an answer after a prompt and a space, as the two are cut together; cut by itself where the cut would move."""
    before, whole = lm.encode(prompt), lm.encode(f"{prompt} {answer}")
    return whole[len(before) :] if whole[: len(before)] == before else lm.tokenizer.encode(f" {answer}")
