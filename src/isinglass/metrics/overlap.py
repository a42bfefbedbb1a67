"""How much of a reference text another text has: by runs of characters, and by words."""

from __future__ import annotations

from collections import Counter

ORDERS = 6


def chrf(text: str, reference: str, *, orders: int = ORDERS, beta: float = 2.0) -> float:
    """chrF, 0..1: the F-score of runs of 1 to `orders` characters, white space left out; recall counts `beta` times as much as precision.

    Precision and recall are means over the orders that both texts are long enough for; 0 where there is none. It needs no tokenizer and no
    words, so it serves every language. Case and punctuation count.

    Source: Popović 2015, chrF: character n-gram F-score for automatic MT evaluation.

    >>> chrf("a cat", "a cat"), chrf("dog", "cat")
    (1.0, 0.0)
    """
    ours, theirs = ("".join(each.split()) for each in (text, reference))
    precisions, recalls = [], []
    for order in range(1, min(orders, len(ours), len(theirs)) + 1):
        mine, wanted = _runs(ours, order), _runs(theirs, order)
        shared = (mine & wanted).total()
        precisions.append(shared / mine.total())
        recalls.append(shared / wanted.total())
    if not precisions:
        return 0.0
    return f_score(sum(precisions) / len(precisions), sum(recalls) / len(recalls), beta)


def word_f1(text: str, reference: str) -> float:
    """The F1 of the words of two texts as bags, 0..1, in lower case; two empty texts agree.

    Source: Rajpurkar et al. 2016, SQuAD, whose answers are compared so (there articles and punctuation are left out first).

    >>> round(word_f1("the black cat", "a black cat sat"), 4)
    0.5714
    """
    ours, theirs = Counter(text.lower().split()), Counter(reference.lower().split())
    if not ours or not theirs:
        return float(ours == theirs)
    shared = (ours & theirs).total()
    return f_score(shared / ours.total(), shared / theirs.total(), 1.0)


def f_score(precision: float, recall: float, beta: float) -> float:
    """The weighted harmonic mean of precision and recall; 0 when both are."""
    weight = beta * beta
    return (1 + weight) * precision * recall / (weight * precision + recall) if precision + recall else 0.0


def _runs(text: str, order: int) -> Counter[str]:
    return Counter(text[start : start + order] for start in range(len(text) - order + 1))
