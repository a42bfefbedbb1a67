"""How varied a text is, and how alike several texts are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence


def distinct(ids: Sequence[int], n: int) -> float:
    """Distinct-n: the share of different ones among all runs of `n` tokens, 0..1. A text without such a run repeats nothing: 1.0.

    Source: Li et al. 2016, A Diversity-Promoting Objective Function for Neural Conversation Models.

    >>> distinct([1, 2, 1, 2, 1], 2)
    0.5
    """
    runs = list(zip(*(ids[start:] for start in range(n)), strict=False))
    return len(set(runs)) / len(runs) if runs else 1.0


def repetition(ids: Sequence[int], n: int = 4) -> float:
    """The share of runs of `n` tokens that were there before in the same text, 0..1.

    Source: Welleck et al. 2020, Neural Text Generation with Unlikelihood Training, seq-rep-n.

    >>> repetition([1, 2, 1, 2, 1], 2)
    0.5
    """
    return 1.0 - distinct(ids, n)


def self_bleu(texts: Sequence[Sequence[int]], n: int = 4) -> float | None:
    """How much several texts resemble each other, 0..1: the mean BLEU of each against all the others; None for fewer than two.

    Source: Zhu et al. 2018, Texygen.

    >>> self_bleu([[1, 2, 3, 4], [1, 2, 3, 4]])
    1.0
    """
    if len(texts) < 2:
        return None
    scores = [bleu(text, [other for place, other in enumerate(texts) if place != number], n) for number, text in enumerate(texts)]
    return sum(scores) / len(scores)


def bleu(text: Sequence[int], references: Sequence[Sequence[int]], n: int = 4) -> float:
    """The geometric mean of how many runs of 1 to `n` tokens a reference has as well, less for a text shorter than its references.

    An order without a match counts 0.1 of one (Chen and Cherry 2014, smoothing 1); a text too short for an order has no such order.

    Source: Papineni et al. 2002, BLEU: a Method for Automatic Evaluation of Machine Translation.
    """
    if not text:
        return 0.0
    shares = [_matched(text, references, order) for order in range(1, min(n, len(text)) + 1)]
    if shares[0] == 0.0:
        return 0.0
    closest = min((len(reference) for reference in references), key=lambda length: (abs(length - len(text)), length))
    brevity = math.exp(min(0.0, 1 - closest / len(text)))
    return brevity * math.exp(sum(math.log(share or 0.1 / (len(text) - order)) for order, share in enumerate(shares)) / len(shares))


def _matched(text: Sequence[int], references: Sequence[Sequence[int]], order: int) -> float:
    """The share of the text's runs that a reference has; each run counts as often as the reference with most of it."""
    counts, most = _runs(text, order), Counter[tuple[int, ...]]()
    for reference in references:
        most |= _runs(reference, order)
    return (counts & most).total() / counts.total()


def _runs(ids: Sequence[int], order: int) -> Counter[tuple[int, ...]]:
    return Counter(zip(*(ids[start:] for start in range(order)), strict=False))
