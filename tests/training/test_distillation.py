"""Distillation: the loss against torch's own and published numbers, a teacher that stays outside, training that resumes."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import isinglass as ig
from isinglass.core.errors import ConfigError, DataError, EngineError, VariantError
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.nn import loss as nn_loss
from isinglass.training.events import StepDone
from isinglass.training.loop import train, training
from isinglass.training.objectives import distillation, family
from isinglass.training.objectives.distillation import Distillation, build, compared, distance, layer_pairs, soft_loss

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. " * 12
CONFIG = dict(context_length=16, batch_size=4, optimizer="adamw(lr=0.01)", schedule="constant(warmup=0)")
# the logits of torchtune's test of its forward KL, which leaves the teacher's entropy in: 1.7209 = 1.0916 + 0.6293
STUDENT = torch.tensor([
    [[1.1250, -0.4102, -0.0879, -2.5000], [0.2676, 0.3535, 0.8711, -1.4688], [-0.1084, 1.6641, 0.0084, 0.1196], [0.5000, -0.6406, -0.2236, -1.5938]],
    [[-1.5312, -1.9219, 0.0000, -0.5039], [-1.5391, 1.5312, 0.5820, 0.2695], [-0.3887, 1.2188, 0.0000, 0.6055], [0.5000, 1.3828, 0.1309, -1.0312]],
])  # fmt: skip
TEACHER = torch.tensor([
    [[-0.0381, -1.2578, -1.2031, 0.0947], [-0.7852, 0.4492, 1.5547, 0.0972], [0.8203, 0.0012, 0.7656, 0.3477], [-1.5781, 0.4297, 0.5977, 0.3926]],
    [[1.5156, 0.1641, 2.0781, -0.7734], [-0.5898, 0.4453, -0.7969, 0.6328], [0.6289, -0.8359, 0.9258, 0.2109], [0.0006, 0.5195, 3.2344, -1.5781]],
])  # fmt: skip


def fresh(**settings: Any) -> LM:
    values = ", ".join(f"{name}={value!r}" for name, value in {"n_layers": 2, **settings}.items())
    return ig.create(f"tiny({values})", seed=3)


def teacher() -> LM:
    """Wider and deeper, with weights that say something."""
    lm = ig.create("tiny(n_layers=4, d_model=96, d_ff=128)", seed=8)
    for weight in lm.model.parameters():
        weight.mul_(3)
    return lm


def batch_of(goal: Any, lm: LM, count: int = 3) -> Any:
    examples = goal.examples(lm, [Record({"text": TEXT}, "t")], 16)
    return goal.collate([examples[number] for number in range(count)], [0] * count)


def test_the_published_logits() -> None:
    entropy = -(F.softmax(TEACHER, -1) * F.log_softmax(TEACHER, -1)).sum().item() / 8
    ours = soft_loss(STUDENT, TEACHER, 1.0).item() / 8
    assert ours == pytest.approx(0.6293, abs=1e-4)
    assert entropy == pytest.approx(1.0916, abs=1e-4)
    assert ours + entropy == pytest.approx(1.7209, abs=1e-4)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 7.0])
def test_it_is_the_divergence_of_torch(temperature: float) -> None:
    expected = F.kl_div(
        F.log_softmax(STUDENT / temperature, -1), F.log_softmax(TEACHER / temperature, -1), log_target=True, reduction="sum"
    )
    assert soft_loss(STUDENT, TEACHER, temperature).item() == pytest.approx(temperature**2 * expected.item(), rel=1e-5)
    assert soft_loss(STUDENT, STUDENT, temperature).item() == pytest.approx(0, abs=1e-5)
    assert soft_loss(STUDENT + 3, STUDENT, temperature).item() == pytest.approx(0, abs=1e-4)  # a shift is no difference


def test_at_high_temperature_it_is_half_the_squared_difference_of_centred_logits() -> None:
    """Hinton et al. 2015, eq. 4: T^2 KL -> 1/(2 V) sum (z - v)^2."""
    centred = (STUDENT - STUDENT.mean(-1, keepdim=True)) - (TEACHER - TEACHER.mean(-1, keepdim=True))
    expected = centred.double().square().sum().item() / (2 * 4)
    p, q = F.log_softmax(TEACHER.double() / 1000, -1), F.log_softmax(STUDENT.double() / 1000, -1)
    assert (1e6 * (p.exp() * (p - q)).sum()).item() == pytest.approx(expected, rel=1e-3)
    assert soft_loss(STUDENT, TEACHER, 20.0).item() == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("alpha", "temperature"), [(0.5, 2.0), (0.0, 2.0), (1.0, 1.0), (0.3, 4.0)])
def test_loss_and_gradients_are_those_written_out_in_torch(alpha: float, temperature: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distillation, "rows_at_once", lambda vocab_size: 7)  # 48 places: seven chunks, the last one short
    lm, known = fresh(), teacher()
    goal = build(known, temperature=temperature, alpha=alpha)
    batch = batch_of(goal, lm)
    model, plain = (goal.trainee(lm, 0).requires_grad_(True) for _ in range(2))
    loss = goal.loss(model, batch)
    ours, theirs = plain(batch.ids), known.decoder(batch.ids)
    soft = F.kl_div(F.log_softmax(ours / temperature, -1), F.softmax(theirs / temperature, -1), reduction="sum") * temperature**2
    hard = F.cross_entropy(ours.flatten(0, 1), batch.targets.flatten(), reduction="sum")
    expected = alpha * soft + (1 - alpha) * hard
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss.sums["soft"] == pytest.approx(soft.item(), rel=1e-4) and loss.sums["hard"] == pytest.approx(hard.item(), rel=1e-5)
    loss.total.backward()
    expected.backward()
    for (name, one), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-3, msg=name)
    assert all(weight.grad is None and not weight.requires_grad for weight in known.model.parameters())


def test_distances_of_hidden_states() -> None:
    one = torch.tensor([[3.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    other = torch.tensor([[1.0, 0.0], [0.0, 5.0], [0.0, -4.0]])
    assert distance(one, other).tolist() == pytest.approx([0, 2, 4])
    assert distance(one, one).tolist() == [0, 0, 0]


def test_other_widths_nearly_keep_angles() -> None:
    """The expected distance of a vector's projection from that of another is near their own."""
    source = torch.Generator().manual_seed(1)
    teacher = torch.randn(400, 256, generator=source)
    near = teacher + 0.5 * torch.randn(400, 256, generator=source)
    matrix = torch.randn(256, 64, generator=torch.Generator().manual_seed(0))
    true, seen = distance(near, teacher).mean().item(), distance(near @ matrix, teacher).mean().item()
    assert seen == pytest.approx(true, rel=0.1)
    assert distance(torch.randn(400, 64, generator=source), teacher).mean().item() == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    ("n_student", "n_teacher", "expected"),
    [(1, 5, [4]), (2, 4, [1, 3]), (3, 3, [0, 1, 2]), (3, 7, [2, 4, 6]), (6, 12, [1, 3, 5, 7, 9, 11]), (4, 2, [0, 0, 1, 1])],
)
def test_layers_are_spread_evenly(n_student: int, n_teacher: int, expected: list[int]) -> None:
    assert layer_pairs(n_student, n_teacher) == list(enumerate(expected))


def test_hidden_states_are_a_third_part_of_the_loss() -> None:
    lm, known = fresh(d_model=48), teacher()
    without, with_hidden = build(known), build(known, hidden=2.0)
    batch, model = batch_of(without, lm), without.trainee(lm, 0).requires_grad_(True)
    plain, whole = without.loss(model, batch), with_hidden.loss(model, batch)
    assert 0 < whole.sums["distance"] / batch.n_targets < 4
    assert whole.total.item() == pytest.approx(plain.total.item() + 2.0 * whole.sums["distance"], rel=1e-5)
    whole.total.backward()
    assert all(float(layer.mlp.down_proj.weight.grad.abs().sum()) > 0 for layer in model.layers)
    figures = with_hidden.figures(whole.total.item(), batch.n_targets, whole.sums)
    assert figures["loss"] == pytest.approx(0.5 * (figures["soft_loss"] + figures["text_loss"]) + 2 * figures["distance"], rel=1e-5)
    assert figures["perplexity"] == pytest.approx(math.exp(figures["text_loss"]))


def test_a_copy_of_the_teacher_has_nothing_to_learn_from_it() -> None:
    known = fresh()
    goal = build(known, alpha=1.0, hidden=1.0)
    batch, model = batch_of(goal, known), goal.trainee(known, 0).requires_grad_(True)
    loss = goal.loss(model, batch)
    assert loss.total.item() == pytest.approx(0, abs=1e-4)
    assert nn_loss.cross_entropy(model(batch.ids), batch.targets).item() == pytest.approx(loss.sums["hard"], rel=1e-5)


@pytest.mark.parametrize("hidden", [None, 1.0])
def test_the_student_comes_near_the_teacher(hidden: float | None) -> None:
    known = train(ig.create("tiny(n_layers=2)", seed=4), [TEXT], steps=40, config={**CONFIG, "validation": 0.0}).lm
    goal = build(known, alpha=1.0, hidden=hidden)
    run = train(fresh(n_layers=1, d_model=32), [TEXT], objective=goal, steps=60, config={**CONFIG, "evaluate_every": 30})
    first, last = run.evaluations
    assert last["validation_soft_loss"] < first["validation_soft_loss"] < run.rows[0]["soft_loss"]
    assert last["validation_text_loss"] < run.rows[0]["text_loss"] - 1  # it never saw a token as a target
    assert (hidden is None) == ("distance" not in run.rows[0])
    assert {"bits_per_byte", "perplexity", "soft_loss", "text_loss"} <= run.rows[0].keys()


def test_resumed_bit_for_bit_and_the_teacher_is_not_saved(tmp_path: Path) -> None:
    ig.export(teacher(), tmp_path / "teacher", format="isinglass")
    options = dict(
        objective=f"distillation(teacher={str(tmp_path / 'teacher')!r}, hidden=0.5)", steps=8, seed=5,
        config={**CONFIG, "accumulation": 2, "save_every": 3},
    )  # fmt: skip
    student = fresh(dropout=0.1)
    whole = train(student, [TEXT], out=tmp_path / "whole", **options)
    events = training(student, [TEXT], out=tmp_path / "part", **options)
    next(event for event in events if isinstance(event, StepDone) and event.step == 4)
    events.close()  # type: ignore[attr-defined]
    resumed = train(student, [TEXT], out=tmp_path / "part", resume=True, **options)
    ours, theirs = resumed.lm.model.state_dict(), whole.lm.model.state_dict()
    assert ours.keys() == theirs.keys() == student.model.state_dict().keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert [row["loss"] for row in resumed.rows] == [row["loss"] for row in whole.rows]
    assert ig.load(tmp_path / "whole").config == student.config


def test_an_objective_as_text_is_short() -> None:
    """It is written to run.toml, and compared when a run is resumed."""
    assert repr(build(teacher())) == (
        "Distillation(name='created', temperature=2.0, alpha=0.5, hidden=None, text=CausalLM(stride=None, documents='joined'))"
    )


def test_two_models_side_by_side() -> None:
    known, student = teacher(), fresh()
    table = compared(known, student, [TEXT], context_length=32)
    big, small = table.rows
    assert (big["model"], small["model"], big["agreement"]) == ("teacher", "student", 1.0)
    assert big["parameters"] == sum(weight.numel() for weight in known.model.parameters()) and big["size_bytes"] == 4 * big["parameters"]
    windows = build(known).examples(student, [Record({"text": TEXT}, "t")], 32)
    ids = torch.stack([torch.from_numpy(window.ids) for window in windows])
    ours, theirs = student.decoder(ids[:, :-1]), known.decoder(ids[:, :-1])
    assert small["loss"] == pytest.approx(F.cross_entropy(ours.flatten(0, 1), ids[:, 1:].flatten()).item(), abs=1e-4)
    assert big["loss"] == pytest.approx(F.cross_entropy(theirs.flatten(0, 1), ids[:, 1:].flatten()).item(), abs=1e-4)
    assert small["agreement"] == pytest.approx((ours.argmax(-1) == theirs.argmax(-1)).float().mean().item(), abs=0.01)
    assert small["tokens_per_second"] > 0 and big["tokens_per_second"] > 0
    assert "windows of 32 tokens" in table.notes[0] and ".0 %" in table.to_markdown()
    with pytest.raises(DataError, match="the corpus has 5 tokens"):
        compared(known, student, ["short"], context_length=32)


def test_another_vocabulary_is_refused() -> None:
    student = ig.create("tiny", tokenizer=ig.train_tokenizer("character", [TEXT]))
    with pytest.raises(ConfigError) as caught:
        train(student, [TEXT], objective=build(teacher()), steps=1, config=CONFIG)
    text = str(caught.value)
    assert "student and teacher 'created' have different vocabularies, so their probabilities cannot be compared" in text
    assert re.search(r"\n  student: character, \d+ logits\n  teacher: bytes, 256 logits\n  token 0 is b'<unk>' here and b'.*' there", text)
    assert "hint: make the student with the teacher's tokenizer: tokenizer = 'created'" in text


def test_what_does_not_fit() -> None:
    short = ig.create("tiny(context_length=8)")
    with pytest.raises(
        ConfigError, match=r"context_length = 16: the teacher 'created' reads 8 tokens\nhint: set context_length to at most 8"
    ):
        train(fresh(), [TEXT], objective=build(short), steps=1, config=CONFIG)
    with pytest.raises(EngineError, match="does not continue a text"):
        build(ig.create("bert(n_layers=1, d_model=32, n_heads=4)"))
    with pytest.raises(EngineError, match="does not continue a text"):
        train(ig.create("bert(n_layers=1, d_model=32, n_heads=4)"), [TEXT], objective=build(fresh()), steps=1, config=CONFIG)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("temperature=0.0", r"temperature = 0\.0, expected a number above 0"),
        ("alpha=1.5", r"alpha = 1\.5, expected a share from 0 \(the text alone\) to 1 \(the teacher alone\)"),
        ("hidden=0.0", r"hidden = 0\.0, expected a weight above 0, or None"),
        ("temperature='hot'", r"temperature = 'hot'"),
    ],
)
def test_settings_are_checked_before_the_teacher_is_read(arguments: str, text: str) -> None:
    with pytest.raises(VariantError, match=text):
        family.resolve(f"distillation(teacher='nowhere', {arguments})")


def test_a_teacher_without_quotes_is_no_name() -> None:
    with pytest.raises(
        VariantError, match=r"teacher = Call.*expected the name or path of a model\nhint: write it in quotes: teacher='smollm2'"
    ):
        family.resolve("distillation(teacher=smollm2)")


def test_a_teacher_may_be_an_object_or_a_path(tmp_path: Path) -> None:
    ig.export(fresh(), tmp_path / "known", format="isinglass")
    read = family.resolve(f"distillation(teacher={str(tmp_path / 'known')!r}, alpha=0.9)")
    assert isinstance(read, Distillation) and read.alpha == 0.9 and read.name == str(tmp_path / "known")
    assert torch.equal(read.teacher.decoder.embed_tokens.weight, fresh().decoder.embed_tokens.weight)
