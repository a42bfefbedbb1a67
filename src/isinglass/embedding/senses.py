"""One word in two senses, layer by layer: its vector is one and the same in the embedding, and comes apart on the way up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isinglass.core.errors import ConfigError
from isinglass.embedding.collections import Labelled
from isinglass.embedding.contextual import unit
from isinglass.embedding.hidden import hidden_states, reader, token_ids
from isinglass.generation.lm import LM
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table


@dataclass(frozen=True, eq=False)
class Senses(Finding):
    """`vectors [layer, sentence, d]` of the word in each sentence (layer 0: before the first block; where positions are added to tokens,
    without them)."""

    word: str
    sentences: Labelled
    vectors: NDArray[np.float32]
    command: str | None = None

    @property
    def cosines(self) -> NDArray[np.float32]:
        """`[layer, sentence, sentence]`."""
        return self.vectors @ self.vectors.transpose(0, 2, 1)

    def _means(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean cosine within a sense and across senses, for each layer."""
        labels = np.array(self.sentences.labels)
        same, pairs = labels[:, None] == labels, np.triu(np.ones((len(labels), len(labels)), bool), k=1)
        within, across = (self.cosines[:, pairs & kind].astype(np.float64).mean(axis=1) for kind in (same, ~same))
        return within, across

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """For each layer: share of the sentences whose nearest other sentence has the same sense."""
        labels, cosines = np.array(self.sentences.labels), self.cosines.copy()
        cosines[:, np.arange(len(labels)), np.arange(len(labels))] = -np.inf
        return (labels[cosines.argmax(axis=2)] == labels).mean(axis=1)

    @property
    def table(self) -> Table:
        """A row for each layer."""
        within, across = self._means()
        rows = [
            {"layer": layer, "within": float(w), "across": float(a), "apart": float(w - a), "right": float(right)}
            for layer, (w, a, right) in enumerate(zip(within, across, self.accuracy, strict=True))
        ]
        senses = " and ".join(dict.fromkeys(self.sentences.labels))
        notes = [
            f"{self.word}: {senses}, {len(self.sentences.texts)} sentences; cosines of the word's own vector",
            "layer 0 is the static vector: the same wherever the word is spelled alike",
            "right: sentences whose nearest other sentence has the same sense",
        ]
        return Table(
            rows, title=f"{self.word!r} in two senses, layer by layer", units={"right": "ratio"}, notes=notes, command=self.command
        )

    @property
    def figure(self) -> Figure:
        """Both means over the layers."""
        from isinglass.show.marks.lines import lines

        within, across = self._means()
        layers = list(range(len(within)))
        series = {"same sense": (layers, within.tolist()), "other sense": (layers, across.tolist())}
        return lines(series, title=f"How alike {self.word!r} is to itself", x="layer", y="mean cosine", command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table, self.figure]

    @property
    def data(self) -> Any:
        return {
            "word": self.word,
            "sentences": list(self.sentences.texts),
            "senses": list(self.sentences.labels),
            "layers": self.table.rows,
        }


def senses_of(lm: LM, word: str, sentences: Labelled, *, command: str | None = None) -> Senses:
    """The word's vector in each sentence and layer: the mean over its tokens, where it stands first. Raises ConfigError."""
    spans = [_tokens_of(lm, text, word) for text in sentences.texts]
    layers = range(reader(lm).n_layers + 1)
    found = np.empty((len(layers), len(spans), reader(lm).embed_tokens.embedding_dim), np.float32)
    ids = token_ids(lm, sentences.texts)
    for batch in hidden_states(lm, ids, list(layers)):
        for row, place in enumerate(batch.places):
            padding = batch.valid.shape[1] - len(ids[place])
            own = [padding + token for token in spans[place]]
            found[:, place] = batch.states[:, row, own].float().mean(dim=1).numpy(force=True)
    found[0] = _static(lm, [[ids[place][token] for token in span] for place, span in enumerate(spans)])
    return Senses(word, sentences, unit(found), command)


def _static(lm: LM, pieces: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """The word's vectors in the embedding table, without position and norm."""
    weights = reader(lm).embed_tokens.weight.detach()
    return np.stack([weights[list(piece)].float().mean(dim=0).numpy(force=True) for piece in pieces])


def _tokens_of(lm: LM, text: str, word: str) -> list[int]:
    """Places of the word's tokens among a text's tokens."""
    start = text.lower().find(word.lower())
    tokens = lm.tokenizer.tokens(text, add_special=True)
    found = [
        place for place, token in enumerate(tokens) if token.start < start + len(word) and token.end > start and token.end > token.start
    ]
    if start < 0 or not found:
        raise ConfigError(f"{word!r} does not stand in {text!r}")
    return found
