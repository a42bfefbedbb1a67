"""PPO: a policy writes responses, a reward judges them, and what did better than expected becomes likelier.

What: per step the policy answers a batch of prompts; a score at the end and a toll for leaving the reference policy at each token make
      rewards; a value head learns to expect them; the weights change several times from the same responses, each time by little.
Why: reward can be anything that gives a number for a text: a model of what people like, a rule, a test; and the policy learns from its
     own mistakes, not from texts of others.
Math: max E[score - kl log(p / ref)];  loss = -min(r A, clip(r) A) + value_weight (V - R)^2 / 2, r = p / p_before, A by GAE
Cost: per step one generation, and three passes and a backward one for each of `epochs`
Used by: InstructGPT, Llama 2 Chat
Paper: Schulman et al. 2017, Proximal Policy Optimization Algorithms; Ziegler et al. 2019; Ouyang et al. 2022, section 3.5
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import nn

from isinglass.core.errors import DataError, VariantError
from isinglass.core.variants import Call
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.models.headed import HeadedModel
from isinglass.models.transformer import Decoder, Model
from isinglass.nn.loss import IGNORED
from isinglass.training.advantages import clipped_policy_loss, clipped_value_loss, estimate_advantages, token_rewards, whiten
from isinglass.training.divergence import k1, k3
from isinglass.training.heads import decoder_of, with_head, without_dropout
from isinglass.training.objective import Batch, Loss, Objective
from isinglass.training.padding import padded
from isinglass.training.prompting import Prompting
from isinglass.training.rewards import Judge, judge
from isinglass.training.rollout import Rollout, measured, policy_and_values, policy_lm, respond, to_left

EXAMPLE = dict(reward="./my_reward.py")


@dataclass(frozen=True)
class Prompt:
    """A prompt as text and as ids, with the model that was given and the judge, which all prompts share."""

    text: str
    ids: Sequence[int]
    lm: LM
    judge: Judge


@dataclass(frozen=True, eq=False, kw_only=True)
class PromptBatch(Batch):
    """Prompts before they were answered: nothing is learned from them."""

    prompts: Sequence[Prompt]
    seeds: Sequence[int]


@dataclass(frozen=True)
class PPO(Objective):
    """`kl` is the toll in reward per nat; `epochs` is how often a step goes through its responses, in `minibatches` parts each time.

    `clip` bounds the ratio of probabilities, `value_clip` the change of a value; `discount` and `trace` are gamma and lambda of GAE.
    """

    prompting: Prompting
    reward: str | Judge
    max_tokens: int
    kl: float
    epochs: int
    minibatches: int
    clip: float
    value_clip: float
    value_weight: float
    discount: float
    trace: float

    def trainee(self, lm: LM, seed: int) -> HeadedModel:
        return with_head(without_dropout(decoder_of(lm, "ppo")), "value", seed)

    def product(self, model: Model) -> Decoder:
        return cast(Decoder, cast(HeadedModel, model).body)

    def fitted(self, records: Sequence[Record]) -> PPO:
        """With the judge read, once for all examples."""
        return replace(self, reward=judge(self.reward, self.prompting))

    def remembered(self) -> Mapping[str, Any]:
        return {"reward": judge(self.reward, self.prompting).identity()}

    def examples(self, lm: LM, records: Iterable[Record], context_length: int) -> list[Prompt]:
        chosen = judge(self.reward, self.prompting)
        return [self._prompt(lm, chosen, record, context_length) for record in records]

    def _prompt(self, lm: LM, chosen: Judge, record: Record, context_length: int) -> Prompt:
        text = self.prompting.text(record)
        ids = self.prompting.ids(lm.tokenizer, text)
        if not ids or len(ids) + self.max_tokens > context_length:
            raise DataError(
                f"{record.place}: a prompt of {len(ids):,} tokens and max_tokens = {self.max_tokens:,}, in a context of {context_length:,}",
                hint="fewer max_tokens, a longer context_length, or shorter prompts" if ids else "leave empty prompts out",
            )
        return Prompt(text, ids, lm, chosen)

    def collate(self, examples: Sequence[Prompt], seeds: Sequence[int]) -> PromptBatch:
        ids, slots = padded([example.ids for example in examples])
        return PromptBatch(ids, slots, torch.full_like(ids, IGNORED), prompts=list(examples), seeds=list(seeds))

    def prepared(self, model: nn.Module, batches: Sequence[Batch]) -> list[Rollout]:
        """Responses to the prompts, and their advantages, whitened over all of the step."""
        rollouts = [self._rollout(cast(HeadedModel, model), cast(PromptBatch, batch)) for batch in batches]
        scored = [rollout.targets != IGNORED for rollout in rollouts]
        advantages = [rollout.advantages[places] for rollout, places in zip(rollouts, scored, strict=True)]
        parts = whiten(torch.cat(advantages)).split([len(one) for one in advantages])
        return [
            replace(rollout, advantages=rollout.advantages.masked_scatter(places, part))
            for rollout, places, part in zip(rollouts, scored, parts, strict=True)
        ]

    def updates(self, batches: Sequence[Batch]) -> Sequence[Sequence[Batch]]:
        """Every response once per epoch, in minibatches: the order of rows is that of the loader, so any rows will do."""
        parts = [slice(number, None, self.minibatches) for number in range(self.minibatches)]
        rollouts = cast(Sequence[Rollout], batches)
        every = [[rollout.rows(part) for rollout in rollouts if len(rollout.ids[part])] for part in parts]
        return [part for part in every if part] * self.epochs

    def _rollout(self, model: HeadedModel, batch: PromptBatch) -> Rollout:
        lm, judge = batch.prompts[0].lm, batch.prompts[0].judge
        prompts = [prompt.ids for prompt in batch.prompts]
        responses = respond(policy_lm(lm, model), prompts, batch.seeds, self.max_tokens)
        scores = torch.tensor(judge.scores([prompt.text for prompt in batch.prompts], [response.text for response in responses]))
        seen = measured(model, decoder_of(lm, "ppo"), prompts, responses)
        valid, left, back = to_left(seen.targets)
        rewards = token_rewards(scores, left(seen.policy), left(seen.reference), valid, self.kl)
        advantages, returns = estimate_advantages(rewards, left(seen.values), valid, discount=self.discount, trace=self.trace)
        return Rollout(
            seen.ids, seen.slots, seen.targets, policy=seen.policy, reference=seen.reference, values=seen.values, scores=scores,
            advantages=back(advantages), returns=back(returns),
        )  # fmt: skip

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        seen = cast(Rollout, batch)
        policy, values = policy_and_values(model, seen.ids, seen.slots, seen.targets)
        of_policy = clipped_policy_loss(policy, seen.policy, seen.advantages, self.clip).sum()
        of_values = clipped_value_loss(values, seen.values, seen.returns, self.value_clip).sum()
        sums = {
            "policy_loss": of_policy,
            "value_loss": of_values,
            "clipped": ((policy - seen.policy).exp() - 1).abs() > self.clip,
            "scores": seen.scores,
            "k1": k1(seen.policy, seen.reference),
            "k3": k3(seen.policy, seen.reference),
            "responses": torch.ones_like(seen.scores),
        }
        total = of_policy + self.value_weight * of_values
        return Loss(total, {name: float(value.detach().sum()) for name, value in sums.items()})

    def figures(self, total: float, n_targets: float, sums: Mapping[str, float]) -> dict[str, float]:
        """Per response: `score`, the divergence `kl` (k3) and its unbiased but noisy twin `kl_k1`; `loss` is what is minimised in the end,
        -(score - kl k1). Per token: the two losses of the gradient, and the share of clipped ratios."""
        n = max(sums["responses"], 1)
        return {
            "loss": -(sums["scores"] - self.kl * sums["k1"]) / n,
            "score": sums["scores"] / n,
            "kl": sums["k3"] / n,
            "kl_k1": sums["k1"] / n,
            "policy_loss": sums["policy_loss"] / n_targets,
            "value_loss": sums["value_loss"] / n_targets,
            "clipped": sums["clipped"] / n_targets,
            "response_tokens": n_targets / n,
        }


def build(
    reward: Any,
    max_tokens: int = 32,
    kl: float = 0.05,
    epochs: int = 4,
    minibatches: int = 1,
    clip: float = 0.2,
    value_clip: float = 0.2,
    value_weight: float = 0.1,
    discount: float = 1.0,
    trace: float = 0.95,
    prompt: str = "prompt",
    template: str | None = None,
) -> Objective:
    """`reward` is the folder of a reward model, `./my_reward.py` with a function `reward(prompt, response)`, or such a function.

    `max_tokens` of a response; `kl` is taken off per nat; `epochs` and `minibatches` say how often the weights change in a step; `clip`,
    `value_clip` and `value_weight` are of the loss; `discount` and `trace` of the advantages; `prompt` is a field, or text with fields in
    braces; `template` is the model's own when left out.
    """
    for name, count in dict(max_tokens=max_tokens, epochs=epochs, minibatches=minibatches).items():
        if count < 1:
            raise VariantError(f"ppo: {name} = {count!r}, expected at least 1")
    for name, share in dict(discount=discount, trace=trace).items():
        if not 0 <= share <= 1:
            raise VariantError(f"ppo: {name} = {share!r}, expected from 0 to 1")
    for name, bound in dict(clip=clip, value_clip=value_clip).items():
        if not 0 < bound < float("inf"):
            raise VariantError(f"ppo: {name} = {bound!r}, expected a number above 0", hint="0.2 is usual")
    for name, weight in dict(kl=kl, value_weight=value_weight).items():
        if not 0 <= weight < float("inf"):
            raise VariantError(
                f"ppo: {name} = {weight!r}, expected 0 or more", hint="kl = 0 lets the policy leave its reference altogether"
            )
    prompting = Prompting(prompt, template)
    # a file or folder is read when training begins, so that an expression can be understood without it
    known = str(reward) if isinstance(reward, Call | str) else judge(reward, prompting)
    return PPO(prompting, known, max_tokens, kl, epochs, minibatches, clip, value_clip, value_weight, discount, trace)
