"""Question: one number asked of a model's answer, such as the logit of " Paris" less that of " Rome": what patching explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.core.errors import EngineError, unknown
from isinglass.generation.lm import LM
from isinglass.inspection.reading import Reading, token_text
from isinglass.inspection.trace import traced
from isinglass.models.encoder import Encoder
from isinglass.models.headed import HeadedModel

Metric = Literal["logit", "difference", "probability"]
_MASKS = ("[MASK]", "<mask>")


@dataclass(frozen=True)
class Question:
    """`metric` of the token `answer`, for "difference" less the logit of `other`; `place` is the position whose logits are asked."""

    answer: int
    other: int | None
    metric: Metric
    place: int
    text: str

    @property
    def ids(self) -> list[int]:
        """The tokens whose logits it needs; a probability needs those of all."""
        return [self.answer] if self.other is None else [self.answer, self.other]

    def value(self, logits: Float[Tensor, "*batch vocab"]) -> Float[Tensor, "*batch"]:
        """From logits over the whole vocabulary."""
        if self.metric == "probability":
            return logits.float().softmax(dim=-1)[..., self.answer]
        return self.combined(logits[..., self.ids])

    def combined(self, asked: Float[Tensor, "*batch asked"]) -> Float[Tensor, "*batch"]:
        """From the logits of `ids` alone, which is all that "logit" and "difference" need."""
        asked = asked.float()
        return asked[..., 0] - asked[..., 1] if self.metric == "difference" else asked[..., 0]


def question(
    given: Reading,
    answer: str | int | None = None,
    other: str | int | None = None,
    *,
    metric: Metric | None = None,
    at: int | None = None,
) -> Question:
    """What is asked of one text. Without `answer` it is the token that the model finds most likely.

    `metric` None is "difference" with `other`, else "logit". `at` None is the last position, of an encoder that of its mask token.
    Raises EngineError for an answer that is not one token, a position that the text has not, or a model without logits.
    """
    lm = given.lm
    if len(given.rows.ids) != 1:
        raise EngineError(f"{len(given.rows.ids)} texts were given, expected one", hint="ask about one text at a time")
    kind = metric or ("logit" if other is None else "difference")
    if kind not in get_args(Metric):
        raise unknown("metric", kind, get_args(Metric), error=EngineError)
    if (kind == "difference") != (other is not None):
        need = "needs the other answer" if other is None else f"has no other answer, but {other!r} was given"
        raise EngineError(f"the metric {kind!r} {need}", hint="difference compares two answers, logit and probability are about one")
    place = _place(given, at)
    logits = traced(given).logits
    first = int(logits[0, place].argmax()) if answer is None else single_token(lm, answer)
    second = None if other is None else single_token(lm, other)
    text = f"{'probability' if kind == 'probability' else 'logit'} of {token_text(lm, first)!r}"
    text += "" if second is None else f" minus that of {token_text(lm, second)!r}"
    return Question(first, second, kind, place, text)


def single_token(lm: LM, answer: str | int) -> int:
    """The id of an answer. EngineError, naming its tokens, when it is not exactly one."""
    ids = [answer] if isinstance(answer, int) else lm.tokenizer.encode(answer)
    if len(ids) != 1:
        pieces = ", ".join(f"{token_text(lm, id)!r} ({id})" for id in ids)
        hint = "most tokens within a text begin with a space" if isinstance(answer, str) and answer[:1].strip() else ""
        raise EngineError(
            f"the answer {answer!r} is {len(ids)} tokens, expected one",
            details=[f"its tokens: {pieces or 'none'}"],
            hint=f"try its first token{f'; {hint}' if hint else ''}",
        )
    return lm.encode(ids)[0]


def _place(given: Reading, at: int | None) -> int:
    ids = given.rows.ids[0]
    if at is not None:
        if not -len(ids) <= at < len(ids):
            raise EngineError(f"position {at} does not exist", details=[f"the text has positions 0 to {len(ids) - 1}"])
        return at % len(ids)
    model = given.lm.model
    if not isinstance(model.body if isinstance(model, HeadedModel) else model, Encoder):
        return len(ids) - 1
    masks = [given.lm.tokenizer.special[name] for name in _MASKS if name in given.lm.tokenizer.special]
    found = [place for place, id in enumerate(ids) if id in masks]
    if len(found) != 1:
        raise EngineError(
            f"an encoder answers at a mask token, and this text has {len(found)} of them",
            hint="say which position is asked, such as at=3",
        )
    return found[0]


def measured(given: Reading, asked: Question) -> float:
    """The number that is asked, of an unchanged pass."""
    with torch.inference_mode():
        return float(asked.value(traced(given).logits[0, asked.place]))
