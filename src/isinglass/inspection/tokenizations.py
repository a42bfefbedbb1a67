"""Odd tokenizations: the same content cut otherwise, and what the model makes of it: how likely the text is, and what should follow."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.reading import token_text
from isinglass.inspection.surprisal import nats_of
from isinglass.inspection.trace import trace
from isinglass.show import format
from isinglass.show.finding import Finding
from isinglass.show.marks.tokens import Strip, TokenStrips
from isinglass.show.showable import Showable
from isinglass.show.table import Table
from isinglass.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Cut:
    """One way to give a text to a model. `nats` are the surprisals after the first token; `n_bytes` those of the tokens they belong to;
    `divergence` is KL(usual || this one) of the next token, in nats."""

    name: str
    same_content: bool
    ids: list[int]
    tokens: list[str]
    nats: list[float]
    n_bytes: int
    divergence: float
    expected: str
    probability: float

    @property
    def log_probability(self) -> float:
        """Of the tokens after the first one, in nats."""
        return -math.fsum(self.nats)

    @property
    def bits_per_byte(self) -> float:
        return math.fsum(self.nats) / math.log(2) / self.n_bytes


@dataclass(frozen=True)
class Tokenizations(Finding):
    """The usual cut first, then the others. Where the content is the same, the first token is too, so log-probabilities compare."""

    text: str
    cuts: tuple[Cut, ...]
    command: str | None = None

    @property
    def table(self) -> Table:
        usual = self.cuts[0]
        rows = [{**row, "expected next": format.token(row["expected next"])} for row in self._rows]
        notes = [
            f"log-probability of what stands after the first token, {usual.tokens[0]!r}; cuts of the same content begin with that token",
            "a cut's log-probability is of these very tokens; the content's own is the sum over all its cuts, of which this is one",
            "KL: how far the next token's distribution is from the usual one, KL(usual || this cut)",
        ]
        units = {"log-probability": "nats", "KL": "nats", "probability": "ratio"}
        return Table(rows, title=f"{self.text!r}, cut in several ways", units=units, notes=notes, command=self.command)

    @property
    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "cut": one.name, "tokens": len(one.ids), "content": "same" if one.same_content else "changed",
                "log-probability": one.log_probability, "bits per byte": one.bits_per_byte, "KL": one.divergence,
                "expected next": one.expected, "probability": one.probability,
            }
            for one in self.cuts
        ]  # fmt: skip

    @property
    def figure(self) -> TokenStrips:
        strips = [Strip(one.name, tuple(one.tokens), tuple(one.ids), (0.0, *one.nats)) for one in self.cuts]
        return TokenStrips(strips, title="The exact tokens, and how surprising each is", value="surprisal (nats)", command=self.command)

    @property
    def parts(self) -> tuple[Showable, ...]:
        return self.table, self.figure

    @property
    def data(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "cuts": [{**row, "ids": one.ids, "pieces": one.tokens} for row, one in zip(self._rows, self.cuts, strict=True)],
        }


def tokenizations(lm: LM, text: str, *, n_random: int = 2, seed: int = 0, command: str | None = None) -> Tokenizations:
    """The usual cut of a text beside: one token per character, `n_random` cuts drawn evenly from all that the vocabulary allows, and
    changed contents (two spaces for one, lower and upper case). The first token stands as it is in all cuts of the same content.

    Raises EngineError for a text of one token, a cut longer than the context, a vocabulary that cannot spell the text in single
    characters or bytes (WordPiece), or a model that is no decoder.

    Source: Cao and Rimell 2021, You should evaluate your language model on marginal likelihood over tokenisations.
    """
    usual = lm.decoder and lm.encode(text)
    first, rest = usual[:1], usual[1:]
    if not rest:
        raise EngineError(f"{text!r} is {len(usual)} tokens, expected at least two", hint="give a longer text")
    content = b"".join(lm.tokenizer.token_bytes(id) for id in rest)
    if not content or any(id in lm.tokenizer.special.values() for id in rest):
        raise EngineError(f"{text!r} ends in special tokens, which cannot be cut otherwise", hint="give a text without them")
    table = _by_bytes(lm.tokenizer)
    same = {"usual": rest, "characters": _characters(content, table)}
    draw = random.Random(seed)
    counts = _ways(content, table)
    same |= {f"random {number}": _drawn(content, table, counts, draw) for number in range(1, n_random + 1)}
    changed = {"two spaces": text.replace(" ", "  "), "lower case": text.lower(), "upper case": text.upper()}
    made = {name: first + ids for name, ids in same.items()}
    made |= {name: lm.encode(other) for name, other in changed.items() if other != text}
    return Tokenizations(text, tuple(_measured(lm, made, set(same))), command)


def _measured(lm: LM, made: Mapping[str, list[int]], same: set[str]) -> list[Cut]:
    too_long = [name for name, ids in made.items() if len(ids) > lm.config.context_length]
    if too_long:
        name = too_long[0]
        raise EngineError(
            f"cut by {name!r} the text has {len(made[name])} tokens; the model's context holds {lm.config.context_length}",
            hint="give a shorter text",
        )
    seen = trace(lm, list(made.values()))
    ends = seen.logits[:, -1].double().cpu().log_softmax(dim=-1)
    cuts = []
    for row, (name, ids) in enumerate(made.items()):
        nats = nats_of(seen.logits[row, -len(ids) :], ids).tolist()
        divergence = float((ends[0].exp() * (ends[0] - ends[row])).sum().clamp_min(0))
        best = int(ends[row].argmax())
        n_bytes = sum(len(lm.tokenizer.token_bytes(id)) for id in ids[1:])
        cuts.append(
            Cut(name, name in same, ids, seen.tokens[row], nats, n_bytes, divergence, token_text(lm, best), float(ends[row, best].exp()))
        )
    return cuts


def _by_bytes(tokenizer: Tokenizer) -> dict[bytes, int]:
    """The bytes that a token adds within a text -> its id; special and added tokens are no way to write a text."""
    added = {token.id for token in tokenizer.added}
    table: dict[bytes, int] = {}
    for id in sorted(set(tokenizer.algorithm.vocab.values()) - added):
        table.setdefault(tokenizer.token_bytes(id), id)
    table.pop(b"", None)
    return table


def _characters(content: bytes, table: Mapping[bytes, int]) -> list[int]:
    """A token per character, or per byte of a character that is no token."""
    ids: list[int] = []
    for char in content.decode("utf-8", "surrogateescape"):
        raw = char.encode("utf-8", "surrogateescape")
        parts = [raw] if raw in table else [bytes([byte]) for byte in raw]
        missing = [part for part in parts if part not in table]
        if missing:
            raise EngineError(
                f"the vocabulary has no token for the character {char!r} within a text",
                hint="other cuts of a text need a vocabulary that has each character or byte, such as those of GPT-2 and SmolLM2",
            )
        ids += [table[part] for part in parts]
    return ids


def _ways(content: bytes, table: Mapping[bytes, int]) -> list[int]:
    """In how many ways the bytes from each place on can be cut into tokens."""
    longest = max(map(len, table))
    ways = [0] * len(content) + [1]
    for start in range(len(content) - 1, -1, -1):
        ends = range(start + 1, min(len(content), start + longest) + 1)
        ways[start] = sum(ways[end] for end in ends if content[start:end] in table)
    return ways


def _drawn(content: bytes, table: Mapping[bytes, int], ways: Sequence[int], draw: random.Random) -> list[int]:
    """One of all cuts, each as likely as any other."""
    ids: list[int] = []
    longest, start = max(map(len, table)), 0
    while start < len(content):
        left = draw.randrange(ways[start])
        for end in range(start + 1, min(len(content), start + longest) + 1):
            if content[start:end] not in table:
                continue
            if left < ways[end]:
                ids.append(table[content[start:end]])
                start = end
                break
            left -= ways[end]
    return ids
