"""What the bar says of a model; asking loads it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown
from isinglass.web.verb import Verb


class Request(Verb):
    """A model by its name or folder."""

    model: str

    @property
    def python(self) -> str:
        return f"import isinglass as ig\n\nlm = ig.load({self.model!r})"

    @property
    def command(self) -> str:
        return f"isinglass model show {shlex.quote(self.model)}"

    def run(self, bench: Bench) -> Iterator[Event]:
        lm = yield from bench.model(self.model)
        config = lm.config
        yield Shown(
            data={
                "family": config.family, "architecture": config.architecture, "layers": config.n_layers, "heads": config.attention.n_heads,
                "kv_heads": config.n_kv_heads, "context": config.context_length, "vocabulary": config.vocab_size,
                "parameters": sum(weight.numel() for weight in lm.model.parameters()),
            }
        )  # fmt: skip
