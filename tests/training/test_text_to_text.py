"""Text to text: transformers' loss, padding that changes nothing, and pairs that cannot be used."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import isinglass as ig
from isinglass.core.errors import ConfigError, DataError, VariantError
from isinglass.data.records import Record
from isinglass.generation.rewriting import rewrite
from isinglass.nn.loss import IGNORED
from isinglass.training.config import TrainConfig
from isinglass.training.loop import train
from isinglass.training.objectives.text_to_text import TextToText, build
from models.theirs import make, save

WORDS = ["red", "blue", "green", "dog", "cat", "hen", "sea", "lake", "hill"]
PAIRS = [(f"{a} {b} {c}", f"{c} {b} {a}") for a in WORDS for b in WORDS for c in WORDS[:3]]


def fresh(**settings: Any) -> ig.generation.lm.LM:
    tok = ig.train_tokenizer("word", [" ".join(WORDS)], special=["<pad>", "</s>", "<unk>"])
    values = {"n_layers": 1, "d_model": 32, "n_heads": 4, "d_head": 8, "d_ff": 48, "context_length": 16, **settings}
    return ig.create(f"t5({', '.join(f'{name}={value!r}' for name, value in values.items())})", tokenizer=tok, seed=1)


def records(pairs: list[tuple[str, str]] = PAIRS) -> list[Record]:
    return [Record({"source": one, "target": other}, f"pairs.csv:{line}") for line, (one, other) in enumerate(pairs, start=2)]


def goal(**settings: Any) -> TextToText:
    found = build(**settings)
    assert isinstance(found, TextToText)
    return found


def test_the_loss_is_that_of_transformers(tmp_path):
    theirs = make("T5ForConditionalGeneration", decoder_start_token_id=0).eval()
    lm = ig.load(save(theirs, tmp_path))
    model = goal().trainee(lm, 0).eval()
    read, written = torch.randint(3, 200, (2, 7)), torch.randint(3, 200, (2, 5))
    labels = written.clone()
    labels[1, 3:] = -100
    from isinglass.training.two_sides import TwoSides

    batch = TwoSides.of(read.tolist(), [written[0].tolist(), written[1, :3].tolist()], 0)
    ours = goal().loss(model, batch).total / batch.n_targets
    assert torch.allclose(ours, theirs(input_ids=read, labels=labels).loss, atol=1e-5)


def test_padding_changes_nothing():
    lm, objective = fresh(), goal()
    examples = objective.examples(lm, records([("red dog", "dog"), ("blue cat sea lake", "lake sea cat blue")]), 16)
    model = objective.trainee(lm, 0).eval()
    together = objective.loss(model, objective.collate(examples, [0, 0])).total
    apart = sum(objective.loss(model, objective.collate([one], [0])).total for one in examples)
    batch = objective.collate(examples, [0, 0])
    assert torch.allclose(together, apart, atol=1e-4)
    assert batch.n_targets == sum(len(one.written) for one in examples) and (batch.targets == IGNORED).any()
    assert (
        list(objective.lengths(examples)) == [len(one) for one in examples] == [objective.collate([one], [0]).n_tokens for one in examples]
    )


def test_it_learns_to_turn_words_around_and_writes_them():
    config = TrainConfig(steps=300, batch_size=32, optimizer="muon(lr=0.01)", evaluate_every=300, context_length=16)
    run = train(fresh(), records(), objective="text_to_text", config=config)
    found = rewrite(run.lm, ["sea dog red", "hen blue green"])
    assert [one.text.strip() for one in found] == ["red dog sea", "green blue hen"]
    assert all(one.finish == "end" for one in found)


def test_pairs_that_cannot_be_used():
    lm = fresh()
    with pytest.raises(DataError, match=r"^pairs.csv:2: no field 'kjv'"):
        goal(source="kjv").examples(lm, records(), 16)
    with pytest.raises(DataError, match=r"^pairs.csv:3: field 'target' is empty"):
        goal().examples(lm, records([("red", "dog"), ("red", "")]), 16)
    with pytest.raises(DataError, match=r"pairs.csv:2: 5 tokens, beyond the context of 3; 1 of 2 are\nhint: a longer context_length"):
        goal().examples(lm, records([("red dog sea hen", "dog"), ("red", "dog")]), 3)
    assert len(goal(too_long="dropped").examples(lm, records([("red dog sea hen", "dog"), ("red", "dog")]), 3)) == 1
    with pytest.raises(DataError, match="beyond the context"):
        goal(too_long="dropped").examples(lm, records([("red dog sea hen", "dog")]), 3)


def test_models_and_settings_that_cannot_be():
    with pytest.raises(ConfigError, match=r"text_to_text trains an encoder-decoder.*of the kind decoder"):
        goal().trainee(ig.create("tiny"), 0)
    with pytest.raises(VariantError, match="source and target are both 'text'"):
        build(source="text", target="text")
    with pytest.raises(VariantError, match="too_long = 'cut'"):
        build(too_long="cut")
    tok = ig.train_tokenizer("word", [" ".join(WORDS)], special=["<pad>"])
    lm = ig.create("t5(n_layers=1, d_model=32, n_heads=4, d_head=8, d_ff=48)", tokenizer=tok)
    with pytest.raises(ConfigError, match="no token that ends a text"):
        goal().examples(lm, records(), 16)
    assert isinstance(goal().trainee(fresh(), 0), nn.Module)
