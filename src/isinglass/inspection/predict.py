"""`predict`: what a model expects after each of several texts, of every kind of model that has logits."""

from __future__ import annotations

from collections.abc import Sequence

from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.generation.prompts import Prompt
from isinglass.inspection.normalizations import Normalized, normalized
from isinglass.inspection.predictions import Predictions, next_tokens
from isinglass.inspection.reading import token_text
from isinglass.inspection.trace import Trace, trace
from isinglass.models.encoder import Encoder
from isinglass.models.headed import HeadedModel

_MASKS = ("[MASK]", "<mask>")


def predict(
    lm: LM,
    texts: Prompt | Sequence[Prompt],
    *,
    target: Prompt | Sequence[Prompt] | None = None,
    at: int | None = None,
    top: int = 10,
    temperatures: Sequence[float] = (1.0,),
    command: str | None = None,
) -> Predictions:
    """The likeliest tokens after each text, over the whole vocabulary. `at` None is the last position, of an encoder its one mask token.

    The texts are one batch, and each result is that of its text alone. Raises EngineError for an empty text, one too long, a position that
    a text does not have, an encoder's text without exactly one mask, or a model without logits.

    >>> import isinglass as ig
    >>> found = predict(ig.load("smollm2"), ["The capital of France is", "Once upon a"], top=3)
    >>> [one.table.rows[0]["token"] for one in found.each]
    [' Paris', ' time']
    """
    seen = trace(lm, texts, target=target)
    places = [place_asked(seen, row, at) for row in range(len(seen.ids))]
    each = [
        next_tokens(
            seen.logits[row, place - len(ids)], lambda id: token_text(lm, id), lm.tokenizer.decode(ids), top=top, temperatures=temperatures,
            command=command,
        )
        for row, (ids, place) in enumerate(zip(seen.ids, places, strict=True))
    ]  # fmt: skip
    return Predictions(tuple(each), tuple(map(tuple, seen.tokens)), tuple(map(tuple, seen.ids)), command)


def normalize(
    lm: LM,
    text: Prompt,
    *,
    names: Sequence[str] = ("softmax", "sparsemax", "l1", "argmax"),
    temperature: float = 1.0,
    target: Prompt | None = None,
    at: int | None = None,
    top: int = 10,
    command: str | None = None,
) -> Normalized:
    """The logits after one text under several normalisations. Errors are those of `predict` and of `normalized`."""
    seen = trace(lm, text, target=target)
    logits = seen.logits[0, place_asked(seen, 0, at) - len(seen.ids[0])]
    prompt = lm.tokenizer.decode(seen.ids[0])
    return normalized(logits, lambda id: token_text(lm, id), prompt, names=names, temperature=temperature, top=top, command=command)


def place_asked(seen: Trace, row: int, at: int | None) -> int:
    """The position of one row whose logits are asked, counted from the row's first token."""
    ids, model = seen.ids[row], seen.lm.model
    if at is not None:
        if not -len(ids) <= at < len(ids):
            raise EngineError(f"position {at} does not exist in text {row}", details=[f"it has positions 0 to {len(ids) - 1}"])
        return at % len(ids)
    if not isinstance(model.body if isinstance(model, HeadedModel) else model, Encoder):
        return len(ids) - 1
    masks = {seen.lm.tokenizer.special[name] for name in _MASKS if name in seen.lm.tokenizer.special}
    found = [place for place, id in enumerate(ids) if id in masks]
    if len(found) != 1:
        raise EngineError(
            f"an encoder answers at a mask token, and text {row} has {len(found)} of them",
            hint='give ids: lm.tokenizer.encode("... [MASK] ...", special="parse", add_special=True), or say which position with at=',
        )
    return found[0]
