"""`verify class`: right classes of any structure pass, and each known mistake is named in words."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from helpers import students as S
from helpers.structures import ANNOTATED, CONV1D, NANO, PER_HEAD, RAW, TORCH, WRAPPED
from helpers.tensors import randomised
from isinglass.core.errors import ConfigError, DataError, EngineError
from isinglass.inspection import roles
from isinglass.inspection.class_kinds import KINDS
from isinglass.inspection.mistakes import attention, block, gelu, gpt, layer_norm
from isinglass.inspection.mistakes.attention import AttentionSteps
from isinglass.inspection.mistakes.block import BlockSteps
from isinglass.inspection.mistakes.gpt import GPTSteps
from isinglass.inspection.mistakes.layer_norm import NormSteps
from isinglass.inspection.student import Sizes
from isinglass.inspection.verify_class import ClassCheck, verify_class
from isinglass.models.presets import gpt2
from isinglass.models.transformer import Decoder
from isinglass.nn.attention.slots import Slots
from isinglass.nn.norms import LayerNorm

CASES = {
    "attention": (S.ATTENTION, "MyAttention", S.ATTENTION_MISTAKES, attention.MISTAKES),
    "layer_norm": (S.LAYER_NORM, "LayerNorm", S.LAYER_NORM_MISTAKES, layer_norm.MISTAKES),
    "gelu": (S.GELU, "GELU", S.GELU_MISTAKES, gelu.MISTAKES),
    "block": (S.BLOCK, "TransformerBlock", S.BLOCK_MISTAKES, block.OWN),
    "gpt": (S.GPT, "GPTModel", S.GPT_MISTAKES, gpt.OWN),
}


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., ClassCheck]:
    """`check(source, "MyAttention")` writes the class to a file and checks it."""

    def run(source: str, name: str, **options: object) -> ClassCheck:
        path = tmp_path / "my.py"
        path.write_text(source, encoding="utf-8")
        return verify_class(f"{path}:{name}", **options)  # type: ignore[arg-type]

    yield run
    sys.modules.pop("student_my", None)


def row(found: ClassCheck, name: str):
    return next(check for check in found.checks if check.check == name)


# what is ours


def ours() -> Decoder:
    config = gpt2.build(vocab_size=61, context_length=12, d_model=32, n_layers=2, n_heads=4)
    return randomised(Decoder(config)).requires_grad_(False).eval()


def our_weights(model: Decoder) -> gpt.GPTWeights:
    return gpt.GPTWeights(
        model.embed_tokens.weight,
        model.positions[0].weight,
        tuple(roles.block_weights(layer, Sizes(), roles.Layout(), roles.Mapping()) for layer in model.layers),
        roles.norm_weights(model.norm),
        attention.Projection(model.embed_tokens.weight),
    )


def test_the_definitions_equal_our_modules() -> None:
    model, x, ids = ours(), torch.randn(2, 7, 32), torch.randint(0, 61, (2, 7))
    weights, slots = our_weights(model), Slots.first(ids)
    steps = AttentionSteps(n_heads=4)
    torch.testing.assert_close(gpt.gpt(ids, weights, GPTSteps(BlockSteps(steps))), model(ids), atol=1e-5, rtol=1e-5)
    first = model.layers[0]
    torch.testing.assert_close(
        block.block(x, weights.blocks[0], BlockSteps(steps)), first(x, layer=0, slots=slots, k_slots=slots), atol=1e-5, rtol=1e-5
    )
    attended = first.attention(x, layer=0, slots=slots, k_slots=slots)
    torch.testing.assert_close(attention.attention(x, weights.blocks[0].attention, steps), attended, atol=1e-5, rtol=1e-5)
    norm = randomised(LayerNorm(32, 1e-5))
    torch.testing.assert_close(layer_norm.layer_norm(x, roles.norm_weights(norm), NormSteps()), norm(x), atol=1e-5, rtol=1e-5)


# each known mistake


@pytest.mark.parametrize("kind", CASES)
def test_every_known_mistake_has_a_student_who_made_it(kind: str) -> None:
    _, _, cases, mistakes = CASES[kind]
    assert {mistake.name for mistake in mistakes} <= set(cases)
    assert len({mistake.name for mistake in mistakes}) == len(mistakes)


@pytest.mark.parametrize(("kind", "mistake"), [(kind, name) for kind, case in CASES.items() for name in case[2]])
def test_a_mistake_is_named(check: Callable[..., ClassCheck], kind: str, mistake: str) -> None:
    source, name, cases, _ = CASES[kind]
    found = check(S.with_changes(source, cases[mistake]), name)
    assert found.kind == kind and found.mistakes == (mistake,)
    known = next(each for each in KINDS[kind].mistakes if each.name == mistake)
    assert known.words in row(found, "values").seen
    assert row(found, "values").verdict == ("passed" if known.right else "failed")
    assert found.passed is known.right
    assert known.right or known.hint in row(found, "values").hint


@pytest.mark.parametrize("kind", CASES)
def test_the_right_class_passes(check: Callable[..., ClassCheck], kind: str) -> None:
    source, name, _, _ = CASES[kind]
    found = check(source, name)
    assert found.passed and found.kind == kind and found.mistakes == ()
    assert "equals ours with the same weights" in row(found, "values").seen


def test_two_mistakes_at_once_are_both_named(check: Callable[..., ClassCheck]) -> None:
    changes = S.ATTENTION_MISTAKES["no_scale"] + S.ATTENTION_MISTAKES["queries_and_keys_exchanged"]
    found = check(S.with_changes(S.ATTENTION, changes), "MyAttention")
    assert set(found.mistakes) == {"no_scale", "queries_and_keys_exchanged"}
    found = check(
        S.with_changes(S.LAYER_NORM, S.LAYER_NORM_MISTAKES["unbiased_variance"] + S.LAYER_NORM_MISTAKES["eps_outside"]), "LayerNorm"
    )
    assert set(found.mistakes) == {"unbiased_variance", "eps_outside"}


def test_what_no_known_mistake_explains_is_said_to_be_so(check: Callable[..., ClassCheck]) -> None:
    found = check(S.with_changes(S.ATTENTION, (("return self.out_proj(z)", "return self.out_proj(z).sin()"),)), "MyAttention")
    assert not found.passed and found.mistakes == ()
    assert row(found, "values").seen.startswith("your output equals neither ours nor a mistake we know; the largest difference is ")


# other checks


def test_causality_is_measured(check: Callable[..., ClassCheck]) -> None:
    found = check(S.with_changes(S.ATTENTION, S.ATTENTION_MISTAKES["no_mask"]), "MyAttention")
    assert row(found, "causality").verdict == "failed" and "masked_fill" in row(found, "causality").hint
    full = check(S.with_changes(S.ATTENTION, S.ATTENTION_MISTAKES["no_mask"]), "MyAttention", arguments={"causal": False})
    assert full.passed and all(each.check != "causality" for each in full.checks)


def test_a_missing_final_projection(check: Callable[..., ClassCheck]) -> None:
    changes = (("        self.out_proj = nn.Linear(d_out, d_out)\n", ""), ("self.out_proj(z)", "z"))
    found = check(S.with_changes(S.ATTENTION, changes), "MyAttention")
    assert [each.check for each in found.checks if each.verdict == "failed"] == ["final projection"]
    assert row(found, "final projection").seen == "missing: 4 heads are put side by side and never mixed"


def test_dropout_that_stays_on_in_eval_mode(check: Callable[..., ClassCheck]) -> None:
    changes = (("self.dropout = nn.Dropout(dropout)", "self.p = dropout"), ("self.dropout(weights)", "F.dropout(weights, self.p)"))
    found = check(S.with_changes(S.ATTENTION, changes), "MyAttention")
    assert [each.check for each in found.checks if each.verdict == "failed"] == ["dropout"]
    fixed = (*changes[:1], (changes[1][0], "F.dropout(weights, 0.1)"))
    found = check(S.with_changes(S.ATTENTION, fixed), "MyAttention")
    assert row(found, "dropout").verdict == "failed" and row(found, "values").verdict == "skipped"


def test_a_mask_that_is_not_cut_to_the_text(check: Callable[..., ClassCheck]) -> None:
    with pytest.raises(DataError, match="The size of tensor"):
        check(S.with_changes(S.ATTENTION, (("self.later[:t, :t]", "self.later"),)), "MyAttention")
    found = check(S.with_changes(S.ATTENTION, (("self.later[:t, :t]", "self.later[:7, :7]"),)), "MyAttention")
    assert row(found, "lengths").verdict == "failed" and "mask[:time, :time]" in row(found, "lengths").hint


def test_batch_mates_must_not_matter(check: Callable[..., ClassCheck]) -> None:
    found = check(S.with_changes(S.ATTENTION, S.ATTENTION_MISTAKES["softmax_over_batch"]), "MyAttention")
    assert row(found, "batch").verdict == "failed"


def test_a_wrong_shape_is_seen_first(check: Callable[..., ClassCheck]) -> None:
    found = check(S.with_changes(S.GPT, (("return logits", "return logits[:, -1]"),)), "GPTModel")
    assert [each.check for each in found.checks] == ["shape", "values"]
    assert row(found, "shape").seen == "[3, 7] -> [3, 61], expected [3, 7, 61]"


# other structures


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        (NANO, "CausalSelfAttention", "queries, keys, values: c_attn.weight [96, 32]"),
        (NANO, "Block", "norms: ln_1, ln_2"),
        (NANO, "GPT", "positions: transformer.wpe"),
        (RAW, "SelfAttention", "raw parameters as: (in, out)"),
        (RAW.replace("x @ self.W_query, x @ self.W_key, x @ self.W_value", "x @ self.W_query.T, x @ self.W_key.T, x @ self.W_value.T"),
         "SelfAttention", "raw parameters as: (out, in)"),
        (WRAPPED, "MultiHeadAttentionWrapper", "queries: heads.0.W_query.weight ... heads.3.W_query.weight"),
        (WRAPPED, "CausalAttention", "queries: W_query.weight"),
        (PER_HEAD, "Attention", "final projection: W_O"),
        (CONV1D, "Attention", "queries, keys, values: c_attn.weight [32, 96]"),
        (ANNOTATED, "MyAttention", "queries: W_query.weight"),
        (TORCH, "MyAttention", "queries, keys, values: mha.in_proj_weight"),
    ],
)  # fmt: skip
def test_right_classes_of_other_structure_pass(check: Callable[..., ClassCheck], source: str, name: str, words: str) -> None:
    found = check(source, name)
    assert found.passed, [each for each in found.checks if each.verdict == "failed"]
    assert words in row(found, "weights").seen


def test_a_class_that_takes_no_batch(check: Callable[..., ClassCheck]) -> None:
    found = check(RAW.replace("keys.transpose(-2, -1)", "keys.T"), "SelfAttention")
    assert [each.check for each in found.checks if each.verdict == "failed"] == ["batch axis"]
    assert "transpose(-2, -1)" in row(found, "batch axis").hint


def test_a_function_and_modules_of_torch() -> None:
    assert verify_class("torch.nn:LayerNorm").passed
    assert verify_class("torch.nn.functional:gelu").mistakes == ("exact",)
    assert verify_class("torch.nn:RMSNorm", arguments={"eps": 1e-5}).mistakes == ("rms_norm",)


# arguments, and what goes wrong


def test_arguments_and_kinds(check: Callable[..., ClassCheck]) -> None:
    source = S.ATTENTION.replace("MyAttention", "Mixer").replace("num_heads", "parts")
    with pytest.raises(ConfigError, match="Mixer needs 'parts', a name that says nothing to us") as caught:
        check(source, "Mixer")
    assert '--args "parts=..."' in str(caught.value)
    assert check(source, "Mixer", kind="attention", arguments={"parts": 4, "n_heads": 4}).passed
    with pytest.raises(ConfigError, match="unknown kind of part 'atention' in --as"):
        check(S.ATTENTION, "MyAttention", kind="atention")
    with pytest.raises(ConfigError, match="MyAttention takes no 'colour'"):
        check(S.ATTENTION, "MyAttention", arguments={"colour": 1})
    with pytest.raises(ConfigError, match="5 heads do not divide a width of 32"):
        check(S.ATTENTION, "MyAttention", arguments={"num_heads": 5})
    with pytest.raises(ConfigError, match="cannot tell from its name and its arguments what Thing is"):
        check("class Thing:\n    def __init__(self, a, b): pass\n", "Thing")
    assert "num_heads=8" in check(S.ATTENTION, "MyAttention", arguments={"num_heads": 8, "d_in": 64, "d_out": 64}).constructed


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import torch\nclass MyAttention\n", "my.py, line 2: SyntaxError: expected ':'"),
        ("x = 1\nprint(undefined)\n", "my.py, line 2: NameError: name 'undefined' is not defined"),
        ("raise SystemExit('bye')\n", "my.py, line 1: SystemExit: bye"),
        (S.ATTENTION.replace("super().__init__()", "pass"), "line 11: AttributeError: cannot assign module before Module.__init__() call"),
        (S.ATTENTION.replace("k.transpose(-2, -1)", "k"), "RuntimeError"),
        (S.ATTENTION.replace("MyAttention", "Other"), "unknown class or function 'MyAttention' in"),
        (S.ATTENTION.replace("return self.out_proj(z)", "return None"), "your forward returns a NoneType, expected a tensor"),
    ],
)
def test_errors_of_the_students_code_are_one_clear_error(check: Callable[..., ClassCheck], source: str, words: str) -> None:
    with pytest.raises((DataError, EngineError)) as caught:
        check(source, "MyAttention")
    assert words in str(caught.value)


def test_a_missing_file_or_module() -> None:
    with pytest.raises(DataError, match=r"no file './nowhere.py'"):
        verify_class("./nowhere.py:MyAttention")
    with pytest.raises(DataError, match="No module named 'nowhere_at_all'"):
        verify_class("nowhere_at_all:MyAttention")
    with pytest.raises(ConfigError, match="names no class, expected module:Class"):
        verify_class("MyAttention")


def test_parameters_that_cannot_be_told_apart(check: Callable[..., ClassCheck]) -> None:
    source = S.with_changes(
        S.ATTENTION,
        (
            (
                "        self.out_proj",
                "        self.extra1 = self.extra2 = nn.Linear(d_out, d_out)\n        self.extra3 = nn.Linear(d_out, d_out)\n        self.out_proj",
            ),
        ),
    )
    found = check(source, "MyAttention")
    assert row(found, "weights").seen.startswith("cannot tell which of your parameters are the final projection")


def test_what_the_class_prints_does_not_mix_with_results(check: Callable[..., ClassCheck], capsys: pytest.CaptureFixture[str]) -> None:
    check("print('importing')\n" + S.ATTENTION, "MyAttention")
    said = capsys.readouterr()
    assert said.out == "" and "importing" in said.err


def test_the_result_shows_itself(check: Callable[..., ClassCheck], tmp_path: Path) -> None:
    found = check(S.with_changes(S.ATTENTION, S.ATTENTION_MISTAKES["no_scale"]), "MyAttention", command="isinglass verify class x")
    assert found.data["passed"] is False and found.data["mistakes"] == ["no_scale"]
    assert found.parts[0].title.endswith("MyAttention as attention: 1 of 9 checks failed")
    for suffix in ("html", "json", "csv", "md", "png", "svg", "txt"):
        assert found.save(tmp_path / f"checks.{suffix}").stat().st_size > 100
