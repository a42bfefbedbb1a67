"""C4's rules: lines that are no sentences go, and so do pages that are no prose.

Source: Raffel et al. 2020, Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer, section 2.2. Left out: its
list of bad words (a list of others) and its search for repeated spans of three sentences (`near_duplicates` does that work); English is
what the step `language` sees to.
"""

from __future__ import annotations

import re

from isinglass.data.step import Passed, Refused, Verdict

_ENDS = (".", "!", "?", '"', "”")
_ELLIPSES = ("...", "…")
_POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_CITATION = re.compile(r"\[(?:\d+|edit|citation needed)\]", re.IGNORECASE)
_SENTENCE = re.compile(r"[.!?][\"”')\]]*(?=\s|$)")
WORDS_IN_LINE = 5
SENTENCES_IN_PAGE = 3
#: The rules by name, in the order they are asked: of lines, and of pages.
LINES = ("line_end", "line_words", "javascript", "policy")
PAGES = ("lorem_ipsum", "curly_bracket", "sentences")
RULES = (*LINES, *PAGES)


def judge(text: str, skip: frozenset[str]) -> Verdict:
    """The text without the lines that break a rule, or Refused for a page that breaks one; rules named in `skip` are not asked."""
    lower = text.lower()
    if "lorem_ipsum" not in skip and "lorem ipsum" in lower:
        return Refused("quality.lorem_ipsum", "it holds 'lorem ipsum'")
    if "curly_bracket" not in skip and "{" in text:
        return Refused("quality.curly_bracket", "it holds '{', as code does")
    kept, changes = [], {}
    for line in text.split("\n"):
        without = _CITATION.sub("", line).strip()
        if without != line.strip():
            changes["quality.citation_marks"] = True
        if not without:
            continue
        broken = next((rule for rule in LINES if rule not in skip and _breaks(without, rule)), None)
        if broken is None:
            kept.append(without)
        else:
            changes[f"quality.{broken}"] = True
    left = "\n".join(kept)
    sentences = len(_SENTENCE.findall(left))
    if "sentences" not in skip and sentences < SENTENCES_IN_PAGE:
        return Refused("quality.sentences", f"{sentences} after bad lines went, expected at least {SENTENCES_IN_PAGE}")
    return Passed(left if changes else text, tuple(changes)) if left else Refused("quality.lines", "no line is left")


def _breaks(line: str, rule: str) -> bool:
    match rule:
        case "line_end":
            return not line.endswith(_ENDS) or line.endswith(_ELLIPSES)
        case "line_words":
            return len(line.split()) < WORDS_IN_LINE
        case "javascript":
            return "javascript" in line.lower()
        case _:
            return any(policy in line.lower() for policy in _POLICIES)
