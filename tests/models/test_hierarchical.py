"""Tokens within sentences, sentences within documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import isinglass as ig
from helpers.tensors import Watch, random_ids, randomised
from isinglass.core.errors import ConfigError, EngineError
from isinglass.models.hierarchical import HierarchicalEncoder
from isinglass.models.presets import hierarchical
from isinglass.models.transformer import fresh


def model(**settings: Any) -> HierarchicalEncoder:
    small = dict(n_layers=2, n_sentence_layers=1, d_model=32, n_heads=4, vocab_size=50, context_length=16, n_sentences=8)
    return randomised(fresh(hierarchical.build(**{**small, **settings}), 0)).requires_grad_(False).eval()  # type: ignore[return-value]


def test_a_sentence_is_read_alone_and_a_document_is_not() -> None:
    encoder, ids = model(), random_ids(1, 4, 6)
    other = ids.clone()
    other[0, 2, 1] = (other[0, 2, 1] + 1) % 50
    before, after = encoder(ids), encoder(other)
    same = [torch.equal(before.tokens[0, n], after.tokens[0, n]) for n in range(4)]
    assert same == [True, True, False, True]
    assert (before.sentences - after.sentences).abs().amax(-1).min() > 1e-5
    assert not torch.equal(before.documents, after.documents)


def test_it_is_two_stacks_with_a_mean_between() -> None:
    encoder, ids = model(), random_ids(1, 3, 5)
    from isinglass.nn.attention.slots import Slots

    by_hand = [encoder.tokens(encoder.embed_tokens(ids[0, n][None]), Slots(torch.arange(5)[None]))[0] for n in range(3)]
    vectors = torch.stack([tokens.mean(dim=0) for tokens in by_hand])[None]
    sentences = encoder.sentences(vectors, Slots(torch.arange(3)[None]))
    levels = encoder(ids)
    torch.testing.assert_close(levels.tokens[0], torch.stack(by_hand))
    torch.testing.assert_close(levels.sentences, sentences)
    torch.testing.assert_close(levels.documents, sentences.mean(dim=1))


@pytest.mark.parametrize("pooling", ["mean", "max", "first"])
def test_padding_and_batch_mates_change_nothing(pooling: str) -> None:
    encoder = model(pooling=pooling, position="learned")
    ids = random_ids(2, 5, 7)
    valid = torch.ones(2, 5, 7, dtype=torch.bool)
    valid[1, 3:], valid[1, 0, 4:], valid[1, 2, 2:] = False, False, False
    batch = encoder(ids, valid=valid)
    alone = encoder(ids[1:, :3], valid=valid[1:, :3])
    torch.testing.assert_close(batch.documents[1:], alone.documents, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(batch.sentences[1:, :3], alone.sentences, atol=1e-5, rtol=1e-5)
    one = encoder(ids[1:, 2:3, :2])
    torch.testing.assert_close(batch.tokens[1, 2, :2], one.tokens[0, 0], atol=1e-5, rtol=1e-5)
    assert batch.documents.isfinite().all()


def test_taps_and_the_saved_form(tmp_path: Path) -> None:
    lm = ig.create("hierarchical(n_layers=1, n_sentence_layers=1, d_model=32, n_heads=4)")
    ids, tap = random_ids(1, 2, 3), Watch("tokens.layers.0.attention.weights", "sentences.layers.0.attention.weights", "sentences.norm")
    lm.model(ids, tap=tap)
    shapes = {name: list(value.shape) for name, value in tap.kept.items()}
    assert shapes == {
        "tokens.layers.0.attention.weights": [2, 4, 3, 3],
        "sentences.layers.0.attention.weights": [1, 4, 2, 2],
        "sentences.norm": [1, 2, 32],
    }
    own = ig.load(ig.export(lm, tmp_path, format="isinglass"))
    assert own.config == lm.config
    assert torch.equal(own.model(ids).documents, lm.model(ids).documents)


def test_errors() -> None:
    with pytest.raises(EngineError, match=r"17 tokens in a sentence do not fit the model, which holds 16[\s\S]*hint: split the text"):
        model()(random_ids(1, 2, 17))
    with pytest.raises(EngineError, match="9 sentences do not fit the model, which holds 8"):
        model()(random_ids(1, 9, 3))
    with pytest.raises(ConfigError, match="pooling = 'sum': Input should be 'mean', 'max' or 'first'"):
        model(pooling="sum")
