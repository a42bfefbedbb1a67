"""Direct logit attribution: a logit as a sum of what each part of the model wrote into the residual stream.

In a pre-norm decoder the vector behind the last layer is a sum: embedding, then what each head and each mlp adds. The head over the
vocabulary is linear, and so is the final norm once its factor is frozen at the value it has in this pass. So each part has its share, and
the shares add up to the logit; how far they miss it by rounding is computed and shown. What a part does by way of later layers is their
share, not its own.

Source: Elhage et al. 2021, A Mathematical Framework for Transformer Circuits; Wang et al. 2022, Interpretability in the Wild.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isinglass.core.errors import EngineError
from isinglass.inspection.question import single_token
from isinglass.inspection.reading import token_text
from isinglass.inspection.stream import Stream, position_number, row_number, stream, vocabulary_head
from isinglass.models.encoder import Encoder
from isinglass.nn.attention.layer import Attention
from isinglass.nn.attention.position import Position
from isinglass.nn.norms import LayerNorm
from isinglass.show import format
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.marks.heatmap import heatmap
from isinglass.show.showable import Showable
from isinglass.show.table import Table

if TYPE_CHECKING:
    from isinglass.inspection.trace import Trace

Kind = Literal[
    "token embedding", "positions", "embed", "head", "attention bias", "cross head", "cross bias", "mlp", "norm bias", "output bias"
]
_SHOWN = 24  # rows of the table that people read first
_ADDED = ("attention.out", "cross_attention.out", "resid_pre", "resid_mid", "resid_cross", "resid_post")


@dataclass(frozen=True)
class Share:
    """What one part adds to the logit. `head` counts query heads."""

    part: str
    kind: Kind
    layer: int | None
    head: int | None
    value: float


@dataclass(frozen=True, eq=False)
class Contributions(Finding):
    """`shares`, the largest first, sum to `logit`, the model's own number, but for `error`. `factor` is that of the final norm."""

    question: str
    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    position: int
    logit: float
    shares: tuple[Share, ...]
    factor: float
    command: str | None = None

    @property
    def total(self) -> float:
        return sum(share.value for share in self.shares)

    @property
    def error(self) -> float:
        """How far the sum is from the model's number: what rounding does."""
        return self.total - self.logit

    @property
    def parts(self) -> Sequence[Showable]:
        return self.figure, self.table(_SHOWN)

    @property
    def notes(self) -> list[str]:
        read = "│".join(format.token(token) for token in self.tokens)
        return [
            f"{self.question} at position {self.position}: {self.logit:.6g}",
            f"sum of all {len(self.shares):,} shares {self.total:.6g}, error {self.error:.1g}",
            f"the final norm's factor is frozen at {self.factor:.4g}",
            f"tokens read: {read}",
        ]

    @property
    def figure(self) -> Figure:
        """Layers by heads and mlp; what belongs to no layer stands in the notes."""
        columns = list(dict.fromkeys(_column(share) for share in self.shares if share.layer is not None))
        columns.sort(key=_column_order)
        layers = 1 + max((share.layer for share in self.shares if share.layer is not None), default=0)
        cells = [[0.0] * len(columns) for _ in range(layers)]
        for share in self.shares:
            if share.layer is not None:
                cells[share.layer][columns.index(_column(share))] = share.value
        outside = [f"{share.part} {share.value:+.3g}" for share in self.shares if share.layer is None]
        return heatmap(
            cells, title=f"What each part adds to the {self.question}", rows=[str(layer) for layer in range(layers)], columns=columns,
            row_axis="layer", column_axis="head, or other part", value="share (logits)", scale="diverging", command=self.command,
            notes=[*self.notes, f"outside of the layers: {', '.join(outside)}"],
        )  # fmt: skip

    def table(self, top: int | None = None) -> Table:
        """The largest shares (None: all), and how much of the sum stands above each row."""
        rows, above = [], 0.0
        for share in self.shares:
            above += share.value
            rows.append({"part": share.part, "share": share.value, "sum so far": above})
        rest = len(rows) - len(rows[:top])
        more = [f"the first {top} of {len(rows):,}: --json holds all"] if rest else []
        return Table(rows[:top], title="The largest shares first", units={"share": "logits"}, notes=[*self.notes[1:2], *more])

    @property
    def data(self) -> dict[str, Any]:
        return {
            "question": self.question,
            "tokens": [{"id": id, "token": token} for id, token in zip(self.ids, self.tokens, strict=True)],
            "position": self.position,
            "logit": self.logit,
            "sum": self.total,
            "error": self.error,
            "norm_factor": self.factor,
            "shares": [asdict(share) for share in self.shares],
        }


def contributions(
    trace: Trace,
    row: int = 0,
    *,
    position: int | None = None,
    token: str | int | None = None,
    against: str | int | None = None,
    command: str | None = None,
) -> Contributions:
    """The shares in the logit of `token` (None: the likeliest) at a position (None: the last), or in that logit minus the one of `against`.

    For decoders, and the decoder of an encoder-decoder. Raises EngineError for encoders, a trace whose sums were edited, an answer that is
    not one token, and a row or position that does not exist.

    >>> import isinglass as ig
    >>> found = contributions(ig.trace(ig.create("tiny"), "abc"), token="x")
    >>> abs(found.error) < 1e-4
    True
    """
    given, lm = stream(trace.reading), trace.lm
    _check(trace, given)
    place = position_number(given, lm, row_number(given.rows, row), position)
    column = given.rows.batch.shape[1] - given.rows.lengths[row] + place  # padding stands before the text
    names = [given.tap(len(given.layers) - 1, "resid_post"), f"{given.prefix}norm"]
    last, normed = (tensor[row, column] for tensor in trace.several(names))
    with torch.inference_mode():
        logits = vocabulary_head(lm)(normed)
    answer = int(logits.argmax()) if token is None else single_token(lm, token)
    asked = [answer] + ([] if against is None else [single_token(lm, against)])
    direction, output_bias = _asked(trace, normed, asked)
    norm = cast(nn.Module, given.norm)
    along, norm_bias, factor = _through(norm, last.double(), direction)
    shares = [
        Share(part, kind, layer, head, float(vector.double() @ along))
        for part, kind, layer, head, vector in _written(trace, given, row, column)
    ]
    shares += [Share("final norm's bias", "norm bias", None, None, norm_bias)] if isinstance(norm, LayerNorm) else []
    shares += [Share("output bias", "output bias", None, None, output_bias)] if output_bias else []
    shares.sort(key=lambda share: -abs(share.value))
    logit = float(logits[asked[0]].double() - (logits[asked[1]].double() if len(asked) > 1 else 0))
    text = f"logit of {token_text(lm, answer)!r}" + ("" if against is None else f" minus that of {token_text(lm, asked[1])!r}")
    ids = given.rows.ids[row]
    tokens = tuple(token_text(lm, id) for id in ids)
    return Contributions(text, tokens, tuple(ids), place, logit, tuple(shares), factor, command)


def _check(trace: Trace, given: Stream) -> None:
    name = trace.lm.card.get("source", trace.lm.config.family)
    if given.post_norm:
        raise EngineError(
            f"{name} normalises the sum after every part (post-norm), so nothing passes a layer untouched and a logit is no sum of parts",
            hint="patching and ablation measure what a part does in any model: isinglass inspect patch",
        )
    if isinstance(given.body, Encoder):
        raise EngineError(
            f"{name} has no linear head over its vocabulary, so its answers are no sums of parts",
            hint="patching and ablation measure what a part does in any model: isinglass inspect patch",
        )
    taps = [given.tap(layer, what) for layer in range(len(given.layers)) for what in _ADDED]
    edited = [edit for edit in trace.edits for tap in (*taps, f"{given.prefix}norm") if edit.matches(tap)]
    if edited:
        raise EngineError(
            f"the sum itself was edited ({edited[0]!r}), so the parts do not add up to the logit",
            hint="edit what a part gives: attention.z, mlp.post or embed",
        )


def _asked(trace: Trace, normed: Tensor, asked: Sequence[int]) -> tuple[Float[Tensor, "d_model"], float]:
    """The direction of the asked logit behind the norm, and its bias. The head is linear, whatever it is made of (tied, scaled, LoRA): its
    gradient is the same everywhere, and its value at zero is its bias."""
    with torch.inference_mode(False), torch.enable_grad():
        at = torch.zeros(normed.shape, dtype=normed.dtype, device=normed.device, requires_grad=True)
        logits = vocabulary_head(trace.lm)(at[None])[0]
        value = logits[asked[0]] - logits[asked[1]] if len(asked) > 1 else logits[asked[0]]
        (direction,) = torch.autograd.grad(value, at)
    return direction.double(), float(value.detach())


def _through(norm: nn.Module, x: Float[Tensor, "d_model"], direction: Float[Tensor, "d_model"]) -> tuple[Tensor, float, float]:
    """The same direction before the norm, what the norm's bias says, and the factor: norm(x) = factor * (x - mean) * weight + bias.

    The mean is linear in x, so subtracting it is one more linear map; only the factor is taken as given.
    """
    weight, eps = cast(Tensor, norm.weight).double(), cast(float, norm.eps)
    centring = isinstance(norm, LayerNorm)
    centred = x - x.mean() if centring else x
    factor = (centred.square().mean() + eps).rsqrt()
    along = weight * direction
    along = along - along.mean() if centring else along
    bias = float(cast(Tensor, norm.bias).double() @ direction) if centring else 0.0
    return factor * along, bias, float(factor)


_Written = tuple[str, Kind, int | None, int | None, Tensor]


@torch.inference_mode()
def _written(trace: Trace, given: Stream, row: int, column: int) -> Iterator[_Written]:
    """Every vector that was added to the stream at one position."""
    yield from _entering(trace, given, row, column)
    reads = [("", "attention", "self-attention" if given.crossing else "attention")]
    reads += [("cross ", "cross_attention", "cross-attention")] if given.crossing else []
    z_names = [given.tap(layer, f"{module}.z") for layer in range(len(given.layers)) for _, module, _ in reads]
    mlp_names = [given.tap(layer, "mlp.post") for layer in range(len(given.layers))]
    trace.several([*z_names, *mlp_names])  # in one pass
    for number, layer in enumerate(given.layers):
        for which, module, told in reads:
            attention = cast(Attention, getattr(layer, module))
            heads, bias = _by_head(attention, trace[given.tap(number, f"{module}.z")][row, :, column])
            for head, vector in enumerate(heads):
                yield f"layer {number} {which}head {head}", cast(Kind, f"{which}head"), number, head, vector
            if bias.any():
                yield f"layer {number} {told} bias", "cross bias" if which else "attention bias", number, None, bias
        yield f"layer {number} mlp", "mlp", number, None, trace[mlp_names[number]][row, column]


def _by_head(attention: Attention, z: Float[Tensor, "heads d_head"]) -> tuple[Float[Tensor, "heads d_model"], Float[Tensor, "d_model"]]:
    """What each head writes, and the bias that no head has. Heads are told apart before the output projection, which mixes them; it is run
    with one head at a time, so that it may be made of anything linear (LoRA, quantised weights)."""
    apart = torch.zeros(len(z) + 1, len(z), z.shape[1], dtype=z.dtype, device=z.device)
    apart[range(len(z)), range(len(z))] = z
    written = attention.o_proj(apart.flatten(1)[:, None])[:, 0].double()
    return written[:-1] - written[-1], written[-1]


def _entering(trace: Trace, given: Stream, row: int, column: int) -> Iterator[_Written]:
    """Token embedding and positions apart; together where they were edited."""
    name = f"{given.prefix}embed"
    whole = trace[name][row, column]
    if any(edit.matches(name) for edit in trace.edits):
        yield "embed", "embed", None, None, whole
        return
    embedding, rows = cast(nn.Embedding, cast(Any, _owner(trace, given)).embed_tokens), given.rows
    token = embedding(rows.batch[row, column])
    yield f"token embedding of {token_text(trace.lm, int(rows.batch[row, column]))!r}", "token embedding", None, None, token
    schemes = [cast(Position, scheme) for scheme in cast(nn.ModuleList, given.body.positions)]
    added = [vectors for scheme in schemes if (vectors := scheme.embed(rows.fresh_slots())) is not None]
    if added:
        # one row stands for all where all rows count alike
        vectors = torch.stack([each[row if len(each) > 1 else 0, column].double() for each in added])
        yield "positions", "positions", None, None, vectors.sum(0)


def _owner(trace: Trace, given: Stream) -> nn.Module:
    """Who has the token embedding: the stack itself, or the encoder-decoder around it."""
    return trace.lm.model if given.prefix else given.body


def _column(share: Share) -> str:
    """Where a share stands in the map."""
    named = {
        "head": f"{share.head}",
        "cross head": f"cross {share.head}",
        "attention bias": "bias",
        "mlp": "mlp",
        "cross bias": "cross bias",
    }
    return named[share.kind]


def _column_order(name: str) -> tuple[int, int]:
    kind, number = name.rpartition(" ")[::2]
    if number.isdigit():
        return (2 if kind else 0), int(number)
    return {"bias": 1, "cross bias": 3, "mlp": 4}[name], 0
