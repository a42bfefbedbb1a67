"""Next-token probabilities with heads cut out, beside those without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from isinglass.core.errors import ConfigError
from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown, Working
from isinglass.web.prompts import typed
from isinglass.web.verb import Verb

if TYPE_CHECKING:
    from isinglass.inspection.edits import Edit
    from isinglass.inspection.reading import AttentionSite
    from isinglass.inspection.trace import Trace


class Request(Verb):
    """`cut` names heads as LAYER.HEAD with commas between. `which` is for encoder-decoders: encoder, decoder or cross."""

    text: str
    model: str
    cut: str = ""
    which: str = ""
    top: int = 10

    @property
    def _heads(self) -> list[tuple[int, int]]:
        found = []
        for each in filter(None, self.cut.split(",")):
            layer, _, head = each.partition(".")
            if not (layer.isdecimal() and head.isdecimal()):
                raise ConfigError(f"ablate.cut has {each!r}, expected LAYER.HEAD with commas between", hint="such as 3.1,4.0")
            found.append((int(layer), int(head)))
        return list(dict.fromkeys(found))

    @property
    def python(self) -> str:
        prefix = {"": "", "encoder": "encoder.", "decoder": "decoder.", "cross": "decoder."}.get(self.which, "")
        part = "cross_attention" if self.which == "cross" else "attention"
        edits = "".join(f".edit('{prefix}layers.{layer}.{part}.z', head={head}, set_to=0)" for layer, head in self._heads)
        return (
            "import isinglass as ig\nfrom isinglass.inspection.before_after import before_after\n\n"
            f"seen = ig.trace(ig.load({self.model!r}), {self.text!r})\nchanged = seen{edits}\nbefore_after(seen, changed, top={self.top})"
        )

    @property
    def command(self) -> str:
        return ""

    def run(self, bench: Bench) -> Iterator[Event]:
        from isinglass.inspection.before_after import before_after
        from isinglass.inspection.trace import trace, traced

        lm = yield from bench.model(self.model)
        yield Working("reading the text")
        seen: Trace = bench.results.get(("before", id(lm), self.text), lambda: trace(lm, typed(lm, self.text)))
        site = seen.reading.attention(self.which or None)  # type: ignore[arg-type]
        kv = site.kv_head_of
        yield Shown(data={"layers": len(site.layers), "heads": len(kv), "kv": kv if len(set(kv)) < len(kv) else None}, slot="heads")
        edits = _edits(site, self._heads)
        yield Shown.of(before_after(seen, traced(seen.reading, edits=edits) if edits else seen, top=self.top))


def _edits(site: AttentionSite, heads: list[tuple[int, int]]) -> list[Edit]:
    from isinglass.core.errors import EngineError
    from isinglass.inspection.edits import Edit

    for layer, _ in heads:
        if layer >= len(site.layers):
            raise EngineError(f"layer {layer} does not exist", details=[f"this model has layers 0 to {len(site.layers) - 1}"])
    return [Edit(name=site.tap(layer, "z"), head=head, set_to=0) for layer, head in heads]
