"""Summarise: the sentences that say most of a text, or a text that a chat model writes about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isinglass.core.errors import ConfigError
from isinglass.embedding.contextual import embed
from isinglass.embedding.hidden import fits
from isinglass.generation.chat import reply
from isinglass.generation.lm import LM
from isinglass.generation.rewriting import rewrite
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.models.transformer import Decoder
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table
from isinglass.text.sentences import statements
from isinglass.text.template import Message

_EARLY = 0.2  # what the first sentence is given, the second half of it: on the project's 20 documents chrF 0.48, without it 0.38
_ALIKE = 0.5  # how much a sentence loses for being like one that was taken (Carbonell and Goldstein 1998, MMR)


@dataclass(frozen=True)
class Summarized(Finding):
    """`way`: "sentences" were taken from the text, or it was "written" by a model and may say what the text does not."""

    text: str
    summary: str
    way: str
    command: str | None = None

    @property
    def table(self) -> Table:
        """The summary with its length."""
        words = len(self.text.split()), len(self.summary.split())
        rows = [{"summary": self.summary, "words": words[1], "of_text": words[1] / max(words[0], 1)}]
        notes = ["written by the model: it may say what the text does not"] if self.way == "written" else ["sentences of the text"]
        return Table(rows, title="Summary", units={"of_text": "ratio"}, notes=notes, command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table]

    @property
    def data(self) -> Any:
        return {"summary": self.summary, "way": self.way}


def summarize(lm: LM, text: str, *, n_sentences: int = 2, max_tokens: int = 80, command: str | None = None) -> Summarized:
    """A summary in about `n_sentences` sentences: an encoder takes sentences of the text, a chat model writes, an encoder-decoder that
    was trained for it as well. Raises ConfigError for an empty text or no sentence asked for."""
    if not text.strip() or n_sentences < 1:
        raise ConfigError("the text is empty" if not text.strip() else f"n_sentences = {n_sentences!r}, expected at least 1")
    if isinstance(lm.model, EncoderDecoder):
        return Summarized(text, rewrite(lm, [text], max_tokens=max_tokens)[0].text.strip(), "written", command)
    if isinstance(lm.model, Decoder):
        number = "one sentence" if n_sentences == 1 else f"{n_sentences} sentences"
        asked = f"{text}\n\nSummarize the text above in {number}."
        return Summarized(text, reply(lm, [Message("user", asked)], max_tokens=max_tokens).text.strip(), "written", command)
    return Summarized(text, " ".join(central(lm, text, n_sentences)), "sentences", command)


def central(lm: LM, text: str, n: int) -> list[str]:
    """The `n` sentences nearest to the mean of all, early ones before late ones, unlike one another, in the order of the text.

    Source: centroid and place, Radev et al. 2004, Centroid-based summarization of multiple documents.
    """
    found = [text[start:end] for start, end in statements(text)]
    found = [sentence for sentence in found if fits(lm, sentence)] or [text.strip()]  # what is too long for one is a listing or a table
    vectors = embed(lm, found).vectors
    near = vectors @ vectors.mean(axis=0) + _EARLY / np.arange(1, len(found) + 1)
    taken: list[int] = []
    while len(taken) < min(n, len(found)):
        loss = (vectors @ vectors[taken].T).max(axis=1) * _ALIKE if taken else 0.0
        scores = near - loss
        scores[taken] = float("-inf")
        taken.append(int(scores.argmax()))
    return [found[place] for place in sorted(taken)]
