"""Two models on one text: what is aligned, what is compared, and that a model equals itself."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

import isinglass as ig
from helpers.kinds import KINDS
from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.alignment import aligned
from isinglass.inspection.compare import compare
from isinglass.inspection.compare_measures import cka
from isinglass.inspection.surprisal import surprisal
from isinglass.metrics.divergence import jensen_shannon
from isinglass.metrics.similarity import unbiased_cka
from isinglass.models.adapted import adapt
from isinglass.text.tokenizer import Token, Tokenizer

NAMES = ("gpt2", "bert-base-uncased", "t5", "smollm2")


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Tokenizer]:
    return {name: ig.tokenizer(name) for name in NAMES}


# Alignment ------------------------------------------------------------------------------------------------------------


@given(st.text(st.sampled_from("ab Zé😀́ \n'9.ﬁ") | st.characters(codec="utf-8"), min_size=1, max_size=24))
def test_spans_cut_no_token_and_lose_none(tokenizers: dict[str, Tokenizer], text: str) -> None:
    for one, other in (("gpt2", "bert-base-uncased"), ("t5", "smollm2"), ("gpt2", "t5")):
        sides = [tokenizers[name].tokens(text, add_special=True) for name in (one, other)]
        try:
            spans = aligned(text, *sides)
        except EngineError:
            assert not all(any(token.end > token.start for token in tokens) for tokens in sides)
            continue
        assert spans[0].start == 0
        assert spans[-1].end == len(text)
        for before, after in pairwise(spans):
            assert (before.end, before.a.stop, before.b.stop) == (after.start, after.a.start, after.b.start)
        for numbers, tokens in (([span.a for span in spans], sides[0]), ([span.b for span in spans], sides[1])):
            for span, own in zip(spans, numbers, strict=True):
                assert len(own) > 0
                assert all(span.start <= tokens[at].start and tokens[at].end <= span.end for at in own)
            covering = [at for at, token in enumerate(tokens) if token.end > token.start]
            assert numbers[0].start == 0
            assert numbers[-1].stop == covering[-1] + 1


def test_spans_by_hand(tokenizers: dict[str, Tokenizer]) -> None:
    text = "The 12345 naïve"
    spans = aligned(text, tokenizers["gpt2"].tokens(text), tokenizers["smollm2"].tokens(text))
    assert [text[span.start : span.end] for span in spans] == ["The", " 123", "45", " naïve"]  # smollm2 cuts numbers into digits
    assert [(len(span.a), len(span.b)) for span in spans][1:3] == [(1, 4), (1, 2)]


def test_added_tokens_belong_to_what_follows_them() -> None:
    with_start = [Token(9, "[CLS]", 0, 0), Token(1, "ab", 0, 2), Token(2, "c", 2, 3), Token(8, "[SEP]", 3, 3)]
    spans = aligned("abc", with_start, [Token(1, "ab", 0, 2), Token(2, "c", 2, 3)])
    assert [(span.a, span.b) for span in spans] == [(range(2), range(1)), (range(2, 3), range(1, 2))]


def test_blanks_that_one_side_drops_go_with_what_follows(tokenizers: dict[str, Tokenizer]) -> None:
    text = "hello  world "
    spans = aligned(text, tokenizers["gpt2"].tokens(text), tokenizers["bert-base-uncased"].tokens(text))
    assert [text[span.start : span.end] for span in spans] == ["hello", "  world "]


def test_a_text_that_one_side_does_not_read(tokenizers: dict[str, Tokenizer]) -> None:
    with pytest.raises(EngineError, match="the text '   ' gives no tokens to compare: one of the two models reads nothing in it"):
        aligned("   ", tokenizers["gpt2"].tokens("   "), tokenizers["bert-base-uncased"].tokens("   "))


# Measures -------------------------------------------------------------------------------------------------------------


def test_jensen_shannon_is_scipys() -> None:
    generator = np.random.default_rng(0)
    for _ in range(5):
        p, q = generator.dirichlet(np.ones(9)), generator.dirichlet(np.full(9, 0.1))
        assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q) ** 2)
    assert jensen_shannon([0.5, 0.5, 0], [0, 0, 1]) == pytest.approx(math.log(2))


def test_cka_is_of_each_layer_with_each() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 12, 5)), generator.normal(size=(3, 12, 7))
    turn, _ = np.linalg.qr(generator.normal(size=(5, 5)))
    y[2, :, :5], y[2, :, 5:] = 3 * x[1] @ turn + 1, 0
    found = cka(torch.tensor(x), torch.tensor(y))
    assert found.shape == (2, 3)
    assert found[1, 2] == pytest.approx(1)
    assert found[0, 1] == pytest.approx(unbiased_cka(x[0], y[1]))
    assert abs(found[0, 2]) < 0.5


# Comparison -----------------------------------------------------------------------------------------------------------


def test_a_model_with_itself_is_identical(tiny_lm: LM) -> None:
    found = compare(tiny_lm, tiny_lm, "abcdef gh")
    assert found.next is not None
    assert found.next.divergence == 0
    assert found.bits_per_byte[0] == found.bits_per_byte[1]
    assert all(a == b for a, b in found.surprisal)
    np.testing.assert_allclose(np.diag(found.cka), 1)
    np.testing.assert_allclose(np.diag(found.cosine), 1)
    assert found.a.entropy == found.b.entropy
    assert [row["probability A"] for row in found.predictions.rows] == [row["probability B"] for row in found.predictions.rows]


def test_real_models_with_different_vocabularies(smollm2: LM) -> None:
    text = "The capital of France is naïve 12345"
    other = ig.create("gpt2(n_layers=2, d_model=32, n_heads=4)", tokenizer="gpt2")
    found = compare(smollm2, other, text)
    assert found.next is not None
    # the common strings counted anew, from the pieces that vocabulary files write
    pieces = [
        {lm.tokenizer.piece(id) for id in lm.tokenizer.algorithm.vocab.values() if id not in lm.tokenizer.special.values()}
        for lm in (smollm2, other)
    ]
    assert len(found.next.common) == len(pieces[0] & pieces[1])
    share = float(found.a.next[[id for id in range(49_152) if smollm2.tokenizer.piece(id) in pieces[1]]].sum())
    assert found.next.comparable[0] == pytest.approx(share, abs=0.01)
    assert 0.1 < found.next.divergence < math.log(2)
    assert found.cosine is None  # 576 features against 32
    assert found.cka.shape == (30, 2)
    # surprisal of all but the first span, per byte of them, is what the surprisal of the whole text says
    whole = surprisal(smollm2, text)
    assert sum(a for a, _ in found.surprisal[1:]) == pytest.approx(whole.total, rel=1e-6)
    assert found.bits_per_byte[0] == pytest.approx(whole.total / math.log(2) / len(text[3:].encode()), rel=1e-6)
    assert any(note.startswith("bits per byte: of all spans but the first, 'The'") for note in found.summary.notes)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_beside_a_decoder(kind: str) -> None:
    lm = KINDS[kind]()
    found = compare(lm, KINDS["gpt2"](), "abc def gh xy abc")
    predicts = kind != "bert"
    assert (found.next is not None) == predicts
    assert (found.bits_per_byte[0] is not None) == (kind not in ("bert", "t5"))
    assert found.cka.shape == (2, 2)
    assert all(0 <= value <= 1 + 1e-9 for side in found.sides for value in side.entropy)
    assert len(found.parts) >= 5
    assert str(found)
    if not predicts:
        assert "next token: not both models predict one (an encoder does not), so there is nothing to compare" in found.summary.notes


def test_an_encoder_shows_its_special_tokens() -> None:
    found = compare(ig.load("minilm"), KINDS["gpt2"](), "Hello world")
    assert found.strips.strips[0].pieces == ("[CLS]", "hello", "world", "[SEP]")
    assert found.aligned.rows[0]["tokens A"] == "[CLS] | hello"


def test_a_fresh_adapter_changes_nothing() -> None:
    lm = KINDS["llama with grouped heads"]()
    found = compare(lm, replace(lm, model=adapt(lm.model, "lora(rank=2)")), "abcdef")
    assert found.next.divergence == 0


def test_even_attention_has_the_largest_entropy() -> None:
    lm = ig.create("gpt2(n_layers=1, d_model=32, n_heads=4, context_length=64)")
    with torch.no_grad():
        lm.model.layers[0].attention.q_proj.weight.zero_()
        lm.model.layers[0].attention.q_proj.bias.zero_()
    assert compare(lm, lm, "abcdef").a.entropy == pytest.approx([1.0])


def test_a_short_text_has_no_similarity(tiny_lm: LM) -> None:
    found = compare(tiny_lm, tiny_lm, "abc")
    assert found.cka is None
    assert "similarity of layers: needs at least 4 spans, this text has 3" in found.summary.notes


def test_what_cannot_be_compared(tiny_lm: LM) -> None:
    with pytest.raises(EngineError, match="prompt 0 is empty"):
        compare(tiny_lm, tiny_lm, "")
    with pytest.raises(EngineError, match="the model's context holds 64"):
        compare(tiny_lm, KINDS["gpt2"](), "a" * 65)
    with pytest.raises(EngineError, match="top = 0, expected at least 1"):
        compare(tiny_lm, tiny_lm, "abc", top=0)
    letters = ig.create("tiny", tokenizer=ig.train_tokenizer("character", ["ab"], vocab_size=3))
    digits = ig.create("tiny", tokenizer=ig.train_tokenizer("character", ["12"], vocab_size=3))
    with pytest.raises(EngineError, match="the vocabularies of A: created and B: created have no token in common"):
        compare(letters, digits, "ab12")


def test_what_a_comparison_saves(tmp_path, tiny_lm: LM) -> None:
    found = compare(tiny_lm, KINDS["bert"](), "abcdef", command="isinglass inspect compare a b abcdef")
    for suffix in ("html", "svg", "json", "csv", "md", "txt"):
        assert found.save(tmp_path / f"found.{suffix}").stat().st_size > 100
    assert "isinglass inspect compare a b abcdef" in found.strips.to_html()
