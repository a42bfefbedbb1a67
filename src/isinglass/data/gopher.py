"""Gopher's rules of quality and repetition, with their thresholds.

Source: Rae et al. 2021, Scaling Language Models: Methods, Analysis & Insights from Training Gopher, appendix A.1.1 and table A1.
A share of "duplicate" parts counts every occurrence after the first; a top n-gram counts only where it occurs twice or more, so that a
short text is not its own repetition; stop words count in any case and with punctuation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf

from isinglass.data.page import Page, repeated_character_share, repeated_ngram_share, repeated_share, top_ngram_share
from isinglass.data.step import Passed, Refused, Verdict

_STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))
_BULLETS = ("•", "‣", "▪", "●", "◦", "*", "-", "–")
_ELLIPSES = ("...", "…")
_AROUND = ".,;:!?\"'()[]{}“”‘’"


@dataclass(frozen=True)
class Rule:
    """A measure of a page with the least and the most that may be."""

    name: str
    measure: Callable[[Page], float]
    least: float = -inf
    most: float = inf

    def refuses(self, page: Page) -> Refused | None:
        """The verdict when the page breaks the rule, else None."""
        value = self.measure(page)
        if self.least <= value <= self.most:
            return None
        bound = f"at least {self.least:,g}" if value < self.least else f"at most {self.most:,g}"
        return Refused(f"quality.{self.name}", f"{value:,.3g}, expected {bound}")


def _mean_word_length(page: Page) -> float:
    return page.letters_in_words / len(page.words) if page.words else 0.0


def _symbols(page: Page) -> float:
    text = page.text
    return page.share_of_words(max(text.count("#"), text.count("...") + text.count("…")))


def _bullets(page: Page) -> float:
    return _share_of_lines(page, sum(line.startswith(_BULLETS) for line in page.lines))


def _ellipses(page: Page) -> float:
    return _share_of_lines(page, sum(line.endswith(_ELLIPSES) for line in page.lines))


def _alphabetic(page: Page) -> float:
    return page.share_of_words(sum(any(map(str.isalpha, word)) for word in page.words))


def _stop_words(page: Page) -> float:
    return len(_STOP_WORDS & {word.strip(_AROUND).lower() for word in page.words})


def _share_of_lines(page: Page, fits: int) -> float:
    return fits / len(page.lines) if page.lines else 0.0


QUALITY = (
    Rule("word_count", lambda page: len(page.words), 50, 100_000),
    Rule("mean_word_length", _mean_word_length, 3, 10),
    Rule("symbols_per_word", _symbols, most=0.1),
    Rule("bullet_lines", _bullets, most=0.9),
    Rule("ellipsis_lines", _ellipses, most=0.3),
    Rule("alphabetic_words", _alphabetic, least=0.8),
    Rule("stop_words", _stop_words, least=2),
)
REPETITION = (
    Rule("duplicate_lines", lambda page: repeated_share(page.lines), most=0.30),
    Rule("duplicate_paragraphs", lambda page: repeated_share(page.paragraphs), most=0.30),
    Rule("duplicate_line_characters", lambda page: repeated_character_share(page.lines), most=0.20),
    Rule("duplicate_paragraph_characters", lambda page: repeated_character_share(page.paragraphs), most=0.20),
    *(Rule(f"top_{n}_gram", partial(top_ngram_share, n=n), most=most) for n, most in {2: 0.20, 3: 0.18, 4: 0.16}.items()),
    *(
        Rule(f"duplicate_{n}_grams", partial(repeated_ngram_share, n=n), most=most)
        for n, most in {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}.items()
    ),
)
RULES = {rule.name: rule for rule in (*QUALITY, *REPETITION)}


def judge(text: str, skip: frozenset[str]) -> Verdict:
    """Refused by the first rule that the text breaks; rules named in `skip` are not asked."""
    page = Page(text)
    for name, rule in RULES.items():
        if name not in skip and (refused := rule.refuses(page)):
            return refused
    return Passed(text)
