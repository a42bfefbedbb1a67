"""Language: texts in other languages than those asked for are left out.

What: A naive Bayes classifier over byte n-grams names one of 142 languages and its probability; the reason of a dropped text is
`language.` with the code. What it found is kept in the record's fields `language` and `language_probability`. A text without a letter has
no language and goes as `language.none`.

Why: A small model with a vocabulary for one language wastes both on others.

Math: argmax over languages of log P(language) + sum over n-grams of log P(n-gram | language)

Cost: one pass over the bytes, about 0.1 ms for a sentence; the classifier takes a second to load, once in each process

Used by: CCNet, C4, RefinedWeb (other classifiers, same place)

Paper: Lui and Baldwin 2012, langid.py: An Off-the-shelf Language Identification Tool
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from isinglass.core.errors import ExtraMissing, VariantError
from isinglass.data.step import Passed, Refused, TextStep, Verdict

EXAMPLE = dict(keep=("en", "de"), probability=0.5)


@dataclass(frozen=True)
class Language(TextStep):
    """Languages to `keep`, as ISO 639-1 codes, and the least `probability`."""

    keep: frozenset[str]
    probability: float

    def judge(self, text: str) -> Verdict:
        if not any(map(str.isalpha, text)):
            return Refused("language.none", "no letter in it")
        code, probability = _classifier().classify(text)
        if code not in self.keep:
            return Refused(f"language.{code}", f"probability {probability:.3f}")
        if probability < self.probability:
            return Refused("language.unsure", f"{code} with probability {probability:.3f}, expected at least {self.probability:g}")
        return Passed(text, fields={"language": str(code), "language_probability": round(float(probability), 4)})


@cache
def _classifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def build(keep: tuple[str, ...] = ("en",), probability: float = 0.0) -> Language:
    """The step; `keep` are codes such as en, `probability` is the least that the classifier must give to its answer."""
    if find_spec("py3langid") is None:
        raise ExtraMissing("py3langid", "data")
    if not keep:
        raise VariantError("language: keep = () would drop every text", hint="keep=['en']")
    if not 0 <= probability <= 1:
        raise VariantError(f"language: probability = {probability!r}, expected 0 to 1")
    known = [str(code) for code in _classifier().nb_classes]
    for code in keep:
        if code not in known:
            raise VariantError(f"language: unknown language {code!r}", details=[f"known: {', '.join(sorted(known))}"])
    return Language(frozenset(keep), probability)
