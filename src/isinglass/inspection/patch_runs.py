"""Runs of a model that are each changed at one place, many at a time: what patching and ablation compute.

Column by column: a column is a position or a head, and has a cell in every layer. Its runs enter one after the other. The run changed in
layer n joins the batch as it stands in the unchanged run before layer n, so no layer is computed for a run that nothing has changed yet.
Of a causal model only the positions from the change on are computed; what stands before is read from the unchanged run's keys and values.
At the end the logits that are asked for are computed, at the one position where they are asked.

The definition of a cell is a pass of the whole model with one `Edit`; tests hold this against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isinglass.core.errors import EngineError, unknown
from isinglass.inspection.question import Question
from isinglass.inspection.reading import AttentionSite, Reading, Rows
from isinglass.inspection.trace import Trace, traced
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.models.headed import HeadedModel
from isinglass.models.heads.masked_lm import MaskedLM
from isinglass.models.stack import Memory
from isinglass.models.transformer import Decoder
from isinglass.nn.attention.cache import Cache
from isinglass.nn.attention.slots import Slots
from isinglass.nn.block import CrossBlock

BY_POSITION = ("resid_pre", "resid_mid", "resid_post", "attention.out", "mlp.pre", "mlp.post")
BY_HEAD = ("attention.z", "attention.q", "attention.k", "attention.v")
CROSSING = ("resid_cross", "cross_attention.out")
CROSSING_HEADS = ("cross_attention.z", "cross_attention.q", "cross_attention.k", "cross_attention.v")
# runs times positions that go through a layer at once; 4096 took the same CPU seconds for all heads of SmolLM2 (LOG.md)
TOKENS = 1024


class PastKeys(Cache):
    """Keys and values of the positions before the first that is computed, the same for every run. Nothing is stored in it."""

    def __init__(self, layers: Sequence[tuple[Tensor, Tensor]], slots: Slots, length: int) -> None:
        self.layers, self.slots, self.length = layers, slots, length

    def extend(self, slots: Slots) -> Slots:
        """The slots of the past, then those of the runs."""
        past = self.slots.position[:, : self.length].expand(slots.position.shape[0], -1)
        return Slots(torch.cat([past, slots.position], dim=1))

    def update(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        first, second = (
            torch.cat([past.expand(len(new), -1, -1, -1), new], dim=2) for past, new in zip(self.layers[layer], (k, v), strict=True)
        )
        return first, second


@dataclass(frozen=True, eq=False)
class Route:
    """The blocks that changed runs go through, and how what leaves them becomes the number that is asked for."""

    prefix: str  # of the blocks' taps
    layers: Sequence[nn.Module]
    rows: Rows
    site: AttentionSite
    reads: Callable[[int, int], dict[str, Any]]  # (layer, runs) -> what the block reads beside the text
    finish: Callable[[Tensor, int], Float[Tensor, "runs"]]  # (what leaves the last block, its first position)

    @property
    def causal(self) -> bool:
        return self.site.causal

    def tap(self, layer: int, what: str) -> str:
        return f"{self.prefix}{layer}.{what}"

    def names(self, what: str) -> list[str]:
        return [self.tap(layer, what) for layer in range(len(self.layers))]

    def columns(self, what: str) -> int:
        """How many places a tap has in each layer: heads or positions."""
        if not is_by_head(what):
            return len(self.rows.ids[0])
        dims = self.site.layers[0].dims
        return dims.n_kv_heads if what.endswith((".k", ".v")) else dims.n_heads


def is_by_head(what: str) -> bool:
    return what in (*BY_HEAD, *CROSSING_HEADS)


def route(given: Reading, asked: Question, side: str | None, what: str) -> Route:
    """The way through a model; `side` is "encoder" or "decoder" in an encoder-decoder. EngineError for a place that is not there."""
    model = given.lm.model
    crossing = (*CROSSING, *CROSSING_HEADS) if isinstance(model, EncoderDecoder) and side != "encoder" else ()
    known = (*BY_POSITION, *BY_HEAD, *crossing)
    if what not in known:
        raise unknown("place to patch", what, known, error=EngineError)
    if isinstance(model, EncoderDecoder):
        sides = {"encoder": _encoder_route, "decoder": _decoder_route}
        if (side or "decoder") not in sides:
            raise unknown("side", str(side), sides, error=EngineError)
        return sides[side or "decoder"](given, asked, model)
    if side is not None:
        raise EngineError(f"side = {side!r}, but this model is one stack", hint="sides belong to encoder-decoders")
    body = cast(Any, model.body if isinstance(model, HeadedModel) else model)
    answered = _answers(model, asked)

    def finish(x: Tensor, start: int) -> Tensor:
        x = x[:, asked.place - start, None]
        return answered(x if body.norm is None else body.norm(x))[:, 0]

    return Route("layers.", body.layers, given.source, given.attention(), lambda layer, runs: {}, finish)


def _decoder_route(given: Reading, asked: Question, model: EncoderDecoder) -> Route:
    with torch.inference_mode():
        memory, answered = model.memory(given.source.batch, slots=given.source.fresh_slots()), _answers(model, asked)

    def reads(layer: int, runs: int) -> dict[str, Any]:
        pair = tuple(part.expand(runs, -1, -1, -1) for part in memory.layers[layer])
        return {"memory": pair, "memory_slots": _repeated(memory.slots, runs)}

    def finish(x: Tensor, start: int) -> Tensor:
        return answered(model.decoder.norm(x[:, asked.place - start, None]))[:, 0]

    return Route("decoder.layers.", list(model.decoder.layers), given.rows, given.attention("decoder"), reads, finish)


def _encoder_route(given: Reading, asked: Question, model: EncoderDecoder) -> Route:
    answered = _answers(model, asked)

    def finish(x: Tensor, start: int) -> Tensor:
        read, runs = model.encoder.norm(x), len(x)
        crossings = [cast(CrossBlock, layer).cross_attention for layer in model.decoder.layers]
        memory = Memory([each.remember(read) for each in crossings], _repeated(given.source.fresh_slots(), runs))
        written = given.rows.batch.expand(runs, -1)
        return answered(model.hidden(written, memory, slots=_repeated(given.rows.fresh_slots(), runs))[:, asked.place, None])[:, 0]

    return Route("encoder.layers.", list(model.encoder.layers), given.source, given.attention("encoder"), lambda layer, runs: {}, finish)


def _answers(model: nn.Module, asked: Question) -> Callable[[Float[Tensor, "runs 1 d_model"]], Float[Tensor, "runs 1"]]:
    """From hidden states to the number that is asked; of a plain output head only the rows of the asked tokens are multiplied."""
    if isinstance(model, HeadedModel):
        head, embedding = cast(MaskedLM, model.heads["masked_lm"]), cast(Decoder, model.body).embed_tokens.weight
        if asked.metric == "probability":
            return lambda x: asked.value(nn.functional.linear(head.features(x), embedding, head.bias))
        return lambda x: asked.combined(nn.functional.linear(head.features(x), embedding[asked.ids], head.bias[asked.ids]))
    whole = cast(Decoder | EncoderDecoder, model)
    if asked.metric == "probability" or type(whole.lm_head) not in (type(None), nn.Linear):
        return lambda x: asked.value(whole.logits(x))
    weight = whole.embed_tokens.weight if whole.lm_head is None else cast(nn.Linear, whole.lm_head).weight
    scale = whole.config.head_scale if isinstance(whole, EncoderDecoder) else 1.0
    return lambda x: asked.combined(nn.functional.linear(x * scale, cast(Tensor, weight)[asked.ids]))


def _repeated(slots: Slots, runs: int) -> Slots:
    return Slots(slots.position.expand(runs, -1))


class _Changed:
    """A tap that puts what was given into the runs that joined last, each at its own column."""

    def __init__(self, what: str, given: Tensor, columns: Sequence[int], start: int) -> None:
        self.what, self.given, self.columns, self.start = what, given, columns, start

    def wants(self, name: str) -> bool:
        return name == self.what

    def __call__(self, name: str, x: Tensor) -> Tensor:
        x, by_head = x.clone(), is_by_head(name)
        for row, column in enumerate(self.columns, start=len(x) - len(self.columns)):
            if by_head:
                x[row, column] = self.given[0, column, -x.shape[2] :]
            else:
                x[row, column - self.start] = self.given[0, column]
        return x


@dataclass(frozen=True)
class Column:
    """All layers of some columns, whose runs differ from the unchanged one from position `start` on: values are (layers, columns)."""

    numbers: Sequence[int]
    values: Float[Tensor, "layers columns"]


def column_runs(
    way: Route, base: Reading, what: str, given: Mapping[str, Tensor], starts: Mapping[int, int], *, tokens: int = TOKENS
) -> Iterator[Column]:
    """Run every cell of the columns in `starts`: column -> the first position that its change can reach.

    `given` has what is put in, by the names of taps; columns with the same start go through the model together, up to `tokens` at once.
    """
    unchanged = traced(base, taps=[way.prefix + "*.resid_pre", *([way.prefix + "*.attention.[kv]"] if way.causal else [])])
    for start, columns in _together(starts, len(way.layers), len(way.rows.ids[0]), tokens):
        with torch.inference_mode():
            values = _run(way, unchanged, what, given, columns, start)
        yield Column(columns, values.view(len(way.layers), len(columns)))


def _together(starts: Mapping[int, int], n_layers: int, time: int, tokens: int) -> Iterator[tuple[int, list[int]]]:
    """Columns of one start, as many as fit; late positions first: they cost least and are nearest to the answer."""
    for start in sorted(set(starts.values()), reverse=True):
        columns = sorted((column for column, first in starts.items() if first == start), reverse=True)
        most = max(1, tokens // (n_layers * (time - start)))
        yield from ((start, columns[at : at + most]) for at in range(0, len(columns), most))


def _run(way: Route, unchanged: Trace, what: str, given: Mapping[str, Tensor], columns: Sequence[int], start: int) -> Float[Tensor, "runs"]:
    """The number that is asked, of each run: layer by layer, and in a layer column by column."""
    past = None
    if start:
        pairs = [(unchanged[way.tap(n, "attention.k")], unchanged[way.tap(n, "attention.v")]) for n in range(len(way.layers))]
        past = PastKeys([(k[:, :, :start], v[:, :, :start]) for k, v in pairs], way.rows.slots, start)
    position = way.rows.slots.position[:, start:]
    runs: Tensor | None = None
    for n, layer in enumerate(way.layers):
        joining = unchanged[way.tap(n, "resid_pre")][:, start:].expand(len(columns), -1, -1)
        runs = joining if runs is None else torch.cat([runs, joining])
        slots = Slots(position.expand(len(runs), -1))
        keys = slots if past is None else past.extend(slots)
        change = _Changed(what, given[way.tap(n, what)], columns, start)
        runs = layer(runs, layer=n, slots=slots, k_slots=keys, cache=past, tap=change, **way.reads(n, len(runs)))
    return way.finish(cast(Tensor, runs), start)
