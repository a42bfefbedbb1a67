"""Attribution against closed forms and its own identities."""

from __future__ import annotations

import pytest
import torch

import isinglass as ig
from helpers.kinds import KINDS, lively
from isinglass.core.errors import EngineError
from isinglass.inspection.attribution import attribute
from isinglass.inspection.gradients import gradients
from isinglass.inspection.question import question
from isinglass.inspection.reading import reading
from isinglass.inspection.trace import trace

TEXT, BASELINE = [10, 30, 20, 40, 12], [10, 31, 20, 44, 12]


@pytest.mark.parametrize("name", ["gpt2", "llama with grouped heads", "bert"])
def test_integrated_gradients_sum_to_the_difference(name: str) -> None:
    lm = KINDS[name]()
    found = attribute(lm, TEXT, answer=7, other=9, at=3, baseline=BASELINE)
    logits = [trace(lm, text).logits[0, 3] for text in (TEXT, BASELINE)]
    values = [float(each[7] - each[9]) for each in logits]
    assert found.value == pytest.approx(values[0], abs=1e-5) and found.baseline == pytest.approx(values[1], abs=1e-5)
    assert float(found.scores.sum()) == pytest.approx(values[0] - values[1], abs=1e-4)
    assert found.error == pytest.approx(0.0, abs=1e-4)
    same = [place for place, (a, b) in enumerate(zip(TEXT, BASELINE, strict=True)) if a == b]
    assert torch.equal(found.scores[same], torch.zeros(len(same), dtype=torch.float64))  # tokens that do not change have no share


def test_from_zero_too() -> None:
    found = attribute(KINDS["gpt2"](), TEXT, answer=7, steps=64)
    assert found.error == pytest.approx(0.0, abs=1e-4)
    assert "embeddings of zero" in str(found) and "sum of the shares" in str(found)


def test_more_steps_bring_the_error_down_and_a_large_one_is_told() -> None:
    lm = KINDS["llama with grouped heads"]()
    few, many = (attribute(lm, TEXT, answer=7, other=9, baseline=BASELINE, steps=steps) for steps in (1, 32))
    assert abs(many.error or 0) < abs(few.error or 0) / 10
    assert "the error is above 5 %" in str(few) and "the error is above 5 %" not in str(many)


def test_gradients_are_slopes() -> None:
    """Against differences of two passes."""
    lm = KINDS["llama with grouped heads"]()
    given = reading(lm, TEXT)
    asked = question(given, 7, 9)
    name = "layers.1.resid_pre"
    value, found = gradients(given, asked, [name])
    at, slope = found[name]
    step = torch.randn(at.shape, generator=torch.Generator().manual_seed(0)) * 1e-2
    ends = [float(asked.value(trace(lm, TEXT).edit(name, add=sign * step).logits[0, -1])) for sign in (1, -1)]
    assert float((slope * step).sum()) == pytest.approx((ends[0] - ends[1]) / 2, rel=2e-2)
    assert float(value) == pytest.approx(float(asked.value(trace(lm, TEXT).logits[0, -1])), abs=1e-6)


def test_gradient_times_input_is_its_product() -> None:
    lm = KINDS["gpt2"]()
    found = attribute(lm, TEXT, answer=7, method="gradient")
    embed = trace(lm, TEXT)["embed"].clone()
    moved = [float(trace(lm, TEXT).edit("embed", position=1, add=sign * 1e-3 * embed[0, 1]).logits[0, -1, 7]) for sign in (1, -1)]
    assert float(found.scores[1]) == pytest.approx((moved[0] - moved[1]) / 2e-3, rel=2e-2, abs=1e-3)
    assert found.error is None and found.data["completeness_error"] is None and "gradient x input" in str(found)


def test_of_an_encoder_decoder_the_tokens_that_are_read() -> None:
    found = attribute(KINDS["t5"](), TEXT, target=[3, 4], answer=7, other=9, baseline=BASELINE)
    assert len(found.scores) == len(TEXT) and bool(found.scores.isfinite().all())


def test_threads_do_not_disturb_each_other() -> None:
    from concurrent.futures import ThreadPoolExecutor

    lm = KINDS["gpt2"]()
    alone = [attribute(lm, text, answer=7, baseline=BASELINE, steps=4).scores for text in (TEXT, [10, 33, 21, 45, 12])]
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda n: attribute(lm, (TEXT, [10, 33, 21, 45, 12])[n % 2], answer=7, baseline=BASELINE, steps=4), range(8)))
    for number, run in enumerate(runs):
        torch.testing.assert_close(run.scores, alone[number % 2], atol=1e-6, rtol=1e-5)
    assert not any(weight.requires_grad for weight in lm.model.parameters())


def test_it_shows_both_signs_and_saves(tmp_path) -> None:
    found = attribute(lively(ig.create("tiny")), "abc", answer="x", command="isinglass inspect attribute ...")
    text = str(found)
    assert "Which tokens make the logit of 'x'" in text and "raises it: 3 tokens" in text and "lowers it: 3 tokens" in text
    assert [row["id"] for row in found.data["tokens"]] == [97, 98, 99]
    for suffix in ("html", "json", "csv", "svg"):
        assert found.save(tmp_path / f"a.{suffix}").stat().st_size > 50


def test_bad_input() -> None:
    lm = KINDS["gpt2"]()
    with pytest.raises(EngineError, match="steps = 0, expected at least 1"):
        attribute(lm, TEXT, steps=0)
    with pytest.raises(EngineError, match="unknown method 'lime'"):
        attribute(lm, TEXT, method="lime")  # type: ignore[arg-type]
    with pytest.raises(EngineError, match=r"the text has 5 tokens, the baseline 2: expected as many in both\n +text +baseline"):
        attribute(lm, TEXT, baseline=[1, 2])
    with pytest.raises(EngineError, match=r"unknown tap 'layers\.9\.resid_pre'"):
        given = reading(lm, TEXT)
        gradients(given, question(given, 7), ["layers.9.resid_pre"])
    with pytest.raises(EngineError, match="2 texts were given, expected one"):
        question(reading(lm, [TEXT, TEXT]), 7)
