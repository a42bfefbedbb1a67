"""Why an algorithm cuts one pretoken as it does: the merges, the greedy matches, or the lattice, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatch
from math import inf
from typing import Any, Literal

from isinglass.show import format
from isinglass.text.algorithms.base import Algorithm, Placed, S
from isinglass.text.algorithms.bpe import ByteBpe, CharacterBpe
from isinglass.text.algorithms.merging import merge_steps
from isinglass.text.algorithms.unigram import Unigram
from isinglass.text.algorithms.unigram_nbest import best_cuts
from isinglass.text.algorithms.wordpiece import WordPiece

Kind = Literal["merges", "matches", "lattice", "lookup", "added"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Reason:
    """`why` in a sentence, the `steps` in order (their columns depend on the kind), and for a lattice the best `cuts`."""

    kind: Kind
    why: str
    steps: tuple[Row, ...] = ()
    cuts: tuple[Row, ...] = ()


@singledispatch
def reason(algorithm: Algorithm[Any], word: str, placed: Sequence[Placed], best: int) -> Reason:
    """Why `algorithm` cuts `word` into the tokens `placed`. `best` is how many cuts of a lattice to list."""
    return Reason("lookup", "each unit is looked up in the vocabulary by itself")


@reason.register
def _(algorithm: ByteBpe, word: str, placed: Sequence[Placed], best: int) -> Reason:
    raw = word.encode("utf-8")
    return _merges([raw[at : at + 1] for at in range(len(raw))], algorithm.ranks.rank, raw in algorithm.whole)


@reason.register
def _(algorithm: CharacterBpe, word: str, placed: Sequence[Placed], best: int) -> Reason:
    return _merges(list(word), algorithm.ranks.rank, word in algorithm.whole)


def _merges(symbols: list[S], rank: Callable[[S, S], int], whole: bool) -> Reason:
    units = "bytes" if symbols and isinstance(symbols[0], bytes) else "characters"
    count, rows = len(symbols), []
    for step in merge_steps(symbols, rank):
        symbols[step.at : step.at + 2] = [step.left + step.right]
        left, right = format.token(step.left), format.token(step.right)
        rows.append({"rank": step.rank, "left": left, "right": right, "pieces": "│".join(map(format.token, symbols))})
    if count < 2:
        return Reason("merges", f"one {units[:-1]}: there is nothing to merge")
    then = "no neighbours left join" if len(symbols) > 1 else "one piece is left"
    why = f"{_count(len(rows), 'merge')} of {count} {units}, the lowest rank first, until {then}"
    if whole and len(symbols) > 1:
        why = f"the vocabulary holds it whole, which is looked up first; merging would end at {len(symbols)} pieces"
    elif whole:
        why = (
            f"the vocabulary holds it whole, which is looked up first; {_count(len(rows), 'merge')} of {count} {units} would give the same"
        )
    return Reason("merges", why, tuple(rows))


@reason.register
def _(algorithm: WordPiece, word: str, placed: Sequence[Placed], best: int) -> Reason:
    if len(word) > algorithm.longest_word:
        return Reason("matches", f"{len(word):,} characters, more than {algorithm.longest_word}: such words are not looked at")
    longest, rows, at = algorithm.longest_piece, [], 0
    for id, start, end in algorithm.greedy(word):
        rows.append(_match(algorithm, word, start, end, id, min(len(word), start + longest) - end))
        at = end
    if at == len(word):
        return Reason("matches", f"the longest piece that fits, {_count(len(rows), 'time')}", tuple(rows))
    rows.append(_match(algorithm, word, at, at, None, min(len(word), at + longest) - at))
    return Reason("matches", f"no piece fits at {rows[-1]['rest']!r}, and then the whole word is unknown", tuple(rows))


def _match(algorithm: WordPiece, word: str, start: int, end: int, id: int | None, too_long: int) -> Row:
    mark = algorithm.continuation if start else ""
    return {"rest": mark + word[start:], "piece": None if id is None else mark + word[start:end], "id": id, "longer_tried": too_long}


@reason.register
def _(algorithm: Unigram, word: str, placed: Sequence[Placed], best: int) -> Reason:
    chosen = {(start, end) for id, start, end in placed if id not in algorithm.unknown_ids}
    total = [0.0, *[-inf] * len(word)]
    rows: list[Row] = []
    for start in range(len(word)):
        for id, end, score in algorithm.pieces_at(word, start):
            total[end] = max(total[end], total[start] + score)
            row = {"start": start, "end": end, "piece": word[start:end], "id": id if id >= 0 else None, "score": score}
            rows.append({**row, "sum_to_end": total[start] + score, "chosen": _is_chosen(chosen, placed, id, start, end)})
    cuts = [
        {"score": cut.score, "probability": cut.probability, "pieces": "│".join(word[start:end] for _, start, end in cut.pieces)}
        for cut in best_cuts(algorithm, word, best)
    ]
    why = f"of {_count(len(rows), 'possible piece')} those whose scores have the greatest sum, {cuts[0]['score']:.2f}" if cuts else "empty"
    return Reason("lattice", why, tuple(rows), tuple(cuts))


def _is_chosen(chosen: set[tuple[int, int]], placed: Sequence[Placed], id: int, start: int, end: int) -> bool:
    """Is a piece on the way taken? An unknown character is, when it lies where no known piece was taken."""
    if id >= 0:
        return (start, end) in chosen
    return any(low <= start and end <= high and (low, high) not in chosen for _, low, high in placed)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
