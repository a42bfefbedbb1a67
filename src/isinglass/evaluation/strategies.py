"""Decoding strategies side by side: the same prompt, several samples each, with measures of diversity and of quality."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch

from isinglass.generation.lm import LM
from isinglass.generation.loop import generate
from isinglass.generation.results import Generation
from isinglass.generation.sampling import Strategy
from isinglass.metrics.diversity import distinct, repetition, self_bleu
from isinglass.metrics.surprise import entropy, perplexity
from isinglass.show.table import Table

NOTES = (
    "distinct-n: different runs of n tokens; self-BLEU: how alike the samples are; repetition: runs of 4 tokens that were there before",
    "entropy: the model's doubt at each step; perplexity: how surprising the text is to the model itself",
)


@dataclass(frozen=True)
class Compared:
    """What one strategy made of the prompt; `entropy` is the mean over all steps, in nats."""

    strategy: str
    samples: list[Generation]
    entropy: float

    def row(self) -> dict[str, Any]:
        """Its measures: means over samples, perplexity over all their tokens, speed of the batch."""
        ids = [one.ids for one in self.samples]
        counted = [one.speculated for one in self.samples if one.speculated is not None]
        seconds = max(one.timings.total_seconds for one in self.samples)
        return {
            "strategy": self.strategy,
            "distinct_1": fmean(distinct(one, 1) for one in ids),
            "distinct_2": fmean(distinct(one, 2) for one in ids),
            "self_bleu": self_bleu(ids),
            "repetition": fmean(repetition(one) for one in ids),
            "entropy": self.entropy,
            "perplexity": perplexity([value for one in self.samples for value in one.log_probs]),
            "tokens_per_second": sum(map(len, ids)) / seconds,
            "acceptance": fmean(one.acceptance for one in counted) if counted else None,
        }

    def data(self) -> dict[str, Any]:
        """For machines: the measures and the texts."""
        return {**self.row(), "samples": [{"text": one.text, "ids": one.ids, "finish": one.finish} for one in self.samples]}


def comparing(
    lm: LM, prompt: str | Sequence[int], strategies: Sequence[str | Strategy], *, n_samples: int = 3, max_tokens: int = 64, seed: int = 0
) -> Iterator[Compared]:
    """Yield one result per strategy, each as it is done; its samples are the rows of one batch.

    Errors are those of `generate`.
    """
    ids = lm.encode(prompt)
    for strategy in strategies:
        samples = generate(lm, [ids] * n_samples, strategy=strategy, max_tokens=max_tokens, seed=seed)
        yield Compared(str(strategy), samples, fmean(value for one in samples for value in _entropies(lm, one)))


@torch.inference_mode()
def _entropies(lm: LM, made: Generation) -> list[float]:
    """The model's doubt before each token of the text, from one pass over all of it; one before its end when it has no token."""
    start = len(made.prompt_ids) - 1
    read = made.prompt_ids + made.ids[: max(0, len(made.ids) - 1)]
    hidden = lm.packed().hidden(torch.tensor([read], device=lm.device))[0, start:]
    return entropy(lm.packed().logits(hidden).float().log_softmax(dim=-1).cpu().numpy()).tolist()


def tables(results: Sequence[Compared], prompt: str) -> list[Table]:
    """The measures, and the texts side by side."""
    units = dict.fromkeys(("distinct_1", "distinct_2", "self_bleu", "repetition", "acceptance"), "ratio") | {"entropy": "nats"}
    rows = [one.row() for one in results]
    if all(row["acceptance"] is None for row in rows):
        rows = [{name: value for name, value in row.items() if name != "acceptance"} for row in rows]
        del units["acceptance"]
    texts = [
        {"strategy": one.strategy, "sample": number, "text": sample.text}
        for one in results
        for number, sample in enumerate(one.samples, start=1)
    ]
    return [
        Table(rows, title="Strategies side by side", units=units, notes=NOTES),
        Table(texts, title=f"What they made of “{prompt}”"),
    ]
