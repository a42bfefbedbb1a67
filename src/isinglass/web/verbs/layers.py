"""A model layer by layer: what each layer would say, what makes a logit, how alike layers are, how long their vectors."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from isinglass.core.errors import EngineError
from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown, Working
from isinglass.web.prompts import typed
from isinglass.web.verb import Verb

if TYPE_CHECKING:
    from isinglass.inspection.reading import Reading
    from isinglass.inspection.trace import Trace
    from isinglass.show.finding import Finding

View = Literal["lens", "contributions", "similarity", "norms"]
LONGEST = 128  # tokens side by side in a map; of each the lens needs all logits of every layer in fp64
_MODULES = {"lens": "lens", "contributions": "contributions", "similarity": "layers", "norms": "layers"}
_LIKELIEST = 10
# what each view can be told beside the text
_TOLD: dict[str, tuple[str, ...]] = {
    "lens": ("token", "against", "position", "after"),
    "contributions": ("token", "against", "position"),
    "similarity": ("position", "side", "skip"),
    "norms": ("position", "side"),
}


class Request(Verb):
    """`token` and `against` are single tokens, empty: the model's own answer, and none. `position` counts from the first token, below 0
    from the end; None is the last, of an encoder its mask, and for similarity and norms all of them. `skip` leaves out first tokens.
    `side` and `target` are for encoder-decoders.
    """

    text: str
    model: str
    view: View = "lens"
    token: str = ""
    against: str = ""
    position: int | None = None
    after: Literal["layer", "sublayer"] = "layer"
    side: str = ""
    skip: int = 0
    target: str = ""

    @property
    def _asked(self) -> dict[str, Any]:
        """What is told to the view: only what differs from its own default."""
        values = {name: getattr(self, name) for name in _TOLD[self.view]}
        return {name: value for name, value in values.items() if value not in ("", None, "layer") and (name != "skip" or value)}

    @property
    def python(self) -> str:
        # a mask is a special token, which plain text never is
        masked = "[MASK]" in self.text or "<mask>" in self.text
        text = f"lm.tokenizer.encode({self.text!r}, special='parse', add_special=True)" if masked else repr(self.text)
        target = f", target={self.target!r}" if self.target else ""
        asked = "".join(f", {name}={value!r}" for name, value in self._asked.items())
        return (
            f"import isinglass as ig\nfrom isinglass.inspection.{_MODULES[self.view]} import {self.view}\n\n"
            f"lm = ig.load({self.model!r})\n{self.view}(ig.trace(lm, {text}{target}){asked})"
        )

    @property
    def command(self) -> str:
        stated = {"view": self.view, **self._asked} | ({"target": self.target} if self.target else {})
        options = [_option(name, str(value)) for name, value in stated.items()]
        return " ".join(["isinglass inspect layers", shlex.quote(self.model), shlex.quote(self.text), *options])

    def run(self, bench: Bench) -> Iterator[Event]:
        from isinglass.inspection.reading import reading
        from isinglass.inspection.trace import traced

        lm = yield from bench.model(self.model)
        given = reading(lm, typed(lm, self.text), self.target or None)
        _check(self.view, given)
        yield Working(f"looking at {lm.config.n_layers} layers")
        seen = bench.results.get(("layers", id(lm), self.text, self.target), lambda: traced(given))
        found = self._found(seen)
        yield Working("drawing")
        yield Shown.of(found, data=_likeliest(seen, found))

    def _found(self, seen: Trace) -> Finding:
        from isinglass.inspection.contributions import contributions
        from isinglass.inspection.layers import norms, similarity
        from isinglass.inspection.lens import lens

        views: dict[View, Any] = {"lens": lens, "contributions": contributions, "similarity": similarity, "norms": norms}
        return views[self.view](seen, **self._asked, command=self.command)


def _check(view: View, given: Reading) -> None:
    """Too much for a picture is refused before any work."""
    longest = max(given.source.lengths + given.rows.lengths)
    if view in ("lens", "norms") and longest > LONGEST:
        raise EngineError(
            f"the text has {longest:,} tokens; this map shows up to {LONGEST}",
            hint="give a part of it, or look at contributions and similarity, which take any length",
        )


def _likeliest(seen: Trace, found: Finding) -> dict[str, Any]:
    """The tokens that the model itself would say at the position looked at, for the page to offer."""
    from isinglass.inspection.contributions import Contributions
    from isinglass.inspection.lens import Lens
    from isinglass.inspection.reading import token_text

    if not isinstance(found, Lens | Contributions):
        return {}
    logits = seen.logits[0, found.position]
    ids = logits.topk(min(_LIKELIEST, len(logits))).indices.tolist()
    return {"position": found.position, "likeliest": [token_text(seen.lm, id) for id in ids]}


def _option(name: str, value: str) -> str:
    """A value that begins like an option is tied to its name."""
    return shlex.quote(f"--{name}={value}") if value.startswith("-") else f"--{name} {shlex.quote(value)}"
