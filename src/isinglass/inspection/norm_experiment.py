"""LayerNorm against BatchNorm, by experiment: does what a token becomes depend on the tokens it is computed with?

One token is watched while its batch changes around it: alone, with other tokens, with other texts, with padding. LayerNorm and RMSNorm
take their statistics from the token's own features. BatchNorm takes them from all tokens of the batch while it trains, and afterwards
from a running average of batches that are gone (Ioffe and Szegedy 2015; Ba et al. 2016, section 1, for texts of unequal length).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isinglass.core.errors import ShapeError
from isinglass.generation.lm import LM
from isinglass.inspection.trace import trace
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.nn.norms import LayerNorm, RMSNorm
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.marks.bars import bars
from isinglass.show.showable import Showable
from isinglass.show.table import Table

TEXT = "The cat sat on the mat"
MATES = ("It was a bright cold day in April, and the clocks were striking", "Yes")
_EPS = 1e-5
_STEPS = 30
Apply = Callable[[Tensor], Tensor]  # (batch, time, d_model) -> the same shape


@dataclass(frozen=True)
class NormExperiment(Finding):
    """`changes` holds, for each situation and norm, by how much the watched token's output differs from that in its text alone (largest
    feature); None where the norm refuses to compute it. `scale` is the mean size of an output's features, to compare with."""

    changes: Mapping[str, Mapping[str, float | None]]
    scale: Mapping[str, float]
    command: str | None = None

    @property
    def figure(self) -> Figure:
        """The same as bars."""
        norms = list(self.scale)
        series = {norm: [found[norm] or 0.0 for found in self.changes.values()] for norm in norms}
        refused = [f"{norm} cannot do: {each}" for each, found in self.changes.items() for norm in norms if found[norm] is None]
        title = "How much one token's output changes with what else is in the batch"
        return bars(
            list(self.changes),
            series,
            title=title,
            axis="largest change of a feature",
            notes=[*self._notes, *refused],
            command=self.command,
        )

    @property
    def table(self) -> Table:
        """A row per situation."""
        rows = [
            {"situation": each, **{norm: "refuses" if value is None else value for norm, value in found.items()}}
            for each, found in self.changes.items()
        ]
        return Table(rows, title="Change of one token's output, against its text alone", notes=self._notes, command=self.command)

    @property
    def _notes(self) -> list[str]:
        sizes = ", ".join(f"{norm} {value:.3g}" for norm, value in self.scale.items())
        return ["0: not changed in any bit", f"mean size of an output feature: {sizes}"]

    @property
    def parts(self) -> tuple[Showable, ...]:
        return self.figure, self.table

    @property
    def data(self) -> dict[str, Any]:
        return {"changes": {each: dict(found) for each, found in self.changes.items()}, "scale": dict(self.scale)}


def norm_experiment(lm: LM, text: str = TEXT, mates: Sequence[str] = MATES, *, command: str | None = None) -> NormExperiment:
    """With the vectors that a model's first layer is given: the last token of `text` is watched, `mates` are the other texts.

    >>> import isinglass as ig
    >>> found = norm_experiment(ig.create("tiny"))
    >>> sorted({norm for each in found.changes.values() for norm, change in each.items() if change == 0})
    ['LayerNorm', 'RMSNorm']
    """
    name = ("encoder." if isinstance(lm.model, EncoderDecoder) else "") + "layers.0.resid_pre"
    vectors = [trace(lm, each)[name][0].float().cpu() for each in (text, *mates)]
    return of_vectors(vectors[0], vectors[1:], command=command)


@torch.no_grad()
def of_vectors(
    text: Float[Tensor, "time d_model"], mates: Sequence[Float[Tensor, "_ d_model"]], *, command: str | None = None
) -> NormExperiment:
    """The experiment with any vectors. ShapeError for a text of one token, mates of another width, or no mate of another length."""
    time, width = text.shape
    if time < 2 or not any(len(mate) != time for mate in mates) or any(mate.shape[1] != width for mate in mates):
        shapes = [list(each.shape) for each in (text, *mates)]
        raise ShapeError(f"norms need a text of two tokens or more and one of another length, all of one width; the shapes are {shapes}")
    token, norms = text[-1], _norms(width)
    # batches with the place of the watched token in them
    situations: dict[str, tuple[Tensor, tuple[int, int]]] = {
        "a batch of this one token": (token[None, None], (0, 0)),
        "the same text twice": (torch.stack([text, text]), (0, time - 1)),
        "one more text": (padded([text, mates[0]]), (0, time - 1)),
        "another text in its place": (padded([text, mates[-1]]), (0, time - 1)),
        "32 columns of padding": (torch.cat([text[None], text.new_zeros(1, 32, width)], dim=1), (0, time - 1)),
    }
    alone = {name: _last(make()(text[None])) for name, make in norms.items()}
    changes = {
        each: {name: _change(make(), batch, at, alone[name]) for name, make in norms.items()} for each, (batch, at) in situations.items()
    }
    changes["after training (eval)"] = {name: _after_training(name, text, mates, alone[name]) for name in norms}
    return NormExperiment(changes, {name: float(x.abs().mean()) for name, x in alone.items()}, command)


def padded(texts: Sequence[Float[Tensor, "_ d_model"]]) -> Float[Tensor, "batch time d_model"]:
    """Texts of unequal length as one batch, zeros behind the shorter ones."""
    return nn.utils.rnn.pad_sequence(list(texts), batch_first=True)


class BatchNorm(nn.Module):
    """torch's BatchNorm1d over tokens: each feature's mean and variance over the batch and time, padding among them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.BatchNorm1d(width, eps=_EPS)

    def forward(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
        return self.inner(x.flatten(0, 1)).view_as(x)


def _norms(width: int) -> dict[str, Callable[[], nn.Module]]:
    """Fresh ones each time: BatchNorm remembers what it saw."""
    return {
        "BatchNorm": lambda: BatchNorm(width).train(),
        "LayerNorm": lambda: LayerNorm(width, _EPS).train(),
        "RMSNorm": lambda: RMSNorm(width, _EPS).train(),
    }


def _last(x: Tensor) -> Tensor:
    return x[0, -1].detach()


def _change(norm: nn.Module, batch: Tensor, at: tuple[int, int], alone: Tensor) -> float | None:
    """None where torch refuses: a variance needs two values."""
    if isinstance(norm, BatchNorm) and batch.shape[0] * batch.shape[1] < 2:
        return None
    return float((norm(batch)[at].detach() - alone).abs().max())


def _after_training(name: str, text: Tensor, mates: Sequence[Tensor], alone: Tensor) -> float:
    """Steps of training on each text, until running averages (0.9 of what they were) have settled; then the text in inference mode."""
    norm = _norms(text.shape[1])[name]()
    for each in (text, *mates) * _STEPS:
        norm(each[None] if len(each) > 1 else torch.stack([each, each]))
    return float((_last(norm.eval()(text[None])) - alone).abs().max())
