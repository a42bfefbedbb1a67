"""Texts as points: a map, groups, how alike each pair is, and what is nearest to the text in the bar."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from isinglass.core.errors import ConfigError
from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown, Working
from isinglass.web.verb import Verb

if TYPE_CHECKING:
    from isinglass.embedding.collections import Labelled
    from isinglass.embedding.embeddings import Embeddings
    from isinglass.generation.lm import LM

MOST = 400  # texts
CELLS = 60  # texts of a heat map; with more of them nothing can be read
_BATCH = 32
_GROUPS = 4  # where nobody says how many there are
_NEAREST = 5
_LEAST = 3  # texts that a plane says anything about


class Request(Verb):
    """`texts` are lines; without any, the project's own twenty sentences of four topics. `text` is what the nearest of them are looked for,
    empty: nothing. `pooling` and `layer` are as for `ig.embed`; `clusters` 0: as many groups as there are labels.
    """

    text: str
    model: str
    texts: str = ""
    method: Literal["pca", "tsne"] = "pca"
    pooling: Literal["", "cls", "mean", "max", "last"] = ""
    layer: int | None = None
    clusters: int = Field(default=0, ge=0)
    seed: int = 0

    @property
    def _lines(self) -> list[str]:
        return [line.strip() for line in self.texts.splitlines() if line.strip()]

    @property
    def python(self) -> str:
        given = f"texts, labels = {self._lines!r}, None" if self._lines else "texts, labels = topics().texts, topics().labels"
        told = (f", pooling={self.pooling!r}" if self.pooling else "") + ("" if self.layer is None else f", layer={self.layer}")
        groups = self.clusters or ("len(set(labels))" if not self._lines else min(_GROUPS, len(self._lines)))
        nearest = f"\nfound.nearest(ig.embed(lm, [{self.text!r}]{told}), {self._n_nearest(self._lines)})" if self.text else ""
        return (
            f"import isinglass as ig\nfrom isinglass.embedding.collections import topics\n\nlm = ig.load({self.model!r})\n{given}\n"
            f"found = ig.embed(lm, texts{told})\nfound.similarity(), found.pairs()\n"
            f"found.clusters({groups}, labels=labels, seed={self.seed}){nearest}\n"
            f"found.map({self.method!r}, labels=labels, seed={self.seed})"
        )

    @property
    def command(self) -> str:
        more = {"--clusters": self.clusters, "--seed": self.seed}
        return self._command("map", self._lines, *(f"{name}={value}" for name, value in more.items() if value))

    def _command(self, part: str, texts: list[str], *options: str) -> str:
        told = ["--model", self.model, *(["--pooling", self.pooling] if self.pooling else [])]
        told += [] if self.layer is None else ["--layer", str(self.layer)]
        end = ["--"] if any(text.startswith("-") for text in texts) else []
        return shlex.join(["isinglass", "embed", part, *told, *options, *end, *texts])

    def _n_nearest(self, texts: Sequence[str]) -> int:
        """How many are shown: a text is not its own neighbour."""
        return min(_NEAREST, sum(text != self.text for text in texts)) if texts else _NEAREST

    def run(self, bench: Bench) -> Iterator[Event]:
        from isinglass.embedding.collections import Labelled, topics

        if 0 < len(self._lines) < _LEAST:
            raise ConfigError(
                f"{len(self._lines)} texts make no map", hint="three lines at least, or none: then twenty sentences are shown"
            )
        given = Labelled(tuple(self._lines), ("",) * len(self._lines)) if self._lines else topics()
        if len(given.texts) > MOST:
            raise ConfigError(
                f"{len(given.texts)} texts, a map shows up to {MOST}", hint="more of them: isinglass embed map --file lines.txt"
            )
        lm = yield from bench.model(self.model)
        found = yield from self._embedded(bench, lm, given.texts)
        yield Working("drawing the map")
        yield self._map(found, given)
        yield self._nearest(found, lm) if self.text else Shown(slot="nearest")
        yield self._alike(found)
        yield self._groups(found, given)

    def _embedded(self, bench: Bench, lm: LM, texts: tuple[str, ...]) -> Iterator[Event]:
        """The vectors, some at a time; neighbours in a batch change nothing."""
        import numpy as np

        from isinglass.embedding.contextual import embed
        from isinglass.embedding.embeddings import Embeddings

        key = ("embeddings", id(lm), texts, self.pooling, self.layer)
        if key not in bench.results:
            parts = []
            for begin in range(0, len(texts), _BATCH):
                yield Working("embedding texts", begin, len(texts))
                parts.append(embed(lm, texts[begin : begin + _BATCH], pooling=self.pooling or None, layer=self.layer).vectors)
            bench.results.put(key, Embeddings(texts, np.concatenate(parts)))
        found: Embeddings = bench.results.get(key, dict)
        return found

    def _map(self, found: Embeddings, given: Labelled) -> Shown:
        drawn = found.map(self.method, labels=_labels(given), seed=self.seed, command=self.command)
        return Shown([drawn.figure], {"texts": list(found.texts)}, slot="map")

    def _groups(self, found: Embeddings, given: Labelled) -> Shown:
        labels = _labels(given)
        k = self.clusters or (len(set(labels)) if labels else min(_GROUPS, len(given.texts)))
        groups = found.clusters(k, labels=labels, seed=self.seed, command=self.command)
        return Shown(groups.parts, {"purity": groups.purity, "silhouette": groups.silhouette}, slot="groups")

    def _alike(self, found: Embeddings) -> Shown:
        command = self._command("compare", list(found.texts))
        small = len(found.texts) <= CELLS
        note = None if small else f"The heat map of every pair is shown for up to {CELLS} texts; these are {len(found.texts)}."
        parts = [*found.pairs(command=command).parts, *(found.similarity(command=command).parts if small else [])]
        return Shown(parts, {"note": note, "texts": list(found.texts)}, slot="alike")

    def _nearest(self, found: Embeddings, lm: LM) -> Shown:
        from isinglass.embedding.contextual import embed

        query = embed(lm, [self.text], pooling=self.pooling or None, layer=self.layer)
        command = self._command("compare", list(found.texts), f"--query={self.text}")
        return Shown.of(found.nearest(query, self._n_nearest(found.texts), command=command), slot="nearest")


def _labels(given: Labelled) -> tuple[str, ...] | None:
    """The labels, where every text has one."""
    return given.labels if all(given.labels) else None
