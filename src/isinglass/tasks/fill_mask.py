"""Fill mask: which tokens stand in the gaps of a text, as a model sees it that reads both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from isinglass.core.errors import ConfigError, EngineError
from isinglass.generation.lm import LM
from isinglass.models.headed import HeadedModel
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table

MASK = "[MASK]"
HEAD = "masked_lm"


@dataclass(frozen=True)
class Filled(Finding):
    """For each gap, in order, its most probable tokens with their probabilities, and the whole text with the best in every gap."""

    text: str
    gaps: tuple[tuple[tuple[str, float], ...], ...]
    filled: str
    command: str | None = None

    @property
    def table(self) -> Table:
        """A row for each candidate of each gap."""
        rows = [
            {"gap": number, "token": token, "probability": probability}
            for number, gap in enumerate(self.gaps, start=1)
            for token, probability in gap
        ]
        return Table(rows, title=self.filled, units={"probability": "ratio"}, command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table]

    @property
    def data(self) -> Any:
        return {"text": self.text, "filled": self.filled, "gaps": [dict(gap) for gap in self.gaps]}


def fill_mask(lm: LM, text: str, *, top: int = 5, command: str | None = None) -> Filled:
    """The `top` most probable tokens for each [MASK] of the text; several gaps are filled each for itself, as BERT was trained.

    Raises EngineError for a model without a masked_lm head, ConfigError for a text without a gap or beyond the context.

    Source: Devlin et al. 2018, BERT, section 3.1.
    """
    mask = lm.tokenizer.special.get(MASK)
    if not isinstance(lm.model, HeadedModel) or HEAD not in lm.model.heads or mask is None:
        raise EngineError(
            f"{lm.card.get('source', lm.config.family)} was not trained to fill gaps",
            hint="train one: isinglass train examples/fill_mask.toml --out runs/fill",
        )
    if top < 1:
        raise ConfigError(f"top = {top!r}, expected at least 1")
    ids = surrounded(
        lm, [id for number, part in enumerate(text.split(MASK)) for id in [*([mask] * bool(number)), *lm.tokenizer.encode(part)]]
    )
    places = [place for place, id in enumerate(ids) if id == mask]
    if not places:
        raise ConfigError(f"{text!r} has no gap", hint=f'mark one: "The {MASK} sleeps."')
    if len(ids) > lm.config.context_length:
        raise ConfigError(f"the text has {len(ids):,} tokens, the model reads at most {lm.config.context_length:,}", hint="shorten it")
    best = probabilities(lm, ids)[places].topk(min(top, lm.config.vocab_size))
    gaps = tuple(
        tuple((lm.tokenizer.decode([id]).strip(), float(value)) for id, value in zip(row, values, strict=True))
        for row, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    )
    whole = list(ids)
    for place, row in zip(places, best.indices.tolist(), strict=True):
        whole[place] = row[0]
    return Filled(text, gaps, lm.tokenizer.decode([id for id in whole if id not in lm.tokenizer.special.values()]), command)


def surrounded(lm: LM, ids: Sequence[int]) -> list[int]:
    """Ids with the special tokens that the model expects around a text, such as [CLS] and [SEP]."""
    return [id for slot in lm.tokenizer.surround.slots(two=False) for id in ([slot] if isinstance(slot, int) else ids)]


@torch.inference_mode()
def probabilities(lm: LM, ids: Sequence[int]) -> torch.Tensor:
    """`[token, vocab]`: what could stand at each place."""
    return lm.model(torch.tensor([list(ids)], device=lm.device))[HEAD][0].float().softmax(dim=-1)  # type: ignore[index]
