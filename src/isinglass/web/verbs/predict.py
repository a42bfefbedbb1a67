"""What a model expects next; the same logits under other normalisations; and how surprising the text itself is."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from isinglass.core.errors import EngineError
from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown, Working
from isinglass.web.verb import Verb

if TYPE_CHECKING:
    from isinglass.generation.lm import LM
    from isinglass.inspection.trace import Trace

LONGEST = 2048  # tokens whose surprisal is shown: each needs all its logits in fp64


class Request(Verb):
    """`normalizations` are names with commas between; empty: softmax alone."""

    text: str
    model: str
    top: int = 10
    temperature: float = 1.0
    normalizations: str = ""

    @property
    def _names(self) -> list[str]:
        return [name for name in self.normalizations.split(",") if name]

    @property
    def python(self) -> str:
        lines = ["import isinglass as ig", "", f"lm = ig.load({self.model!r})", f"text = {self.text!r}"]
        lines.append(f"ig.trace(lm, text).next_tokens(top={self.top}, temperatures=[{self.temperature:g}])")
        if self._names:
            lines += ["", "from isinglass.inspection.predict import normalize", "", self._normalize]
        return "\n".join(lines)

    @property
    def _normalize(self) -> str:
        return f"normalize(lm, text, names={['softmax', *self._names]!r}, temperature={self.temperature:g}, top={self.top})"

    @property
    def command(self) -> str:
        given = f"isinglass inspect predict {shlex.quote(self.model)} {shlex.quote(self.text)}"
        more = f" --normalizations {','.join(['softmax', *self._names])}" if self._names else ""
        return f"{given} --top {self.top} --temperatures {self.temperature:g}{more} --surprisal"

    def run(self, bench: Bench) -> Iterator[Event]:
        lm = yield from bench.model(self.model)
        yield Working("reading the text")
        seen = bench.results.get(("trace", id(lm), self.text), lambda: _trace(lm, self.text))
        yield from self._next(seen)
        if self._names:
            yield from self._normalized(seen)
        yield _surprisal(lm, seen)

    def _next(self, seen: Trace) -> Iterator[Event]:
        from isinglass.inspection.predict import place_asked
        from isinglass.inspection.predictions import next_tokens
        from isinglass.inspection.reading import token_text

        at = place_asked(seen, 0, None) - len(seen.ids[0])
        found = next_tokens(
            seen.logits[0, at], lambda id: token_text(seen.lm, id), _short(seen.lm.tokenizer.decode(seen.ids[0])), top=self.top,
            temperatures=(self.temperature,), command=self.command,
        )  # fmt: skip
        yield Shown.of(found, data={"temperature": self.temperature, **_logits(seen, at)}, slot="next")

    def _normalized(self, seen: Trace) -> Iterator[Event]:
        from isinglass.inspection.normalizations import normalized
        from isinglass.inspection.predict import place_asked
        from isinglass.inspection.reading import token_text

        at = place_asked(seen, 0, None) - len(seen.ids[0])
        yield Shown.of(
            normalized(
                seen.logits[0, at], lambda id: token_text(seen.lm, id), _short(seen.lm.tokenizer.decode(seen.ids[0])),
                names=("softmax", *self._names), temperature=self.temperature, top=self.top, command=self.command,
            ),
            slot="normalized",
        )  # fmt: skip


def _trace(lm: LM, text: str) -> Trace:
    from isinglass.inspection.trace import trace

    # a mask is a special token, which plain text never is; what is typed for an encoder may hold it
    encoder = lm.config.architecture == "encoder"
    return trace(lm, lm.tokenizer.encode(text, special="parse", add_special=True) if encoder else text)


def _logits(seen: Trace, at: int) -> dict[str, Any]:
    """All logits, the largest first, so that the page weights them anew over the whole vocabulary and not over those shown."""
    values = seen.logits[0, at].float().sort(descending=True).values.numpy(force=True)
    return {"logits": base64.b64encode(values.astype("<f4").tobytes()).decode()}


def _surprisal(lm: LM, seen: Trace) -> Shown:
    from isinglass.inspection.surprisal import surprisal

    if len(seen.ids[0]) > LONGEST:
        return Shown(
            data={"note": f"Surprisal: the text has {len(seen.ids[0]):,} tokens; it is shown of up to {LONGEST:,}."}, slot="surprisal"
        )
    try:
        return Shown.of(surprisal(lm, seen.ids[0]), slot="surprisal")
    except EngineError as error:
        # it has an answer for other kinds of models and longer texts; what follows is shown all the same
        return Shown(data={"note": f"Surprisal: {error.message}."}, slot="surprisal")


def _short(text: str) -> str:
    """For titles."""
    return text if len(text) <= 80 else f"… {text[-78:]}"
