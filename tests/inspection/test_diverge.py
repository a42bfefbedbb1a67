"""`diverge`: the first place where two models differ, of ours and of students, planted by hand and found."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import isinglass as ig
from helpers import students as S
from helpers.kinds import KINDS, TEXTS
from isinglass.core.errors import CheckpointError, ConfigError, DataError, EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.diverge import diverge, diverge_from_student
from isinglass.inspection.divergence import Divergence, difference, in_words
from isinglass.models.adapted import adapt


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def gpt2() -> LM:
    return KINDS["gpt2"]()


def test_a_model_agrees_with_itself_to_the_last_bit(kind: str) -> None:
    found = diverge(KINDS[kind](), KINDS[kind](), TEXTS[0], scores=True)
    assert found.first is None and all(row.max_difference == 0 and row.relative == 0 for row in found.rows)
    assert all(math.isclose(row.cosine, 1, abs_tol=1e-12) for row in found.rows if row.size)
    assert any(row.tap.endswith("attention.weights") for row in found.rows)
    assert found.verdict == f"A and B agree at all {len(found.rows)} places compared, within 1e-05"


@pytest.mark.parametrize(
    ("weight", "tap", "before"),
    [
        ("attention.k_proj", "attention.k_raw", "attention.q_raw"),
        ("attention.o_proj", "attention.out", "attention.z"),
        ("mlp.up_proj", "mlp.pre", "resid_mid"),
        ("mlp.down_proj", "mlp.post", "mlp.pre"),
    ],
)
def test_a_changed_weight_is_found_where_it_acts(gpt2: LM, weight: str, tap: str, before: str) -> None:
    other = KINDS["gpt2"]()
    with torch.no_grad():
        other.model.get_submodule(f"layers.1.{weight}").weight[0, 0] += 0.5
    found = diverge(gpt2, other, TEXTS[0])
    assert found.first is not None and found.first.tap == f"layers.1.{tap}"
    assert f"agree up to layers.1.{before} and differ first at layers.1.{tap}, {in_words(f'layers.1.{tap}')}, by " in found.verdict
    a, b = (ig.trace(lm, TEXTS[0])[found.first.tap].double() for lm in (gpt2, other))
    assert found.first.max_difference == pytest.approx(float((a - b).abs().max()), rel=1e-12)
    assert found.first.relative == pytest.approx(float((a - b).norm() / a.norm()), rel=1e-12)
    assert found.first.cosine == pytest.approx(float(torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0)), rel=1e-9)


def test_taps_come_in_the_order_of_the_pass(gpt2: LM) -> None:
    taps = [row.tap for row in diverge(gpt2, KINDS["gpt2"](), "abc").rows]
    assert taps[:3] == ["embed", "layers.0.resid_pre", "layers.0.attention.q_raw"] and taps[-2:] == ["norm", "logits"]
    assert len(taps) == 2 * 12 + 3 and not any(tap.endswith(("scores", "weights")) for tap in taps)


def test_tolerance_divides_rounding_from_difference(gpt2: LM) -> None:
    other = KINDS["gpt2"]()
    with torch.no_grad():
        other.model.layers[0].attention.o_proj.bias[0] += 1e-4
    assert diverge(gpt2, other, "abc").first.tap == "layers.0.attention.out"  # type: ignore[union-attr]
    assert diverge(gpt2, other, "abc", tolerance=0.01).first is None


def test_an_adapter_and_other_shapes(gpt2: LM) -> None:
    adapted = replace(gpt2, model=adapt(gpt2.model, "lora(rank=2)"))
    assert diverge(gpt2, adapted, "abc").first is None  # a fresh LoRA adds nothing
    narrow = ig.create("gpt2(n_layers=2, d_model=32, n_heads=4, d_ff=64, context_length=64)")
    found = diverge(narrow, KINDS["gpt2"](), "abc")
    row = next(row for row in found.rows if row.tap == "layers.0.mlp.pre")
    assert row.max_difference is None and row.beyond(1e9) and (row.shape[-1], row.other_shape[-1]) == (64, 128)


def test_the_tokens_are_the_same_for_both(gpt2: LM) -> None:
    tokenizer = ig.train_tokenizer("bpe", ["hello there " * 10], vocab_size=262)
    other = ig.create("gpt2(n_layers=2, d_model=32, n_heads=4, context_length=64)", tokenizer=tokenizer)
    found = diverge(gpt2, other, "hello")
    assert found.tokens == tuple("hello") and any("its own tokenizer cuts this text otherwise" in note for note in found.notes)


def test_hidden_places_do_not_differ() -> None:
    a = torch.tensor([1.0, float("-inf"), float("nan")])
    assert difference("t", a, a.clone()).max_difference == 0
    assert difference("t", a, torch.tensor([1.0, 0.0, float("nan")])).max_difference == float("inf")


def test_places_in_words() -> None:
    assert in_words("layers.3.attention.out") == "what attention adds in layer 3"
    assert in_words("decoder.layers.0.cross_attention.z") == "the weighted values of the heads in layer 0 of the decoder"
    assert in_words("heads.pooling") == "heads.pooling"


# classes of students


@pytest.fixture
def student(tmp_path: Path) -> Iterator[object]:
    def write(source: str, name: str = "GPTModel") -> str:
        path = tmp_path / "mine.py"
        path.write_text(source, encoding="utf-8")
        return f"{path}:{name}"

    yield write
    sys.modules.pop("student_mine", None)


def test_a_right_gpt_agrees_after_the_weights_are_copied(gpt2: LM, student) -> None:
    found = diverge_from_student(gpt2, student(S.GPT), TEXTS[0])
    assert found.first is None, found.verdict
    taps = [row.tap for row in found.rows]
    for tap in (
        "resid_pre",
        "attention.q_raw",
        "attention.k_raw",
        "attention.v",
        "attention.z",
        "attention.out",
        "resid_mid",
        "mlp.pre",
        "mlp.post",
    ):
        assert {f"layers.0.{tap}", f"layers.1.{tap}"} <= set(taps)
    assert {"norm", "logits"} <= set(taps)
    assert found.mapping is not None and found.mapping["trf_blocks.{}.att.out_proj"] == ("layers.{}.attention.out",)


@pytest.mark.parametrize(
    ("mistake", "tap"),
    [
        ("no_scale", "layers.0.attention.z"),
        ("mask_with_zero", "layers.0.attention.z"),
        ("no_mlp_residual", "layers.0.resid_post"),
        ("no_positions", "layers.0.resid_pre"),
        ("no_final_norm", "logits"),
        ("unbiased_variance", "layers.0.attention.q_raw"),
        ("exact", "layers.0.mlp.pre"),
    ],
)
def test_a_mistake_is_found_where_it_acts(gpt2: LM, student, mistake: str, tap: str) -> None:
    changes = {**S.ATTENTION_MISTAKES, **S.LAYER_NORM_MISTAKES, **S.BLOCK_MISTAKES, **S.GPT_MISTAKES}[mistake]
    found = diverge_from_student(gpt2, student(S.with_changes(S.GPT, changes)), TEXTS[0])
    assert found.first is not None and found.first.tap == tap


def test_a_map_of_ones_own(gpt2: LM, student, tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text('[taps]\n"trf_blocks.{}" = "layers.{}.resid_post"\n"final_norm:input" = "layers.1.resid_post"\n', encoding="utf-8")
    found = diverge_from_student(gpt2, student(S.GPT), "abc", map_file=path)
    assert [row.tap for row in found.rows] == ["layers.0.resid_post", "layers.1.resid_post"] and found.first is None
    cases = {
        '[taps]\n"trf_block.0" = "norm"\n': "your model has no module 'trf_block.0'",
        '[taps]\n"final_norm" = "nrm"\n': "unknown tap 'nrm'",
        '[taps]\n"final_norm" = 3\n': "final_norm = 3, expected the name of a tap",
        "[tap]\n": "has no table [taps]",
        "[taps\n": "cannot read the map",
    }
    for text, words in cases.items():
        path.write_text(text, encoding="utf-8")
        with pytest.raises((ConfigError, EngineError)) as caught:
            diverge_from_student(gpt2, student(S.GPT), "abc", map_file=path)
        assert words in str(caught.value)


def test_a_fused_projection_is_compared_in_its_parts(gpt2: LM, student) -> None:
    fused = S.with_changes(
        S.GPT,
        (
            (
                "        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)\n",
                "        self.qkv = nn.Linear(d_in, 3 * d_out, bias=qkv_bias)\n",
            ),
            (
                "        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)\n        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)\n",
                "",
            ),
            (
                "self.split(self.W_query(x)), self.split(self.W_key(x)), self.split(self.W_value(x))",
                "map(self.split, self.qkv(x).chunk(3, -1))",
            ),
        ),
    )
    found = diverge_from_student(gpt2, student(fused), TEXTS[0])
    assert found.first is None and {"layers.1.attention.q_raw", "layers.1.attention.k_raw", "layers.1.attention.v"} <= {
        r.tap for r in found.rows
    }


def test_own_weights_stay(gpt2: LM, student) -> None:
    found = diverge_from_student(gpt2, student(S.GPT), "abc", weights="own")
    assert found.first is not None and found.first.tap == "layers.0.resid_pre" and "with its own weights" in found.notes


def test_hooks_are_gone_and_our_model_is_as_it_was(gpt2: LM, student, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[nn.Module] = []
    from isinglass.inspection import diverge as module

    make = module.make_module
    monkeypatch.setattr(module, "make_module", lambda *args: made.append(make(*args)) or made[-1])
    before = {name: weight.clone() for name, weight in gpt2.model.state_dict().items()}
    diverge_from_student(gpt2, student(S.GPT), "abc")
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in made[0].modules())
    assert all(torch.equal(weight, before[name]) for name, weight in gpt2.model.state_dict().items())


def test_what_cannot_be_compared(gpt2: LM, student) -> None:
    with pytest.raises(CheckpointError, match="our weights cannot be put into yours") as caught:
        diverge_from_student(KINDS["llama with grouped heads"](), student(S.GPT), "abc")
    assert "--weights own" in str(caught.value)
    with pytest.raises(DataError, match=r"line \d+: RuntimeError"):
        diverge_from_student(gpt2, student(S.with_changes(S.GPT, (("x = self.final_norm(x)", "x = x @ x"),))), "abc")
    with pytest.raises(EngineError, match="not with an encoder-decoder"):
        diverge_from_student(KINDS["t5"](), student(S.GPT), "abc")
    with pytest.raises(EngineError, match="prompt 0 is empty"):
        diverge(gpt2, gpt2, "")
    with pytest.raises(EngineError, match="prompt 0 has 65 tokens"):
        diverge_from_student(gpt2, student(S.GPT), "a" * 65)
    with pytest.raises(EngineError, match=r"is a int, expected a torch\.nn\.Module"):
        diverge_from_student(gpt2, student("three = 3\n", "three"), "abc")


def test_the_result_shows_itself(gpt2: LM, student, tmp_path: Path) -> None:
    found = diverge_from_student(gpt2, student(S.with_changes(S.GPT, S.GPT_MISTAKES["no_scale"])), "a<b", command="isinglass diverge x")
    for suffix in ("html", "json", "csv", "md", "png", "svg", "txt"):
        assert found.save(tmp_path / f"found.{suffix}").stat().st_size > 300
    assert [part.title for part in found.parts][:2] == [found.verdict, found.verdict] and found.parts[2].title == "What was taken for what"
    assert found.data["first"] == "layers.0.attention.z" and found.data["tokens"] == ["a", "<", "b"]
    same: Divergence = diverge(gpt2, KINDS["gpt2"](), "abc")
    assert len(same.parts) == 1  # nothing to draw


def test_the_real_model(smollm2: LM) -> None:
    """Rounding to half the bits is a difference from the first number on; a tolerance for it lets them agree."""
    half = ig.load("smollm2", dtype="bfloat16")
    found = diverge(smollm2, half, "The capital of France is")
    assert found.first is not None and found.first.tap == "embed"
    assert all(row.cosine is not None and row.cosine > 0.98 for row in found.rows if row.tap.endswith("resid_post"))
