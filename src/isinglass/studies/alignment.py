"""From a model that has read two translations of the Bible to one that writes like the newer: supervised, reward, PPO and DPO.

A preference pair is a verse in the World English Bible (chosen) and in the King James Version (rejected); whether a policy has learned it
can be checked without any model, by counting archaic words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from isinglass.core.errors import DataError
from isinglass.core.runtime import derive_seed
from isinglass.data.records import Record
from isinglass.data.sources import read
from isinglass.generation.lm import LM, create
from isinglass.show.figure import Figure
from isinglass.show.table import Table
from isinglass.text.training import train_tokenizer
from isinglass.training.divergence import k1, k3
from isinglass.training.events import Finished, TrainEvent
from isinglass.training.log_probs import token_log_probs
from isinglass.training.loop import training
from isinglass.training.objective import Objective
from isinglass.training.objectives import dpo, ppo, reward
from isinglass.training.padding import padded
from isinglass.training.preferences import response_targets
from isinglass.training.prompting import Prompting
from isinglass.training.rewards import Judge, model_judge
from isinglass.training.rollout import Response, respond
from isinglass.training.run import Run, loss_curves

PROMPT = "{reference}\n"
FIELDS: dict[str, Any] = {"prompt": PROMPT, "chosen": "web", "rejected": "kjv", "template": "plain"}
# second persons, verbs in -eth, and words that only the older translation has; names such as Nazareth begin with a capital letter
ARCHAIC = re.compile(r"\b(?:[Tt]h(?:ou|ee|y|ine)|[Yy]e|[Hh]a(?:th|st)|[Dd]o(?:th|st)|[Ss]halt|[Ww]ilt|[Uu]nto|(?!teeth)[a-z]+eth)\b")
QUOTES = re.compile("[\"'`\u2018\u2019\u201c\u201d]")  # apostrophes among them, which the translations write differently


@dataclass(frozen=True)
class Effort:
    """Steps of each stage, examples per step, the longest response in tokens, and how many held-out verses are compared."""

    supervised: int = 800
    reward: int = 120
    dpo: int = 100
    ppo: int = 60
    batch_size: int = 16
    max_tokens: int = 40
    verses: int = 100


@dataclass(frozen=True)
class Begun:
    """A stage begins."""

    stage: str


@dataclass(frozen=True)
class Aligned:
    """The comparison of all policies, some verses side by side, the curves of each stage, and the stages' runs."""

    table: Table
    verses: Table
    figures: Mapping[str, Figure]
    runs: Mapping[str, Run] = field(repr=False)


def short_verses(longest: int = 110) -> list[Record]:
    """The aligned verses of at most so many characters in both translations whose words differ.

    Quotation marks are left out: only the newer translation has them, and a reward model that sees them looks at nothing else.
    """
    verses = [Record({name: QUOTES.sub("", text) for name, text in record.fields.items()}, record.place) for record in read("kjv-web")]
    return [verse for verse in verses if max(len(verse["kjv"]), len(verse["web"])) <= longest and verse["kjv"] != verse["web"]]


def beginner(verses: Sequence[Record], *, model: str = "tiny(d_model=128, n_layers=3, context_length=96)", vocab_size: int = 1024) -> LM:
    """A small model with fresh weights, and a vocabulary learned from the verses, with an end token."""
    texts = (text for record in verses for text in (record["kjv"], record["web"]))
    return create(model, tokenizer=train_tokenizer("bpe", texts, vocab_size=vocab_size, special=("<|endoftext|>",)))


def archaic_words(text: str) -> int:
    """How many words of a text are of the older English.

    >>> archaic_words("Thou hast put gladness in my heart; he that believeth in Nazareth saw their teeth")
    3
    """
    return len(ARCHAIC.findall(text))


def alignment(lm: LM, verses: Sequence[Record], effort: Effort = Effort(), *, seed: int = 0) -> Aligned:
    """All stages; `lm` is what they begin with."""
    for event in aligning(lm, verses, effort, seed=seed):
        if isinstance(event, Aligned):
            return event
    raise AssertionError("aligning always ends with Aligned")


def aligning(
    lm: LM, verses: Sequence[Record], effort: Effort = Effort(), *, seed: int = 0
) -> Iterator[Begun | TrainEvent | Aligned]:  # fmt: skip
    """The same as an iterator: the beginning of each stage, the events of its training, and the result.

    Every so manyth verse is held out from all stages. Raises DataError for fewer verses than are to be compared.
    """
    if len(verses) < 2 * effort.verses:
        raise DataError(f"{len(verses):,} verses, {effort.verses} of them to be compared: expected at least {2 * effort.verses:,}")
    held_out = verses[:: len(verses) // effort.verses][: effort.verses]
    apart = {record.place for record in held_out}
    learned = [record for record in verses if record.place not in apart]
    both = [PROMPT.format(reference=record["reference"]) + record[name] for record in learned for name in ("kjv", "web")]
    runs: dict[str, Run] = {}

    def stage(
        name: str, start: LM, data: Sequence[Record | str], goal: str | Objective, steps: int, rate: float
    ) -> Iterator[Begun | TrainEvent]:
        yield Begun(name)
        config = {"batch_size": effort.batch_size, "optimizer": f"adamw(lr={rate})", "validation": 0, "evaluate_every": steps}
        for event in training(start, data, objective=goal, steps=steps, seed=seed, config=config):
            yield event
            if isinstance(event, Finished):
                runs[name] = event.run

    yield from stage("supervised", lm, both, "causal_lm(documents='apart')", effort.supervised, 0.003)
    start = runs["supervised"].lm
    yield from stage("reward", start, learned, reward.build(**FIELDS), effort.reward, 0.0005)
    yield from stage("dpo", start, learned, dpo.build(**FIELDS), effort.dpo, 0.0001)
    judge = model_judge(runs["reward"].lm, Prompting(PROMPT, "plain"))
    goal = ppo.build(judge, max_tokens=effort.max_tokens, kl=0.2, prompt=PROMPT, template="plain")
    yield from stage("ppo", start, learned, goal, effort.ppo, 0.0003)
    policies = {name: runs[name].lm for name in ("supervised", "dpo", "ppo")}
    yield Begun("comparison")
    curves = {name: loss_curves({name: run.rows}, title=f"{name}: loss while training") for name, run in runs.items()}
    written = {name: written_by(policy, held_out, effort.max_tokens, seed) for name, policy in policies.items()}
    yield Aligned(comparison(policies, written, judge, held_out), side_by_side(written, held_out), curves, runs)


def written_by(policy: LM, verses: Sequence[Record], max_tokens: int, seed: int) -> list[Response]:
    """A response of the policy to each reference; every policy gets the same seeds."""
    seeds = [derive_seed(seed, "compared", record.place) for record in verses]
    return respond(policy, [_prompt(policy, record) for record in verses], seeds, max_tokens)


def comparison(policies: Mapping[str, LM], written: Mapping[str, Sequence[Response]], judge: Judge, verses: Sequence[Record]) -> Table:
    """One row per policy, and one for each translation: reward, distance from the first policy, wins against it, archaic words."""
    asked = [PROMPT.format(reference=record["reference"]) for record in verses]
    texts = {name: [response.text for response in responses] for name, responses in written.items()}
    texts |= {f"{name} (translation)": [record[name] for record in verses] for name in ("kjv", "web")}
    scores = {name: torch.tensor(judge.scores(asked, one)) for name, one in texts.items()}
    words = {name: torch.tensor([float(archaic_words(text)) for text in one]) for name, one in texts.items()}
    first = next(iter(policies))
    rows = [
        {
            "policy": name,
            "reward": float(scores[name].mean()),
            **_divergence(policies, name, written, verses),
            "wins by reward": None if name == first else _wins(scores[name], scores[first]),
            "wins by words": None if name == first else _wins(-words[name], -words[first]),
            "archaic words": float(words[name].mean()),
            "words": sum(len(text.split()) for text in texts[name]) / len(verses),
        }
        for name in texts
    ]
    notes = [
        f"{len(verses)} held-out verses, one response each, the same seeds; a tie is half a win against {first}",
        f"KL to {first} in nats per response, over the policy's own responses; k1 may fall below zero by chance, k3 cannot",
        "archaic words and words are per verse; the reward is that of the reward model, which the policies never saw judge these verses",
    ]
    return Table(rows, title="Alignment", units={"wins by reward": "ratio", "wins by words": "ratio"}, notes=notes)


def side_by_side(written: Mapping[str, Sequence[Response]], verses: Sequence[Record], count: int = 6) -> Table:
    """What the policies wrote to the same references."""
    rows = [
        {"reference": record["reference"], **{name: responses[number].text.strip() for name, responses in written.items()}}
        for number, record in enumerate(verses[:count])
    ]
    return Table(rows, title="Verses side by side")


def _divergence(
    policies: Mapping[str, LM], name: str, written: Mapping[str, Sequence[Response]], verses: Sequence[Record]
) -> dict[str, float | None]:
    """Both estimates per response, where the text is a policy's own."""
    if name not in policies:
        return {"KL (k3)": None, "KL (k1)": None}
    policy, reference = (_log_probs(policies[one], verses, written[name]) for one in (name, next(iter(policies))))
    return {"KL (k3)": float(k3(policy, reference).sum(dim=1).mean()), "KL (k1)": float(k1(policy, reference).sum(dim=1).mean())}


@torch.no_grad()
def _log_probs(policy: LM, verses: Sequence[Record], responses: Sequence[Response]) -> torch.Tensor:
    prompts = [_prompt(policy, record) for record in verses]
    rows = [[*prompt, *response.ids] for prompt, response in zip(prompts, responses, strict=True)]
    ids, slots = padded(rows)
    targets = response_targets(rows, [len(prompt) for prompt in prompts])
    return token_log_probs(policy.decoder, policy.decoder.hidden(ids, slots=slots), targets)


def _prompt(policy: LM, record: Record) -> list[int]:
    return Prompting(PROMPT, "plain").ids(policy.tokenizer, PROMPT.format(reference=record["reference"]))


def _wins(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The share of pairs in which ours is larger, ties as halves."""
    return float(((ours > theirs).float() + 0.5 * (ours == theirs).float()).mean())
