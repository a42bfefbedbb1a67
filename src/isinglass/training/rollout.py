"""Rollouts: what a policy answers to prompts, as drawn by the policy itself, and what each of its tokens earned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isinglass.generation.lm import LM
from isinglass.generation.loop import generating
from isinglass.models.adapted import adapter_names
from isinglass.models.headed import HeadedModel
from isinglass.models.transformer import Decoder
from isinglass.nn.adapter import adapters_off
from isinglass.nn.attention.slots import Slots
from isinglass.nn.loss import IGNORED
from isinglass.training.log_probs import token_log_probs
from isinglass.training.objective import Batch
from isinglass.training.padding import padded
from isinglass.training.preferences import response_targets


@dataclass(frozen=True)
class Response:
    """What was written to a prompt: all its ids, the end token included, and its text, the end token left out."""

    ids: Sequence[int]
    text: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Rollout(Batch):
    """Prompts with responses, and numbers about each token of a response at the place that says it (0 elsewhere).

    `policy`, `reference` are log-probabilities and `values` the value head's, all before the step; `scores` judge whole responses.
    """

    policy: Float[Tensor, "batch time"]
    reference: Float[Tensor, "batch time"]
    values: Float[Tensor, "batch time"]
    scores: Float[Tensor, "batch"]
    advantages: Float[Tensor, "batch time"]
    returns: Float[Tensor, "batch time"]

    def rows(self, chosen: slice) -> Rollout:
        """Some of the rows."""
        parts: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        slots = Slots(self.slots.position[chosen], None if self.slots.valid is None else self.slots.valid[chosen])
        return replace(self, **{name: part[chosen] for name, part in parts.items() if isinstance(part, Tensor)}, slots=slots)


def respond(lm: LM, prompts: Sequence[Sequence[int]], seeds: Sequence[int], max_tokens: int) -> list[Response]:
    """One response to each prompt, drawn from the policy as it is (temperature 1, no filter), each from its own seed."""
    ids: list[list[int]] = [[] for _ in prompts]
    texts = [""] * len(prompts)
    for event in generating(lm, [list(prompt) for prompt in prompts], strategy="sample", max_tokens=max_tokens, seed=list(seeds)):
        ids[event.row].append(event.id)
        texts[event.row] += event.text
    return [Response(one, text) for one, text in zip(ids, texts, strict=True)]


def policy_lm(lm: LM, model: HeadedModel) -> LM:
    """The policy in its present state, as what `generate` takes."""
    return replace(lm, model=cast(Decoder, model.body), file=None, _made={})


@dataclass(frozen=True)
class Measured:
    """What the model and its reference say about given responses, and the batch they stand in."""

    ids: Tensor
    slots: Slots
    targets: Tensor
    policy: Tensor
    reference: Tensor
    values: Tensor


@torch.no_grad()
def measured(model: HeadedModel, given: Decoder, prompts: Sequence[Sequence[int]], responses: Sequence[Response]) -> Measured:
    """Log-probabilities and values of every token of the responses; `given` is the model before training."""
    rows = [[*prompt, *response.ids] for prompt, response in zip(prompts, responses, strict=True)]
    ids, slots = padded(rows)
    targets = response_targets(rows, [len(prompt) for prompt in prompts])
    policy, values = policy_and_values(model, ids, slots, targets)
    with reference_policy(model, given) as reference:
        reference_log_probs = token_log_probs(reference, reference.hidden(ids, slots=slots), targets)
    return Measured(ids, slots, targets, policy, reference_log_probs, values)


def policy_and_values(model: nn.Module, ids: Tensor, slots: Slots, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the targets, and the value head's expectation at each place, from one pass."""
    headed = cast(HeadedModel, model)
    body = cast(Decoder, headed.body)
    hidden = body.hidden(ids, slots=slots)
    values = headed.heads["value"](hidden, slots, body.embed_tokens.weight).float()
    return token_log_probs(body, hidden, targets), torch.where(targets != IGNORED, values, 0.0)


@contextmanager
def reference_policy(model: HeadedModel, given: Decoder) -> Iterator[Decoder]:
    """The policy before training: the same model with its adapter off where nothing else of it trains, otherwise the one given."""
    body = cast(Decoder, model.body)
    moving = {name for name, weight in body.named_parameters() if weight.requires_grad}
    if moving and moving <= adapter_names(body):
        with adapters_off():
            yield body
    else:
        yield given


Compact = Callable[[Tensor], Tensor]


def to_left(targets: Tensor) -> tuple[Tensor, Compact, Compact]:
    """Responses begin at different places: `valid`, and functions that move (batch, time) numbers to the left of a row and back."""
    scored = targets != IGNORED
    lengths = scored.sum(dim=1)
    valid = torch.arange(int(lengths.max()))[None] < lengths[:, None]

    def left(numbers: Tensor) -> Tensor:
        return torch.zeros(valid.shape, dtype=numbers.dtype).masked_scatter(valid, numbers[scored])

    def back(numbers: Tensor) -> Tensor:
        return torch.zeros(scored.shape, dtype=numbers.dtype).masked_scatter(scored, numbers[valid])

    return valid, left, back
