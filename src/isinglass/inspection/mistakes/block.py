"""A transformer block with each step a choice, and the mistakes in it; those of attention, norms and GELU are mistakes of the block too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from isinglass.inspection.mistakes import attention as attending
from isinglass.inspection.mistakes import gelu as bending
from isinglass.inspection.mistakes import layer_norm as norming
from isinglass.inspection.mistakes.attention import AttentionSteps, AttentionWeights, Projection
from isinglass.inspection.mistakes.layer_norm import NormSteps, NormWeights
from isinglass.inspection.mistakes.mistake import Mistake, lifted


@dataclass(frozen=True, eq=False)
class BlockWeights:
    attention_norm: NormWeights
    attention: AttentionWeights
    mlp_norm: NormWeights
    up: Projection
    down: Projection


@dataclass(frozen=True)
class BlockSteps:
    """The choices of a pre-norm block; the defaults are GPT-2's (Radford et al. 2019)."""

    attention: AttentionSteps = field(default_factory=AttentionSteps)
    norm: NormSteps = field(default_factory=NormSteps)
    activation: bending.Function = bending.DEFINITION
    placement: str = "pre"
    residual: str = "both"
    norms: str = "both"
    mlp_reads: str = "mid"
    order: str = "attention, mlp"


def block(x: Tensor, weights: BlockWeights, steps: BlockSteps) -> Tensor:
    """With the default steps equal to `nn.block.Block` with an MLP of `gelu_tanh`."""
    halves = [_Half("attention", weights, steps), _Half("mlp", weights, steps)]
    if steps.mlp_reads == "input":  # both halves read the same, as in GPT-J
        return x + halves[0].add(x) + halves[1].add(x)
    for half in halves if steps.order == "attention, mlp" else reversed(halves):
        x = half(x)
    return x


@dataclass(frozen=True)
class _Half:
    name: str
    weights: BlockWeights
    steps: BlockSteps

    def __call__(self, x: Tensor) -> Tensor:
        kept = self.steps.residual in ("both", self.name, "of the norm")
        if self.steps.placement == "post":
            return self.norm(x + self.work(x)) if kept else self.norm(self.work(x))
        base = self.norm(x) if self.steps.residual == "of the norm" else x
        return base + self.add(x) if kept else self.add(x)

    def add(self, x: Tensor) -> Tensor:
        added = self.work(self.norm(x) if self.steps.placement != "inside" else x)
        return self.norm(added) if self.steps.placement == "inside" else added

    def norm(self, x: Tensor) -> Tensor:
        if self.steps.norms not in ("both", self.name, "first twice", "second twice", "exchanged"):
            return x
        of = {"first twice": "attention", "second twice": "mlp"}.get(self.steps.norms, self.name)
        if self.steps.norms == "exchanged":
            of = "mlp" if self.name == "attention" else "attention"
        return norming.layer_norm(x, self.weights.attention_norm if of == "attention" else self.weights.mlp_norm, self.steps.norm)

    def work(self, x: Tensor) -> Tensor:
        if self.name == "attention":
            return attending.attention(x, self.weights.attention, self.steps.attention)
        return self.weights.down(self.steps.activation(self.weights.up(x)))


def _mistake(name: str, words: str, hint: str, right: bool = False, **change: Any) -> Mistake[BlockSteps]:
    return Mistake(name, words, hint, lambda steps: replace(steps, **change), right)


_FIRST, _SECOND = "x = x + attention(norm1(x))", "x = x + mlp(norm2(x))"
_BOTH = f"{_FIRST}; {_SECOND}"

OWN: tuple[Mistake[BlockSteps], ...] = (
    _mistake("post_norm", "as a post-norm block, norm(x + f(x)) (the first transformer and BERT; GPT-2 has x + f(norm(x)))", "", True,
             placement="post"),
    _mistake("no_residuals", "without any residual connection", _BOTH, residual="none"),
    _mistake("no_attention_residual", "without the residual connection around attention", _FIRST, residual="mlp"),
    _mistake("no_mlp_residual", "without the residual connection around the feed-forward layer", _SECOND, residual="attention"),
    _mistake("residual_of_the_norm", "with the normalised x kept as the residual, instead of x itself", _BOTH, residual="of the norm"),
    _mistake("no_norms", "without norms", _BOTH, norms="none"),
    _mistake("no_attention_norm", "without the norm before attention", _FIRST, norms="mlp"),
    _mistake("no_mlp_norm", "without the norm before the feed-forward layer", _SECOND, norms="attention"),
    _mistake("first_norm_twice", "with the first norm used in both places", _SECOND, norms="first twice"),
    _mistake("second_norm_twice", "with the second norm used in both places", _FIRST, norms="second twice"),
    _mistake("norms_exchanged", "with the two norms exchanged (the other one comes first)", _BOTH, norms="exchanged"),
    _mistake("norm_inside", "with norms after attention and feed-forward instead of before them", _BOTH, placement="inside"),
    _mistake("mlp_reads_input", "with a feed-forward layer that reads the block's input, not what attention added", _BOTH,
             mlp_reads="input"),
    _mistake("mlp_first", "with the feed-forward layer before attention", _BOTH, order="mlp, attention"),
)  # fmt: skip


def _bending(steps: BlockSteps, change: Callable[[bending.Function], bending.Function]) -> BlockSteps:
    return replace(steps, activation=change(steps.activation))


def _attending(steps: BlockSteps, change: Callable[[AttentionSteps], AttentionSteps]) -> BlockSteps:
    return replace(steps, attention=change(steps.attention))


def _norming(steps: BlockSteps, change: Callable[[NormSteps], NormSteps]) -> BlockSteps:
    return replace(steps, norm=change(steps.norm))


MISTAKES: tuple[Mistake[BlockSteps], ...] = (
    *OWN,
    *(lifted(mistake, _bending) for mistake in bending.ACTIVATIONS),
    *(lifted(mistake, _attending) for mistake in attending.MISTAKES),
    *(lifted(mistake, _norming) for mistake in norming.MISTAKES if not mistake.name.startswith("eps_")),
)
