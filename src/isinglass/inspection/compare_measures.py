"""What is measured of two models side by side: each on its own, and over what both have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.alignment import Span
from isinglass.inspection.reading import AttentionSite, Which, token_text
from isinglass.inspection.surprisal import nats_of
from isinglass.inspection.trace import Trace, trace
from isinglass.metrics.divergence import jensen_shannon
from isinglass.metrics.similarity import pairwise_unbiased_cka
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.models.transformer import Decoder
from isinglass.text.tokenizer import Token


@dataclass(frozen=True)
class Side:
    """One of the two models with its pass over the text. Of an encoder-decoder the encoder is looked at, which reads the text."""

    name: str
    lm: LM
    seen: Trace
    tokens: tuple[Token, ...]

    @classmethod
    def of(cls, lm: LM, name: str, text: str) -> Side:
        which: Which | None = "encoder" if isinstance(lm.model, EncoderDecoder) else None
        prefix = "encoder." if which else ""
        seen = trace(lm, text, taps=[f"{prefix}layers.*.resid_post"])
        return cls(name, lm, seen, tuple(lm.tokenizer.tokens(text, add_special=True)))

    @property
    def site(self) -> AttentionSite:
        return self.seen.reading.attention("encoder" if isinstance(self.lm.model, EncoderDecoder) else None)

    @property
    def texts(self) -> tuple[str, ...]:
        """Of each token, special ones included."""
        return tuple(token_text(self.lm, token.id) for token in self.tokens)

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(token.id for token in self.tokens)

    @cached_property
    def nats(self) -> list[float | None] | None:
        """Surprisal of each token; None for the first, and for a model that does not go from left to right."""
        if not isinstance(self.lm.model, Decoder):
            return None
        return [None, *nats_of(self.seen.logits[0], list(self.ids)).tolist()]

    @property
    def predicts(self) -> bool:
        """Whether it says what comes next: a decoder after the text, an encoder-decoder as the first token that it writes."""
        return isinstance(self.lm.model, Decoder | EncoderDecoder)

    @cached_property
    def next(self) -> Float[Tensor, "vocab"]:
        """Probabilities of the next token over its whole vocabulary, in fp64."""
        return self.seen.logits[0, -1].double().cpu().softmax(dim=-1)

    @cached_property
    def streams(self) -> Float[Tensor, "layers time d_model"]:
        """The residual stream after each layer."""
        names = [self.site.prefix.replace("attention.", "resid_post").format(layer) for layer in range(len(self.site.layers))]
        return torch.stack([self.seen[name][0].double().cpu() for name in names])

    @cached_property
    def entropy(self) -> list[float]:
        """How evenly each layer's heads spread their attention: entropy over that of an even spread, a mean over heads and queries."""
        weights = self.seen.attention_weights(0, "encoder" if isinstance(self.lm.model, EncoderDecoder) else None).double().cpu()
        visible = (weights > 0).sum(dim=-1)
        nats = -torch.special.xlogy(weights, weights).sum(dim=-1)
        return [float((nats[layer][seen > 1] / seen[seen > 1].log()).mean()) for layer, seen in enumerate(visible)]


@dataclass(frozen=True)
class NextTokens:
    """Two distributions over next tokens. `common` are the strings that are a token of both, with what each gives them."""

    common: tuple[bytes, ...]
    p: np.ndarray
    q: np.ndarray

    @property
    def comparable(self) -> tuple[float, float]:
        """The share of each model's probability that is on common strings."""
        return min(1.0, float(self.p.sum())), min(1.0, float(self.q.sum()))

    @property
    def divergence(self) -> float:
        """Jensen-Shannon over the common strings, each side made to sum to 1; nats."""
        return jensen_shannon(self.p, self.q)


def next_tokens(a: Side, b: Side) -> NextTokens:
    """Over the strings common to both vocabularies; special tokens are no strings. EngineError where there is none."""
    left, right = _strings(a.lm), _strings(b.lm)
    common = sorted(left.keys() & right.keys())
    if not common:
        raise EngineError(f"the vocabularies of {a.name} and {b.name} have no token in common, so their predictions cannot be compared")
    return NextTokens(tuple(common), _summed(a.next, left, common), _summed(b.next, right, common))


def _strings(lm: LM) -> dict[bytes, list[int]]:
    """The ids of each string: some vocabularies have one twice, as a byte and as a character."""
    found: dict[bytes, list[int]] = {}
    special = set(lm.tokenizer.special.values())
    for id in sorted(set(lm.tokenizer.algorithm.vocab.values()) - special):
        if id < lm.config.vocab_size and (text := lm.tokenizer.token_bytes(id)):
            found.setdefault(text, []).append(id)
    return found


def _summed(p: Tensor, ids: dict[bytes, list[int]], common: Sequence[bytes]) -> np.ndarray:
    values = p.numpy()
    return np.array([values[ids[text]].sum() for text in common])


def per_span(nats: Sequence[float | None], tokens: range) -> float | None:
    """Surprisal of the tokens of a span; None where one of them has no probability."""
    values = [nats[token] for token in tokens]
    return None if None in values else sum(value for value in values if value is not None)


def at_boundaries(side: Side, numbers: Sequence[range]) -> Float[Tensor, "layers spans d_model"]:
    """The residual stream at the last token of each span: what the model knows where both have read the same."""
    return side.streams[:, [tokens[-1] for tokens in numbers]]


def cosines(a: Float[Tensor, "layers spans d"], b: Float[Tensor, "layers spans d"]) -> np.ndarray:
    """Mean cosine over the boundaries, `[layers of a, layers of b]`, of two models of one width."""
    one, other = (torch.nn.functional.normalize(each, dim=-1) for each in (a, b))
    return torch.einsum("lsd,msd->lm", one, other).div(a.shape[1]).numpy()


def cka(a: Float[Tensor, "layers spans d_a"], b: Float[Tensor, "layers spans d_b"]) -> np.ndarray:
    """Unbiased CKA over the spans of each layer of the one with each of the other, `[layers of a, layers of b]`; widths may differ."""
    return pairwise_unbiased_cka([each.numpy() for each in (*a, *b)])[: len(a), len(a) :]


def ranges(spans: Sequence[Span]) -> tuple[list[range], list[range]]:
    """The tokens of each side, span by span."""
    return [span.a for span in spans], [span.b for span in spans]
