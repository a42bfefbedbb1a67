"""Next-token probabilities with heads cut out, beside those without."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown, Working
from isinglass.web.prompts import typed
from isinglass.web.verb import Verb

if TYPE_CHECKING:
    from isinglass.inspection.trace import Trace


class Request(Verb):
    """`cut` names heads as LAYER.HEAD with commas between. `which` is for encoder-decoders: encoder, decoder or cross."""

    text: str
    model: str
    cut: str = ""
    which: str = ""
    top: int = 10

    @property
    def python(self) -> str:
        which = f", which={self.which!r}" if self.which else ""
        return (
            "import isinglass as ig\nfrom isinglass.inspection.ablation import named_heads, without\n\n"
            f"without(ig.load({self.model!r}), {self.text!r}, named_heads({self.cut!r}){which}, top={self.top})"
        )

    @property
    def command(self) -> str:
        which = f" --which {shlex.quote(self.which)}" if self.which else ""
        given = f"isinglass inspect ablate {shlex.quote(self.model)} {shlex.quote(self.text)}"
        return f"{given} --cut {shlex.quote(self.cut)}{which} --top {self.top}"

    def run(self, bench: Bench) -> Iterator[Event]:
        from isinglass.inspection.ablation import named_heads, silenced
        from isinglass.inspection.before_after import before_after
        from isinglass.inspection.trace import trace, traced

        lm = yield from bench.model(self.model)
        yield Working("reading the text")
        seen: Trace = bench.results.get(("before", id(lm), self.text), lambda: trace(lm, typed(lm, self.text)))
        site = seen.reading.attention(self.which or None)  # type: ignore[arg-type]
        kv = site.kv_head_of
        yield Shown(data={"layers": len(site.layers), "heads": len(kv), "kv": kv if len(set(kv)) < len(kv) else None}, slot="heads")
        edits = silenced(site, named_heads(self.cut))
        yield Shown.of(before_after(seen, traced(seen.reading, edits=edits) if edits else seen, top=self.top, command=self.command))
