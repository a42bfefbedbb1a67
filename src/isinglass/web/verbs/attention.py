"""Attention of every layer and head."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown, Working
from isinglass.web.verb import Verb


class Request(Verb):
    """`which` is for encoder-decoders: encoder, decoder or cross; empty is the model's own. `target` is what one has written so far."""

    text: str
    model: str
    layer: int = 0
    head: int = 0
    which: str = ""
    target: str = ""

    @property
    def python(self) -> str:
        target = f", target={self.target!r}" if self.target else ""
        which = f", which={self.which!r}" if self.which else ""
        return (
            "import isinglass as ig\nfrom isinglass.inspection.attention import attention\n\n"
            f"trace = ig.trace(ig.load({self.model!r}), {self.text!r}{target})\n"
            f"attention(trace, layer={self.layer}, head={self.head}{which})"
        )

    @property
    def command(self) -> str:
        more = (f" --target {shlex.quote(self.target)}" if self.target else "") + (f" --which {self.which}" if self.which else "")
        given = f"isinglass inspect attention {shlex.quote(self.model)} {shlex.quote(self.text)}"
        return f"{given} --layer {self.layer} --head {self.head}{more}"

    def run(self, bench: Bench) -> Iterator[Event]:
        from isinglass.inspection.attention import attention
        from isinglass.inspection.reading import reading
        from isinglass.inspection.trace import Trace

        lm = yield from bench.model(self.model)
        given = reading(lm, self.text, self.target or None)
        yield Working(f"{lm.config.n_layers} layers over {max(given.source.lengths + given.rows.lengths)} tokens")
        # nothing has run yet: what is too long for a picture is refused first, and then one pass is enough
        found = attention(Trace(given), layer=self.layer, head=self.head, which=self.which or None, command=self.command)  # type: ignore[arg-type]
        bench.results.put(("attention", self.model, self.text, self.which, self.target), found)
        yield Working("packing the pictures")
        yield Shown.of(found)
