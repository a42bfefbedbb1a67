"""LoRA: the change of each weight matrix is the product of two thin ones.

What: y = W x + alpha / rank * B A x; W stays as it is, A (rank x d_in) and B (d_out x rank) are trained. B starts at zero, so the model
      starts as it was; A starts uniform between -1 / sqrt(d_in) and 1 / sqrt(d_in).
Why: a hundredth of the parameters to train and to save, no cost once merged into W, and the untouched model is always at hand.
Math: W + (alpha / rank) B A; the scale keeps the size of a step when the rank is changed
Cost: rank (d_in + d_out) weights per layer; 6 rank (d_in + d_out) FLOPs per token of training; none when merged
Used by: fine-tuning of large models on one device
Paper: Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isinglass.core.errors import VariantError, unknown
from isinglass.nn.adapter import AdaptedLinear, Adapter, LinearAdapter, Site
from isinglass.nn.dropout import Dropout

EXAMPLE = dict(rank=2)


class LowRank(LinearAdapter):
    """`a` is (rank, d_in), `b` is (d_out, rank), both fp32 whatever the layer's dtype: steps of training are too small for bf16."""

    def __init__(self, source: LoRA, weight: Float[Tensor, "d_out d_in"], generator: torch.Generator) -> None:
        super().__init__(source)
        d_out, d_in = weight.shape
        start = torch.empty(source.rank, d_in).uniform_(-(d_in**-0.5), d_in**-0.5, generator=generator)
        self.a = nn.Parameter(start.to(weight.device))
        self.b = nn.Parameter(torch.zeros(d_out, source.rank, device=weight.device))
        self.scale = source.alpha / source.rank
        self.dropout = Dropout(source.dropout)

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        narrow = nn.functional.linear(self.dropout(x).to(self.a.dtype), self.a)
        return nn.functional.linear(narrow, self.b) * self.scale

    def change(self) -> Float[Tensor, "d_out d_in"]:
        return self.scale * (self.b.float() @ self.a.float())


@dataclass(frozen=True)
class LoRA(Adapter):
    """`targets` are parts of the model (all, attention, mlp, head) and last components of names (q_proj)."""

    rank: int
    alpha: float
    targets: tuple[str, ...]
    dropout: float

    @property
    def expression(self) -> str:
        return f"lora(rank={self.rank}, alpha={self.alpha}, targets={self.targets!r}, dropout={self.dropout})"

    def attach(self, sites: Sequence[Site], generator: torch.Generator) -> None:
        for site, linear in self._chosen(sites):
            site.put(AdaptedLinear(linear, LowRank(self, linear.weight, generator)))

    def _chosen(self, sites: Sequence[Site]) -> list[tuple[Site, nn.Linear]]:
        linears = [(site, site.module) for site in sites if isinstance(site.module, nn.Linear)]
        known = {"all"} | {name for site, _ in linears for name in (site.part, site.short_name)}
        for target in self.targets:
            if target not in known:
                raise unknown("target", target, known, where="lora(targets=...)", error=VariantError)
        return [(site, linear) for site, linear in linears if {"all", site.part, site.short_name} & set(self.targets)]


def build(rank: int = 8, alpha: float | None = None, targets: str | tuple[str, ...] = "all", dropout: float = 0.0) -> Adapter:
    """The change is scaled by alpha / rank; `alpha` None is `rank`, a scale of 1. `dropout` is applied to the adapter's input.

    `targets` is all (every linear layer of attention, feed-forward and heads), attention, mlp, head, a layer's name such as q_proj, or
    several of these.
    """
    if rank < 1:
        raise VariantError(f"lora: rank = {rank!r}, expected at least 1", hint="rank=8 is a common start")
    if alpha is not None and not 0 < alpha < float("inf"):
        raise VariantError(f"lora: alpha = {alpha!r}, expected more than 0", hint="leave alpha out for a scale of 1")
    if not 0 <= dropout < 1:
        raise VariantError(f"lora: dropout = {dropout!r}, expected a share from 0 to below 1", hint="dropout=0.05 is what the paper used")
    chosen = (targets,) if isinstance(targets, str) else targets
    if not chosen:
        raise VariantError("lora: targets = (), expected at least one", hint="targets='all' takes every linear layer")
    return LoRA(rank, float(rank if alpha is None else alpha), chosen, dropout)
