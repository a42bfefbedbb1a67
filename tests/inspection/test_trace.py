"""Traces: what they keep, of every kind of model, without changing anything."""

from __future__ import annotations

import pytest
import torch

import isinglass as ig
from helpers.kinds import KINDS, TEXTS
from isinglass.core.errors import ConfigError, EngineError
from isinglass.generation.lm import LM


@pytest.fixture(scope="module", params=KINDS)
def lm(request: pytest.FixtureRequest) -> LM:
    return KINDS[request.param]()


def test_looking_changes_nothing(lm: LM) -> None:
    plain = ig.trace(lm, TEXTS)
    seen = ig.trace(lm, TEXTS, taps=["*resid_*", "*attention.z", "*attention.q", "*mlp.*"])
    assert torch.equal(plain.logits, seen.logits)  # to the last bit: only scores and weights call for another kernel
    torch.testing.assert_close(ig.trace(lm, TEXTS, taps=["*attention.weights"]).logits, plain.logits, atol=1e-5, rtol=1e-5)


def test_what_is_asked_for_later_is_the_same(lm: LM) -> None:
    name = lm_tap(lm, "attention.z")
    assert torch.equal(ig.trace(lm, TEXTS)[name], ig.trace(lm, TEXTS, taps=[name])[name])


def test_batch_mates_and_padding_change_nothing(lm: LM) -> None:
    name, together = lm_tap(lm, "resid_post"), ig.trace(lm, TEXTS)
    for row, text in enumerate(TEXTS):
        alone = ig.trace(lm, text)
        length = alone[name].shape[1]
        torch.testing.assert_close(together[name][row, -length:], alone[name][0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together.attention_weights(row), alone.attention_weights(), atol=1e-5, rtol=1e-5)


def test_rows_of_attention_sum_to_one(lm: LM) -> None:
    weights = ig.trace(lm, TEXTS[0]).attention_weights()
    torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
    if ig.trace(lm, TEXTS[0]).reading.attention().causal:
        assert not weights.triu(1).any()


def lm_tap(lm: LM, what: str) -> str:
    return f"{'encoder.' if lm.config.architecture == 'encoder_decoder' else ''}layers.1.{what}"


def test_an_encoder_decoder_has_three_attentions() -> None:
    seen = ig.trace(KINDS["t5"](), TEXTS, target=["de", "fgh abc"])
    read, written = (seen.reading.source.lengths, seen.rows.lengths)
    for row in range(2):
        assert seen.attention_weights(row, "encoder").shape == (2, 4, read[row], read[row])
        assert seen.attention_weights(row, "decoder").shape == (2, 4, written[row], written[row])
        crossed = seen.attention_weights(row, "cross")
        assert crossed.shape == (2, 4, written[row], read[row])
        torch.testing.assert_close(crossed.sum(-1), torch.ones(crossed.shape[:-1]))
    assert torch.equal(seen.attention_weights(1), seen.attention_weights(1, "decoder"))


def test_the_exact_tokens_are_shown(minilm: LM) -> None:
    assert ig.trace(minilm, "Hello world").tokens == [["[CLS]", "hello", "world", "[SEP]"]]
    seen = ig.trace(KINDS["t5"](), "abc", target="de")
    assert seen.tokens[0][0] == "<pad>"
    assert seen.lm.tokenizer.decode(seen.ids[0][1:]) == "de"


def test_grouped_heads_know_their_key_value_head() -> None:
    assert ig.trace(KINDS["llama with grouped heads"](), "abc").reading.attention().kv_head_of == [0, 0, 1, 1]


@pytest.fixture(scope="module")
def minilm() -> LM:
    return ig.load("minilm")


def test_a_model_without_logits_says_what_it_has(minilm: LM) -> None:
    seen = ig.trace(minilm, "Hello world")
    assert seen["layers.5.resid_post"].shape == (1, 4, 384) and seen["heads.pooling"].shape == (1, 384)
    with pytest.raises(EngineError) as caught:
        seen.next_tokens()
    assert str(caught.value).splitlines() == [
        "minilm makes no logits over its vocabulary",
        "  it has heads.pooling, heads.pooler",
        'hint: look at hidden states: trace["layers.0.resid_post"]',
    ]


def test_bad_input() -> None:
    gpt2 = KINDS["gpt2"]()
    cases = {
        lambda: ig.trace(gpt2, ""): "prompt 0 is empty",
        lambda: ig.trace(gpt2, "a" * 65): "prompt 0 has 65 tokens; the model's context holds 64",
        lambda: ig.trace(gpt2, "abc", taps=["layers.0.attention.y"]): "unknown tap 'layers.0.attention.y'",
        lambda: ig.trace(gpt2, "abc")["layers.2.resid_post"]: "unknown tap 'layers.2.resid_post'",
        lambda: ig.trace(gpt2, "abc", target="d"): "target was given, but this model writes no second text",
        lambda: ig.trace(gpt2, "abc").attention_weights(which="cross"): "unknown kind of attention 'cross'",
        lambda: ig.trace(KINDS["t5"](), ["a", "b"], target=["a"]): "2 texts and 1 targets were given, expected one target for each text",
        lambda: ig.trace(
            ig.create("hierarchical(n_layers=1, d_model=32, n_heads=4)"), "abc"
        ): "reads documents of sentences, which cannot be traced",
    }
    for case, words in cases.items():
        with pytest.raises(EngineError) as caught:
            case()
        assert words in str(caught.value)


def test_a_vocabulary_without_a_start_says_so() -> None:
    with pytest.raises(ConfigError, match="has no token for the decoder to begin with"):
        ig.trace(ig.create("t5(n_layers=1, d_model=32, n_heads=4, d_head=8, d_ff=48)"), "abc")
