"""Patching many at a time equals one whole pass for each cell, and keeps the identities of patching."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

import isinglass as ig
from helpers.kinds import KINDS, lively
from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.ablation import ablate, ablating, ablation
from isinglass.inspection.contrast import contrast
from isinglass.inspection.edits import Edit
from isinglass.inspection.patch_maps import BothMaps, PatchMap
from isinglass.inspection.patch_runs import BY_HEAD, BY_POSITION, CROSSING, CROSSING_HEADS
from isinglass.inspection.patching import Plan, by_definition, collected, estimated, patch, patching, plan
from isinglass.inspection.trace import trace
from isinglass.models.adapted import adapt

CLEAN, CORRUPTED = [10, 30, 20, 40, 12, 9, 50], [10, 31, 20, 44, 12, 8, 50]


def created(expression: str, **attention: object) -> Callable[[], LM]:
    return lambda: lively(ig.create(expression, attention=attention))


def with_prefix() -> LM:
    lm = created("tiny", mask="causal & sliding_window(3)")()
    return lively(replace(lm, model=adapt(lm.model, "prefix(length=3)")))


MODELS = {
    **KINDS,
    "sliding windows": created("llama(n_layers=2, d_model=32, n_heads=4, n_kv_heads=2, d_ff=48)", mask="causal & sliding_window(3)"),
    "alibi": created("gpt2(n_layers=2, d_model=32, n_heads=4, context_length=64)", position="alibi"),
    "banded": created("tiny", mask="causal & sliding_window(2)", kernel="banded(block=2)"),
    "linear": created("tiny", kernel="linear"),
    "flash": created("tiny", kernel="flash(tile=2)"),
    "not causal": created("tiny", mask="full"),
    "prefix adapter": with_prefix,
    "experts": created("tiny(feedforward='moe(n_experts=3, top_k=1)')"),
}


def planned(lm: LM, what: str = "resid_pre", direction: str = "denoise", side: str | None = None, **options: object) -> Plan:
    place = {"at": 3} if lm.config.architecture == "encoder" else {}
    asked = {"answer": 7, "other": 9, **place, **options}
    return plan(contrast(lm, CLEAN, CORRUPTED, **asked), what, direction, side)  # type: ignore[arg-type]


def one_by_one(given: Plan) -> torch.Tensor:
    layers, columns = given.shape
    into = given.given
    return torch.tensor([[by_definition(given, into, n, c) for c in range(columns)] for n in range(layers)], dtype=torch.float64)


def places(lm: LM, side: str | None) -> tuple[str, ...]:
    known = (*BY_POSITION, *BY_HEAD, *((*CROSSING, *CROSSING_HEADS) if side == "decoder" else ()))
    return tuple(what for what in known if what != "mlp.pre" or "moe" not in str(lm.config.feedforward))


@pytest.mark.parametrize("name", MODELS)
def test_every_cell_equals_a_whole_pass_with_one_edit(name: str) -> None:
    lm, distinct = MODELS[name](), 0
    for side in ("decoder", "encoder") if name == "t5" else (None,):
        for number, what in enumerate(places(lm, side)):
            given = planned(lm, what, ("denoise", "noise")[number % 2], side, **({"target": [3, 8, 6]} if side else {}))
            expected = one_by_one(given)
            distinct = max(distinct, len(set(expected.flatten().tolist())))
            torch.testing.assert_close(collected(given, patching(given)).values, expected, atol=1e-5, rtol=1e-5)
    assert distinct > 4  # cells differ, so that a wrong order would be seen


@pytest.mark.parametrize("tokens", [1, 9, 10_000])
def test_how_many_go_together_changes_nothing(tokens: int) -> None:
    given = planned(KINDS["llama with grouped heads"](), "attention.z")
    torch.testing.assert_close(collected(given, patching(given, tokens=tokens)).values, one_by_one(given), atol=1e-5, rtol=0)


@pytest.mark.parametrize("metric", ["logit", "probability"])
def test_other_metrics(metric: str) -> None:
    for name in ("gpt2", "bert", "t5", "lora"):
        given = planned(MODELS[name](), "resid_mid", other=None, metric=metric)
        torch.testing.assert_close(collected(given, patching(given)).values, one_by_one(given), atol=1e-5, rtol=1e-5)


def test_an_earlier_position_can_be_asked() -> None:
    given = planned(KINDS["gpt2"](), "mlp.post", at=4)
    torch.testing.assert_close(collected(given, patching(given)).values, one_by_one(given), atol=1e-5, rtol=0)


def test_clean_into_clean_changes_nothing_and_all_of_the_residual_is_the_other_run() -> None:
    for name in ("gpt2", "bert", "llama with grouped heads"):
        lm = MODELS[name]()
        clean, corrupted = trace(lm, CLEAN), trace(lm, CORRUPTED)
        same = clean.edit("layers.1.resid_pre", patch_from=clean)
        assert torch.equal(same.logits, clean.logits)
        moved = corrupted.edit("layers.1.resid_pre", patch_from=clean)
        torch.testing.assert_close(moved.logits, clean.logits, atol=1e-5, rtol=1e-5)
        each = [Edit(name="layers.0.resid_pre", patch_from=clean, position=place) for place in range(len(CLEAN))]
        torch.testing.assert_close(trace(lm, CORRUPTED, edits=each).logits, clean.logits, atol=1e-5, rtol=1e-5)


def test_the_last_residual_at_the_answer_is_the_whole_effect() -> None:
    for direction, whole in (("denoise", 1.0), ("noise", 0.0)):
        given = planned(KINDS["llama with grouped heads"](), "resid_post", direction)
        effects = collected(given, patching(given)).effects
        assert float(effects[-1, -1]) == pytest.approx(whole, abs=1e-5)
        # nothing before the first different token, and of the last block nothing but the answer's place
        assert torch.equal(effects[:, 0], torch.full_like(effects[:, 0], 1 - whole))
        torch.testing.assert_close(effects[-1, :-1], torch.full_like(effects[-1, :-1], 1 - whole), atol=1e-5, rtol=0)


def test_key_and_value_heads_of_grouped_attention_have_their_own_columns() -> None:
    lm = KINDS["llama with grouped heads"]()
    for what, heads in (("attention.k", 2), ("attention.v", 2), ("attention.q", 4), ("attention.z", 4)):
        assert patch(lm, CLEAN, CORRUPTED, answer=7, what=what).effects.shape == (2, heads)  # type: ignore[union-attr]


def test_cells_come_as_they_are_done_and_what_is_done_is_kept() -> None:
    given = planned(KINDS["gpt2"](), "resid_pre")
    events = list(patching(given, tokens=1))
    cells = [(cell.layer, cell.column) for event in events for cell in event.cells]
    assert sorted(cells) == [(n, c) for n in range(2) for c in range(len(CLEAN))]
    assert [event.done for event in events] == [2 * (n + 1) for n in range(len(CLEAN))]
    assert all(event.total == len(cells) for event in events)
    half = collected(given, events[:4])
    assert int(half.values.isnan().sum()) == len(cells) - 8
    assert f"{len(cells) - 8} of {len(cells)} cells are not done" in str(half)
    assert sum(value is None for row in half.data["effects"] for value in row) == len(cells) - 8


def test_nothing_of_the_model_changes_and_it_can_be_used_in_inference_mode() -> None:
    lm = KINDS["gpt2"]()
    before = {name: weight.clone() for name, weight in lm.model.named_parameters()}
    with torch.inference_mode():
        both = patch(lm, CLEAN, CORRUPTED, answer=7, other=9, method="both")
    assert isinstance(both, BothMaps) and bool(both.estimate.values.isfinite().all())
    for name, weight in lm.model.named_parameters():
        assert torch.equal(weight, before[name]) and not weight.requires_grad and weight.grad is None


class Nothing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def linear_lm() -> LM:
    """No norms, no nonlinearity, and attention that looks everywhere alike: every number is linear in every activation but q and k."""
    lm = lively(ig.create("gpt2(n_layers=2, d_model=32, n_heads=4, context_length=64)"))
    with torch.no_grad():
        for layer in lm.decoder.layers:
            layer.attention_norm, layer.mlp_norm = Nothing(), Nothing()
            layer.mlp.activation = Nothing()
            layer.attention.q_proj.weight.zero_()
            layer.attention.q_proj.bias.zero_()
    lm.model.norm = Nothing()
    return lm


def test_attribution_patching_is_exact_where_the_model_is_linear() -> None:
    lm = linear_lm()
    for what in ("resid_pre", "resid_mid", "attention.out", "mlp.post", "attention.z", "attention.v"):
        given = planned(lm, what)
        exact = collected(given, patching(given)).values
        assert float(exact.std()) > 1e-3
        torch.testing.assert_close(estimated(given), exact, atol=2e-4, rtol=1e-4)


def test_the_estimate_at_the_answers_last_residual_is_close_and_shown_beside_the_exact_map() -> None:
    both = patch(KINDS["gpt2"](), CLEAN, CORRUPTED, answer=7, other=9, method="both")
    assert isinstance(both, BothMaps)
    assert -1 <= both.correlation <= 1 and both.largest_difference > 0
    assert "estimated by attribution" in both.parts[1].title
    assert f"correlation {both.correlation:.3f}" in str(both)
    alone = patch(KINDS["gpt2"](), CLEAN, CORRUPTED, answer=7, other=9, method="attribution")
    assert isinstance(alone, PatchMap) and torch.equal(alone.values, both.estimate.values)


def test_a_map_says_what_it_shows(tmp_path) -> None:
    lm = lively(ig.create("tiny"))
    found = patch(lm, "the cat", "the dog", answer="s", other="x", command="isinglass inspect patch ...")
    text = str(found)
    assert "What clean resid_pre does to the corrupted run" in text and "logit of 's' minus that of 'x'" in text
    assert "(effect 0)" in text and "(effect 1)" in text and "scale: effect from -" in text
    assert "4 c / d, 5 a / o, 6 t / g" in text
    assert found.data["columns"] == ["t", "h", "e", " ", "≠d", "≠o", "≠g"]
    for suffix in ("html", "json", "csv", "svg", "txt"):
        assert found.save(tmp_path / f"map.{suffix}").stat().st_size > 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corrupted": CLEAN}, "have the same tokens"),
        ({"what": "resid_pro"}, "unknown place to patch 'resid_pro'"),
        ({"what": "cross_attention.z"}, "unknown place to patch 'cross_attention.z'"),
        ({"direction": "up"}, "unknown direction 'up'"),
        ({"method": "guess"}, "unknown method 'guess'"),
        ({"side": "encoder"}, "side = 'encoder', but this model is one stack"),
        ({"metric": "difference"}, "the metric 'difference' needs the other answer"),
        ({"metric": "logit", "other": 9}, "the metric 'logit' has no other answer, but 9 was given"),
        ({"metric": "rank"}, "unknown metric 'rank'"),
        ({"at": 7}, "position 7 does not exist"),
        ({"at": 0}, "for both texts, so no patch can move it"),
        ({"answer": "ab"}, r"the answer 'ab' is 2 tokens, expected one\n  its tokens: 'a' \(97\), 'b' \(98\)"),
        ({"answer": ""}, "the answer '' is 0 tokens"),
    ],
)
def test_bad_input(change: dict, message: str) -> None:
    asked = {"clean": CLEAN, "corrupted": CORRUPTED, "answer": 7, **change}
    with pytest.raises(EngineError, match=message):
        patch(KINDS["gpt2"](), asked.pop("clean"), asked.pop("corrupted"), **asked)


def test_texts_of_unequal_length_are_shown_side_by_side() -> None:
    with pytest.raises(EngineError) as raised:
        patch(lively(ig.create("tiny")), "go home", "go away now", answer="x")
    lines = str(raised.value).splitlines()
    assert lines[0] == "the clean text has 7 tokens, the corrupted one 11: patching needs as many in both"
    assert [line.split() for line in lines[1:8]] == [
        ["clean", "corrupted"], ["0", "g", "g"], ["1", "o", "o"], ["2", "·", "·"],
        ["3", "h", "a", "≠"], ["4", "o", "w", "≠"], ["5", "m", "a", "≠"],
    ]  # fmt: skip
    assert lines[12].split() == ["10", "–", "w", "≠"]


def test_models_without_logits_and_encoders_without_a_mask_are_refused() -> None:
    with pytest.raises(EngineError, match="an encoder answers at a mask token, and this text has 0 of them"):
        patch(KINDS["bert"](), CLEAN, CORRUPTED, answer=7)
    with pytest.raises(EngineError, match="makes no logits over its vocabulary"):
        patch(lively(ig.create("bert(n_layers=1, d_model=32, n_heads=4)")), CLEAN, CORRUPTED, answer=7, at=2)


def test_an_encoder_is_asked_at_its_mask() -> None:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tok = ig.train_tokenizer("wordpiece", ["the cat sat on the mat " * 9], vocab_size=20, special=special)
    lm = lively(ig.create("bert(n_layers=1, d_model=32, n_heads=4, heads=['masked_lm'])", tokenizer=tok))
    mask = tok.special["[MASK]"]
    given = contrast(lm, [7, mask, 8, 9], [7, mask, 8, 10], answer=11)
    assert given.question.place == 1


# ablation


@pytest.mark.parametrize("name", ["gpt2", "llama with grouped heads", "bert", "lora", "prefix adapter"])
def test_silencing_a_head_equals_a_pass_with_one_edit(name: str) -> None:
    lm = MODELS[name]()
    place = 3 if name == "bert" else len(CLEAN) - 1
    found, plain = ablate(lm, CLEAN, answer=7, at=place), trace(lm, CLEAN)
    assert found.value == pytest.approx(float(plain.logits[0, place, 7]), abs=1e-5)
    for layer in range(2):
        for head in range(4):
            without = plain.edit(f"layers.{layer}.attention.z", head=head, set_to=0)
            assert float(found.values[layer, head]) == pytest.approx(float(without.logits[0, place, 7]), abs=1e-5)
    assert torch.equal(found.drops, found.value - found.values)


def test_means_are_over_the_tokens_of_the_texts() -> None:
    lm = KINDS["gpt2"]()
    texts = [[5, 6, 7], [8, 9, 10, 11, 12]]
    found = ablate(lm, CLEAN, answer=7, silence="mean", over=texts)
    z = torch.cat([trace(lm, text)["layers.1.attention.z"][0, 2] for text in texts]).mean(0)
    without = trace(lm, CLEAN).edit("layers.1.attention.z", head=2, set_to=z)
    assert float(found.values[1, 2]) == pytest.approx(float(without.logits[0, -1, 7]), abs=1e-5)
    own = ablate(lm, CLEAN, answer=7, silence="mean")
    assert not torch.allclose(own.values, found.values)


def test_ablation_asks_for_the_likeliest_token_and_shows_itself() -> None:
    lm = lively(ig.create("tiny"))
    found = ablate(lm, "abc")
    best = int(trace(lm, "abc").logits[0, -1].argmax())
    assert found.value == pytest.approx(float(trace(lm, "abc").logits[0, -1, best]), abs=1e-6)
    assert "with all heads" in str(found) and "tokens: a│b│c" in str(found)
    assert [event.done for event in ablating(ablation(lm, "abc"))][-1] == 8
    with pytest.raises(EngineError, match="unknown silence 'off'"):
        ablate(lm, "abc", silence="off")
