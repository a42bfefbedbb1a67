"""Next tokens of every kind of model, several texts at once, and the same logits under other normalisations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

import isinglass as ig
from helpers.kinds import KINDS, TEXTS
from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.normalizations import NORMALIZATIONS, normalized, sparsemax
from isinglass.inspection.predict import normalize, predict

LOGITS = st.lists(st.floats(-8, 8, allow_subnormal=False), min_size=1, max_size=40).map(lambda row: torch.tensor(row, dtype=torch.float64))


@pytest.fixture(scope="module")
def gpt2() -> LM:
    return KINDS["gpt2"]()


# Several texts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gpt2", "llama with grouped heads", "lora"])
def test_each_text_of_a_batch_is_as_alone(kind):
    lm = KINDS[kind]()
    together = predict(lm, TEXTS, top=5, temperatures=(0.1, 1.0))
    for number, text in enumerate(TEXTS):
        alone = predict(lm, text, top=5, temperatures=(0.1, 1.0)).each[0]
        for one, other in zip(together.each[number].table.rows, alone.table.rows, strict=True):
            assert (one["id"], one["rank"], one["temperature"]) == (other["id"], other["rank"], other["temperature"])
            assert one["probability"] == pytest.approx(other["probability"], rel=1e-4)
    assert [row["prompt"] for row in together.table.rows] == [text for text in TEXTS for _ in range(10)]


def test_probabilities_are_over_the_whole_vocabulary(gpt2):
    """At a high temperature those shown sum to far less than 1: they are not conditional on being shown."""
    found = predict(gpt2, "abc", top=50, temperatures=(0.1, 10.0))
    logits = ig.trace(gpt2, "abc").logits[0, -1].double()
    for t in (0.1, 10.0):
        shares = torch.tensor([row["probability"] for row in found.table.rows if row["temperature"] == t], dtype=torch.float64)
        expected = (logits / t).exp() / (logits / t).exp().sum()
        torch.testing.assert_close(shares, expected.sort(descending=True).values[:50])
        assert found.each[0].entropy[t] == pytest.approx(float(-(expected * expected.log()).sum()))
    assert float(shares.sum()) < 0.5


def test_an_encoder_answers_at_its_mask():
    text = ig.train_tokenizer("bpe", ["abc def gh xy " * 20], vocab_size=264, special=["[PAD]", "[MASK]"])
    lm = ig.create("bert(n_layers=1, d_model=32, n_heads=4, heads=['masked_lm'])", tokenizer=text)
    ids = text.encode("abc [MASK] gh", special="parse")
    place = ids.index(text.special["[MASK]"])
    found = predict(lm, ids, top=3)
    best = ig.trace(lm, ids).logits[0, place].topk(3).indices.tolist()
    assert [row["id"] for row in found.table.rows] == best
    assert predict(lm, ids, top=3, at=place).table.rows == found.table.rows
    with pytest.raises(EngineError, match="an encoder answers at a mask token, and text 0 has 0 of them"):
        predict(lm, "abc")


def test_an_encoder_decoder_goes_on_with_what_it_has_written():
    lm = KINDS["t5"]()
    found = predict(lm, ["abc def", "xy"], target=["gh", "gh xy"], top=2)
    seen = ig.trace(lm, "xy", target="gh xy")
    assert found.ids[1] == tuple(seen.ids[0])
    assert found.each[1].table.rows[0]["id"] == int(seen.logits[0, -1].argmax())
    assert predict(lm, "abc", top=1).ids[0] == (lm.tokenizer.special["<pad>"],)  # the start alone


def test_the_figure_shows_every_text(gpt2):
    found = predict(gpt2, TEXTS, top=3, temperatures=(1.0, 2.0), command="isinglass inspect predict")
    svg = found.figure.to_svg()
    assert all(text in svg for text in TEXTS) and svg.count('aria-roledescription="bar"') == 2 * 3 * 2
    assert "T = 2" in found.figure.to_terminal(80, color=False)
    assert found.figure.command == "isinglass inspect predict"
    assert [len(one["tokens"]) for one in found.data["prompts"]] == [9, 2]
    assert found.strips.data.rows[0]["token"] == "a"


# Normalisations ---------------------------------------------------------------------------------------------------


@given(LOGITS, st.sampled_from(["softmax", "entmax15", "sparsemax", "argmax"]))
def test_each_is_a_distribution_that_keeps_the_order(logits, name):
    p = NORMALIZATIONS[name](logits)
    assert float(p.sum()) == pytest.approx(1, abs=1e-9) and bool((p >= 0).all())
    order = logits.argsort(descending=True, stable=True)
    assert bool((p[order].diff() <= 1e-12).all())
    shifted = logits + 3
    if name != "argmax" or len(shifted.unique()) == len(logits.unique()):  # logits that rounding makes equal share argmax's one
        torch.testing.assert_close(NORMALIZATIONS[name](shifted), p)  # blind to what is added to all


@given(LOGITS)
def test_sparsemax_is_the_projection_onto_the_simplex(logits):
    """Nearest: p is nearest to z exactly if z - p is the same for all with p > 0, and not more for the others."""
    p = sparsemax(logits)
    slack = (logits - p).numpy()
    threshold = slack[p.numpy() > 0]
    assert np.ptp(threshold) < 1e-9
    assert (slack[p.numpy() == 0] <= threshold[0] + 1e-9).all()


def test_sparsemax_beside_a_solver():
    for seed in range(5):
        z = np.random.default_rng(seed).normal(size=6)
        solved = minimize(
            lambda p, z=z: ((p - z) ** 2).sum(), np.full(6, 1 / 6), jac=lambda p, z=z: 2 * (p - z), method="SLSQP",
            bounds=[(0, 1)] * 6, constraints={"type": "eq", "fun": lambda p: p.sum() - 1, "jac": np.ones_like}, options={"ftol": 1e-14},
        )  # fmt: skip
        np.testing.assert_allclose(sparsemax(torch.from_numpy(z)).numpy(), solved.x, atol=1e-6)


@given(LOGITS)
def test_entmax_beside_bisection(logits):
    half = logits / 2
    low, high = float(half.max()) - 1, float(half.max())
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if float((half - middle).clamp_min(0).pow(2).sum()) > 1 else (low, middle)
    torch.testing.assert_close(NORMALIZATIONS["entmax15"](logits), (half - low).clamp_min(0) ** 2, atol=1e-7, rtol=0)


def test_by_hand():
    z = torch.tensor([2.0, 1.5, -1.0], dtype=torch.float64)
    found = normalized(z, str, "toy", names=list(NORMALIZATIONS), top=2)
    p = {name: row.tolist() for name, row in found.probabilities.items()}
    assert p["sparsemax"] == pytest.approx([0.75, 0.25, 0]) and p["l1"] == pytest.approx([2 / 3.5, 1.5 / 3.5, 0])
    assert p["argmax"] == [1, 0, 0] and p["softmax"] == pytest.approx((z.exp() / z.exp().sum()).tolist())
    assert [found.support(name) for name in ("softmax", "sparsemax", "l1", "argmax")] == [3, 2, 2, 1]
    assert found.entropy("sparsemax") == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert found.entropy("argmax") == 0
    assert found.table.rows[0]["not shown"] == pytest.approx(p["softmax"][2])
    assert [row["group"] for row in found.figure.data.rows[:5]] == list(NORMALIZATIONS)


def test_on_a_model(gpt2):
    found = normalize(gpt2, "abc", names=("softmax", "argmax"), temperature=2.0, top=3)
    logits = ig.trace(gpt2, "abc").logits[0, -1].double()
    torch.testing.assert_close(found.probabilities["softmax"], (logits / 2).softmax(-1))
    assert "logits / 2" in found.figure.title and [one["normalization"] for one in found.data["normalizations"]] == ["softmax", "argmax"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda lm: predict(lm, "abc", at=3), "position 3 does not exist in text 0\n  it has positions 0 to 2"),
        (lambda lm: predict(lm, ""), "prompt 0 is empty"),
        (lambda lm: predict(lm, "a" * 65), "prompt 0 has 65 tokens; the model's context holds 64"),
        (lambda lm: predict(lm, "abc", temperatures=()), "no temperature was given\nhint: 1 is the model's own distribution"),
        (lambda lm: predict(lm, "abc", temperatures=(-1.0,)), "temperature = -1.0, expected a number >= 0"),
        (lambda lm: normalize(lm, "abc", names=["sparsmax"]), "unknown normalization 'sparsmax'"),
        (lambda lm: normalize(lm, "abc", temperature=0), "temperature = 0, expected a number above 0\nhint: argmax is temperature 0"),
        (lambda lm: normalize(lm, "abc", top=0), "top = 0, expected at least 1"),
        (lambda lm: normalized(torch.tensor([-1.0, 0.0]), str, "toy", names=["l1"]), "the normalisation 'l1' needs a logit above 0"),
    ],
)
def test_errors(gpt2, call, words):
    with pytest.raises(EngineError) as caught:
        call(gpt2)
    assert str(caught.value).startswith(words)
