"""Surprisal: how unexpected each token of a text is to a model, -log p(token | all before it)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.generation.prompts import Prompt
from isinglass.inspection.reading import token_text
from isinglass.inspection.trace import Trace, trace
from isinglass.models.encoder import Encoder
from isinglass.models.headed import HeadedModel
from isinglass.show.finding import Finding
from isinglass.show.marks.tokens import Strip, TokenStrips
from isinglass.show.showable import Showable
from isinglass.show.table import Table


@dataclass(frozen=True)
class Surprisal(Finding):
    """A text as a model reads it. `nats` has one number per token, None for the first, before which nothing stands that could predict it.

    `likelier` counts the tokens that the model held to be likelier; `expected` is the token it held to be likeliest.
    """

    ids: list[int]
    tokens: list[str]
    nats: list[float | None]
    likelier: list[int | None]
    expected: list[str | None]
    n_bytes: int  # of the tokens that have a number
    command: str | None = None

    @property
    def total(self) -> float:
        """Nats of the whole text after its first token."""
        return math.fsum(self._counted)

    @property
    def mean(self) -> float:
        """Nats per token: the loss of training."""
        return self.total / len(self._counted)

    @property
    def perplexity(self) -> float:
        """exp of the mean: so many equally likely tokens would be as hard to guess."""
        return math.exp(self.mean)

    @property
    def bits_per_byte(self) -> float:
        """Bits for each byte of text, which compares models with different vocabularies; nan for tokens without bytes."""
        return self.total / math.log(2) / self.n_bytes if self.n_bytes else math.nan

    @property
    def _counted(self) -> list[float]:
        return [one for one in self.nats if one is not None]

    @property
    def _notes(self) -> list[str]:
        nats, bits = self.total, self.total / math.log(2)
        return [
            f"{len(self._counted)} tokens: {nats:.2f} nats = {bits:.2f} bits; {self.mean:.3f} nats per token,"
            f" perplexity {self.perplexity:.2f}, {self.bits_per_byte:.3f} bits per byte",
            f"the first token, {self.tokens[0]!r}, has no probability: nothing stands before it",
        ]

    @property
    def figure(self) -> TokenStrips:
        """The text as chips, filled as high as each token is surprising."""
        strip = Strip("", tuple(self.tokens), tuple(self.ids), tuple(one or 0.0 for one in self.nats))
        return TokenStrips([strip], title="How surprising each token is", value="surprisal (nats)", notes=self._notes, command=self.command)

    @property
    def table(self) -> Table:
        rows = [
            {
                "position": place, "token": token, "id": id, "nats": nats, "bits": None if nats is None else nats / math.log(2),
                "probability": None if nats is None else math.exp(-nats), "likelier tokens": likelier, "expected": expected,
            }
            for place, (token, id, nats, likelier, expected) in enumerate(
                zip(self.tokens, self.ids, self.nats, self.likelier, self.expected, strict=True)
            )
        ]  # fmt: skip
        return Table(rows, title="Surprisal of each token", units={"probability": "ratio"})

    @property
    def parts(self) -> tuple[Showable, ...]:
        return self.figure, self.table

    @property
    def data(self) -> dict[str, Any]:
        return {
            "tokens": self.table.rows,
            "total_nats": self.total,
            "total_bits": self.total / math.log(2),
            "nats_per_token": self.mean,
            "perplexity": self.perplexity,
            "bits_per_byte": self.bits_per_byte,
        }


def surprisal(lm: LM, text: Prompt, *, target: Prompt | None = None, command: str | None = None) -> Surprisal:
    """Surprisal of each token of one text; of an encoder-decoder that of the `target` it writes, after it has read the text.

    Raises EngineError for a text of a single token, one longer than the context, or a model that sees what comes after (an encoder).

    >>> import isinglass as ig
    >>> found = surprisal(ig.load("smollm2"), "The cat sat on the mat")
    >>> found.tokens[3], found.expected[3], round(found.nats[3], 1)
    (' on', ' on', 1.1)
    """
    seen = trace(lm, text, target=target)
    losses = token_nats(seen, 0)
    ids = seen.ids[0]
    order = seen.logits[0, :-1].float().cpu()
    chosen = order.gather(-1, torch.tensor(ids[1:])[:, None])
    likelier = (order > chosen).sum(dim=-1).tolist()
    expected = [token_text(lm, id) for id in order.argmax(dim=-1).tolist()]
    n_bytes = sum(len(lm.tokenizer.token_bytes(id)) for id in ids[1:] if id not in lm.tokenizer.special.values())
    return Surprisal(ids, seen.tokens[0], [None, *losses.tolist()], [None, *likelier], [None, *expected], n_bytes, command)


def token_nats(seen: Trace, row: int) -> Float[Tensor, "time-1"]:
    """-log p of every token but the first of one row of a trace, in fp64; padding is left out. EngineError where there is none."""
    model = seen.lm.model
    if isinstance(model.body if isinstance(model, HeadedModel) else model, Encoder):
        raise EngineError(
            "an encoder sees the whole text at once, so no token has a probability given those before it",
            hint="surprisal is of decoders and encoder-decoders, such as smollm2",
        )
    ids = seen.ids[row]
    if len(ids) < 2:
        raise EngineError(
            f"the text is one token, {seen.tokens[row][0]!r}, which nothing stands before", hint="give a text of at least two tokens"
        )
    return nats_of(seen.logits[row, -len(ids) :], ids)


def nats_of(logits: Float[Tensor, "time vocab"], ids: list[int]) -> Float[Tensor, "time-1"]:
    """-log p of ids[1:], each under the logits one place before it."""
    log_probs = logits[:-1].double().cpu().log_softmax(dim=-1)
    return -log_probs.gather(-1, torch.tensor(ids[1:])[:, None])[:, 0]
