"""Trace: what a forward pass computed, by the names of its places (taps).

`layers.N.` + resid_pre, attention.q_raw, .k_raw, .q, .k, .v, .scores, .weights, .z, .out, resid_mid, mlp.gate, mlp.up, mlp.pre,
mlp.post, resid_post; and embed, norm, logits. Encoder-decoders have them behind `encoder.` and `decoder.`, heads are `heads.NAME`.
Only what is asked for is kept; what is asked for later is computed by running again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.core.errors import EngineError, closest
from isinglass.generation.lm import LM
from isinglass.generation.prompts import Prompt
from isinglass.inspection.edits import Edit, Editor
from isinglass.inspection.predictions import NextTokens, next_tokens
from isinglass.inspection.reading import Reading, Rows, Which, reading, token_text
from isinglass.nn.tap import Tap
from isinglass.show.marks.attention_grid import AttentionGrid

if TYPE_CHECKING:
    from isinglass.inspection.lens import Lens


class Recorder:
    """A tap that keeps the places whose names match a pattern, and notes every name it was asked for."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        self.kept: dict[str, Tensor] = {}
        self.seen: dict[str, None] = {}

    def wants(self, name: str) -> bool:
        self.seen[name] = None
        return any(fnmatchcase(name, pattern) for pattern in self.patterns)

    def __call__(self, name: str, x: Tensor) -> Tensor:
        # a copy, so that nothing the model does later, and nothing the reader does, changes the other's numbers
        self.kept[name] = x.detach().clone()
        return x


@dataclass(frozen=True, eq=False)
class Trace:
    """One pass of a model over a text or a batch of texts, with the edits that were made. `ids` are the exact tokens that went in.

    `trace["layers.3.attention.z"]` gives a tensor with the batch first; a batch of unequal texts is padded on the left.
    """

    reading: Reading
    edits: tuple[Edit, ...] = ()
    _kept: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _logits: Tensor | None = field(default=None, repr=False)

    @property
    def lm(self) -> LM:
        return self.reading.lm

    @property
    def rows(self) -> Rows:
        """The texts that the logits stand for: of an encoder-decoder what it has written."""
        return self.reading.rows

    @property
    def ids(self) -> list[list[int]]:
        """Of each row, without padding."""
        return self.rows.ids

    @property
    def tokens(self) -> list[list[str]]:
        """The text of each token of each row, special ones included."""
        return [[token_text(self.lm, id) for id in row] for row in self.ids]

    @property
    def logits(self) -> Float[Tensor, "batch time vocab"]:
        """Over the vocabulary. EngineError for a model that makes none, such as an encoder without that head."""
        if self._logits is None:
            heads = ", ".join(f"heads.{name}" for name in getattr(self.lm.model, "heads", {}))
            raise EngineError(
                f"{self.lm.card.get('source', self.lm.config.family)} makes no logits over its vocabulary",
                details=[f"it has {heads or 'no heads, only hidden states'}"],
                hint='look at hidden states: trace["layers.0.resid_post"]',
            )
        return self._logits

    def __getitem__(self, name: str) -> Tensor:
        """A tap's tensor; the model runs again when it was not kept. Raises EngineError for a name that is no tap of this model."""
        if name not in self._kept:
            self.keep([name])
        return self._kept[name]

    def keep(self, patterns: Sequence[str]) -> None:
        """Run once more and keep all taps that match."""
        self._kept.update(_run(self.reading, patterns, self.edits)[1])

    def several(self, names: Sequence[str]) -> list[Tensor]:
        """The tensors of some taps; those that were not kept are computed in one pass together."""
        missing = [name for name in names if name not in self._kept]
        if missing:
            self.keep(missing)
        return [self._kept[name] for name in names]

    def edit(self, name: str, **change: Any) -> Trace:
        """The same pass with one more `Edit`: `trace.edit("layers.3.attention.z", head=1, set_to=0)`; this trace stays as it is."""
        return traced(self.reading, taps=tuple(self._kept), edits=(*self.edits, Edit(name=name, **change)))

    def kernel(self, layer: int, which: Which | None = None) -> str:
        """Which kernel computed a layer's attention in this trace: looking at scores or weights calls for the reference."""
        site = self.reading.attention(which)
        looked_at = [site.tap(layer, what) for what in ("scores", "weights")]
        edited = any(edit.matches(name) for edit in self.edits for name in looked_at)
        reference = edited or any(name in self._kept for name in looked_at)
        return "reference" if reference else type(site.layers[layer].parts.kernel).__name__.lower()

    def attention_weights(self, row: int = 0, which: Which | None = None) -> Float[Tensor, "layers heads query key"]:
        """Attention of every layer and head of one row; padding and the keys of a prefix adapter are cut away."""
        site = self.reading.attention(which)
        names = [site.tap(layer, "weights") for layer in range(len(site.layers))]
        if not all(name in self._kept for name in names):
            self.keep(names)
        queries, keys = site.queries.lengths[row], site.keys.lengths[row]  # padding and a prefix stand before them
        return torch.stack([self._kept[name][row, :, -queries:, -keys:] for name in names])

    def attention(
        self, layer: int = 0, head: int = 0, *, row: int = 0, which: Which | None = None, command: str | None = None
    ) -> AttentionGrid:
        """The attention maps of all layers and heads, opened at one of them; shows itself in a page, a notebook or a terminal."""
        site = self.reading.attention(which)
        focus = (_within(layer, len(site.layers), "layer"), _within(head, site.layers[0].dims.n_heads, "head"))
        return AttentionGrid(
            self.attention_weights(row, which).float().numpy(force=True),
            [token_text(self.lm, id) for id in site.queries.ids[row]],
            title="Where each token looks: attention weights of all layers and heads",
            causal=site.causal,
            kv_head_of=site.kv_head_of,
            focus=focus,
            command=command,
        )

    def next_tokens(self, top: int = 10, temperatures: Sequence[float] = (1.0,), *, row: int = 0, command: str | None = None) -> NextTokens:
        """The most likely next tokens after one row, at several temperatures; `command` is printed as what makes it again."""
        prompt = self.lm.tokenizer.decode(self.ids[row])
        return next_tokens(
            self.logits[row, -1], lambda id: token_text(self.lm, id), prompt, top=top, temperatures=temperatures, command=command
        )

    def lens(self, row: int = 0, **asked: Any) -> Lens:
        """What each layer would say next, through the model's own final norm and head; takes what `isinglass.inspection.lens` takes."""
        from isinglass.inspection.lens import lens

        return lens(self, row, **asked)


def trace(
    lm: LM,
    text: Prompt | Sequence[Prompt],
    *,
    target: Prompt | Sequence[Prompt] | None = None,
    taps: Sequence[str] = (),
    edits: Sequence[Edit] = (),
) -> Trace:
    """Run the model once over a text, ids, or a batch of either, keeping the named taps (`*` matches any part of a name).

    `target` is what an encoder-decoder has written so far. `edits` change what is computed, in this pass alone.
    Raises EngineError for an empty text, one longer than the context, or a tap that this model does not have.

    >>> import isinglass as ig
    >>> ig.trace(ig.load("smollm2"), "The capital of France is")["layers.3.attention.z"].shape
    torch.Size([1, 9, 5, 64])
    """
    return traced(reading(lm, text, target), taps=taps, edits=edits)


def traced(given: Reading, *, taps: Sequence[str] = (), edits: Sequence[Edit] = ()) -> Trace:
    """`trace` of what was encoded before."""
    logits, kept = _run(given, taps, edits)
    return Trace(given, tuple(edits), kept, logits)


def _run(given: Reading, patterns: Sequence[str], edits: Sequence[Edit]) -> tuple[Tensor | None, dict[str, Tensor]]:
    """One pass with a recorder; every pattern and every edit must have matched something."""
    recorder = Recorder(patterns)
    editor = Editor(edits, given, recorder)
    tap: Tap = editor if edits else recorder
    with torch.inference_mode():
        logits = given.run(tap)
    for pattern in [*patterns, *(edit.name for edit in editor.edits if edit in editor.unused)]:
        if not any(fnmatchcase(name, pattern) for name in recorder.seen):
            raise _unknown_tap(pattern, list(recorder.seen))
    return logits, recorder.kept


def _unknown_tap(name: str, seen: Sequence[str]) -> EngineError:
    """Lists each kind of tap once, with N for the layer."""
    kinds = dict.fromkeys(re.sub(r"\blayers\.\d+", "layers.N", known) for known in seen)
    near = closest(name, seen)
    return EngineError(f"unknown tap {name!r}", details=[f"known: {', '.join(kinds)}"], hint=f"did you mean {near!r}?" if near else "")


def _within(number: int, size: int, what: str) -> int:
    if not 0 <= number < size:
        raise EngineError(f"{what} {number} does not exist", details=[f"this model has {what}s 0 to {size - 1}"])
    return number
