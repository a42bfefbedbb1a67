"""Muon: momentum, made orthogonal: every direction of a matrix moves by the same amount. AdamW for what is no matrix of a block.

What: the momentum of each 2-d weight inside the blocks is replaced by (nearly) its orthogonal factor U V^T; embeddings, output head,
      norms and biases go to AdamW, in the same optimizer object.
Why: gradients of matrices are nearly of low rank; making all singular values equal lets the rare directions learn as well. Fewer steps
     to the same loss than AdamW.
Math: m = mu m + g, d = g + mu m (Nesterov), X = d / |d|_F, five times X = a X + (b A + c A^2) X with A = X X^T,
      w = w - lr wd w - lr 0.2 sqrt(max(rows, cols)) X. The last factor gives the step the root mean square of an AdamW step (about
      0.2), so one learning rate and one weight decay serve both rules, and a recipe for AdamW can be tried with Muon by its name.
Cost: one number of state per weight; 5 (4 n^2 m + 2 n^3) FLOPs per step for an n x m matrix, n <= m: small beside a large batch only
Used by: Moonlight, Kimi K2, the speed records of modded-nanogpt
Paper: Jordan et al. 2024, Muon; Liu et al. 2025, Muon is Scalable for LLM Training (the scale, section 2.2)
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import Parameter
from torch.optim.adamw import adamw

from isinglass.training.optimizer import (
    Group,
    NamedParameters,
    OptimizerRecipe,
    check_decay,
    check_positive,
    check_shares,
    decay_groups,
    trained,
)

EXAMPLE = dict(lr=1e-3)

_IN_BLOCK = re.compile(r"(^|\.)layers\.\d+\.")
_QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan 2024: steepest at 0 that keeps singular values within about 0.7 and 1.2
_ITERATIONS = 5
_ADAM_RMS = 0.2  # Liu 2025: the root mean square of AdamW's steps in large trainings


@dataclass(frozen=True)
class MuonRecipe(OptimizerRecipe):
    lr: float
    momentum: float
    weight_decay: float
    adam_lr: float | None
    adam_betas: tuple[float, float]
    adam_eps: float

    def __post_init__(self) -> None:
        check_positive(lr=self.lr, adam_eps=self.adam_eps, adam_lr=self.lr if self.adam_lr is None else self.adam_lr)
        check_shares(momentum=self.momentum, beta1=self.adam_betas[0], beta2=self.adam_betas[1])
        check_decay(self.weight_decay)

    def make(self, named_parameters: NamedParameters) -> torch.optim.Optimizer:
        everything = trained(named_parameters)
        matrices = [p for name, p in everything if is_block_matrix(name, p)]
        others = [p for name, p in everything if not is_block_matrix(name, p)]
        groups: list[Group] = []
        if matrices:
            orthogonal = {"momentum": self.momentum, "weight_decay": self.weight_decay}
            groups.append({"params": matrices, "lr": self.lr, "base_lr": self.lr, **orthogonal, "rule": "muon"})
        adam = {"betas": self.adam_betas, "eps": self.adam_eps, "rule": "adamw"}
        adam_lr = self.lr if self.adam_lr is None else self.adam_lr
        return Muon(groups + [{**group, **adam} for group in decay_groups(others, adam_lr, self.weight_decay)])


def is_block_matrix(name: str, parameter: Parameter) -> bool:
    """A matrix product inside a block: not an embedding, whose rows are updated one by one, and not the output head (Jordan 2024)."""
    return parameter.dim() == 2 and _IN_BLOCK.search(name) is not None


class Muon(torch.optim.Optimizer):
    """Groups whose "rule" is "muon" hold matrices only; those whose rule is "adamw" anything."""

    def __init__(self, groups: Sequence[Group]) -> None:
        super().__init__(list(groups), {"fused": True})  # "fused": loading keeps AdamW's step counts in fp32, as torch's kernel wants them

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            {"muon": self._orthogonal_step, "adamw": self._adamw_step}[group["rule"]](group, parameters)
        return loss

    def _orthogonal_step(self, group: Group, parameters: list[Parameter]) -> None:
        wanted: dict[tuple[int, int], list[tuple[Parameter, Tensor]]] = defaultdict(list)
        for parameter in parameters:
            state, gradient = self.state[parameter], _gradient(parameter)
            if not state:
                state["momentum"] = torch.zeros_like(gradient)
            ahead = gradient.add(state["momentum"].mul_(group["momentum"]).add_(gradient), alpha=group["momentum"])
            rows, columns = ahead.shape
            wanted[min(rows, columns), max(rows, columns)].append((parameter, ahead if rows <= columns else ahead.t()))
        for shape, members in wanted.items():
            scale = _ADAM_RMS * shape[1] ** 0.5
            for (parameter, _), step in zip(members, orthogonalised(torch.stack([d for _, d in members])), strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(step if parameter.shape == step.shape else step.t(), alpha=-group["lr"] * scale)

    def _adamw_step(self, group: Group, parameters: list[Parameter]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                zero = torch.zeros_like(parameter, memory_format=torch.preserve_format)
                count = torch.zeros((), dtype=torch.float32, device=parameter.device)
                self.state[parameter].update(step=count, mean=zero, square=zero.clone())
        states = [self.state[parameter] for parameter in parameters]
        adamw(
            list(parameters),
            [_gradient(parameter) for parameter in parameters],
            [state["mean"] for state in states],
            [state["square"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def orthogonalised(matrices: Float[Tensor, "n rows cols"]) -> Float[Tensor, "n rows cols"]:
    """Each matrix with its singular values brought near 1, by five Newton-Schulz steps; rows <= cols is the cheaper way round.

    Matrices of one shape go together: one batched product instead of many small ones. A zero matrix stays zero.

    >>> orthogonalised(torch.diag(torch.tensor([5.0, 1.0]))[None])[0].diag().sub(1).abs().max() < 0.35
    tensor(True)
    """
    a, b, c = _QUINTIC
    x = matrices / (matrices.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _gradient(parameter: Parameter) -> Tensor:
    if parameter.grad is None:
        raise ValueError("a parameter without gradient")
    return parameter.grad


def build(
    lr: float = 1e-3,
    momentum: float = 0.95,
    weight_decay: float = 0.1,
    adam_lr: float | None = None,
    adam_betas: tuple[float, float] = (0.9, 0.95),
    adam_eps: float = 1e-8,
) -> OptimizerRecipe:
    """`lr` for the matrices of the blocks; `adam_lr` for all else, the same when None."""
    return MuonRecipe(float(lr), momentum, weight_decay, adam_lr, adam_betas, adam_eps)
