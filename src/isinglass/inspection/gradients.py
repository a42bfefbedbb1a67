"""Gradients of the number that is asked, at places of a pass. The weights need none, and no state is kept in the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from isinglass.core.errors import EngineError, closest
from isinglass.inspection.question import Question
from isinglass.inspection.reading import Reading


class Watch:
    """A tap that lets gradients begin where the blocks do (`embed`), and keeps the places whose names are asked for.

    `starts` are put in place of what enters the blocks, by the names of those taps.
    """

    def __init__(self, names: Sequence[str], starts: Mapping[str, Tensor]) -> None:
        self.names, self.starts = frozenset(names), starts
        self.kept: dict[str, Tensor] = {}
        self.seen: list[str] = []

    def wants(self, name: str) -> bool:
        self.seen.append(name)
        return name in self.names or _enters(name)

    def __call__(self, name: str, x: Tensor) -> Tensor:
        if _enters(name):
            x = self.starts.get(name, x).detach().requires_grad_()
        self.kept[name] = x
        return x


def _enters(name: str) -> bool:
    return name.rpartition(".")[2] == "embed"


def gradients(
    given: Reading, asked: Question, names: Sequence[str], starts: Mapping[str, Tensor] | None = None
) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """The number that is asked, of each row, and of every named place what stands there with the gradient of the rows' sum.

    What cannot reach the answer has gradient 0. EngineError for a name that is no tap of this model.
    """
    watch = Watch(names, starts or {})
    # thread-local switches: a caller in inference mode gets its gradients too
    with torch.inference_mode(False), torch.enable_grad():
        logits = given.run(watch)
        for name in names:
            if name not in watch.kept:
                near = closest(name, watch.seen)
                raise EngineError(f"unknown tap {name!r}", hint=f"did you mean {near!r}?" if near else "")
        if logits is None:
            raise EngineError("this model makes no logits over its vocabulary, so nothing can be asked of them")
        value = asked.value(logits[:, asked.place])
        places = [watch.kept[name] for name in names]
        slopes = torch.autograd.grad(value.sum(), places, allow_unused=True)
    pairs = zip(places, slopes, strict=True)
    found = [(x.detach(), torch.zeros_like(x) if slope is None else slope) for x, slope in pairs]
    return value.detach(), dict(zip(names, found, strict=True))
