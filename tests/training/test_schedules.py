"""Schedules against values typed from their formulas, and against torch's own schedulers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler

from isinglass.core.errors import VariantError
from isinglass.training import schedules
from isinglass.training.schedule import Schedule

FAMILY = schedules.family
EVERY = ["constant(warmup={w})", "cosine(warmup={w}, floor=0.1)", "linear(warmup={w})", "wsd(warmup={w}, decay=0.3, shape='sqrt')"]


def factors(expression: str, steps: int) -> list[float]:
    schedule = FAMILY.resolve(expression)
    return [schedule.factor(step, steps) for step in range(steps)]


def test_cosine_of_the_character_recipe() -> None:
    """lr 1e-3 to 1e-4 in 2,000 steps with 100 of warm-up: the values of nanoGPT's formula, typed."""
    schedule = FAMILY.resolve("cosine(warmup=100, floor=0.1)")
    rates = {step: 1e-3 * schedule.factor(step, 2000) for step in (0, 49, 99, 100, 575, 1050, 1525, 2000, 2500)}
    expected = {0: 9.900990e-6, 49: 4.950495e-4, 99: 9.900990e-4, 100: 1e-3, 575: 8.681981e-4, 1050: 5.5e-4, 1525: 2.318019e-4, 2000: 1e-4}
    assert rates == pytest.approx({**expected, 2500: 1e-4}, rel=1e-6)


def test_linear_by_hand() -> None:
    assert factors("linear(warmup=2)", 6) == pytest.approx([1 / 3, 2 / 3, 1, 3 / 4, 1 / 2, 1 / 4])
    assert factors("linear(warmup=0, floor=0.5)", 4) == pytest.approx([1, 0.875, 0.75, 0.625])


def test_constant_by_hand() -> None:
    assert factors("constant", 3) == [1, 1, 1]
    assert factors("constant(warmup=0.5)", 4) == pytest.approx([1 / 3, 2 / 3, 1, 1])


@pytest.mark.parametrize(
    ("shape", "falling"),
    [("linear", [1, 0.75, 0.5, 0.25]), ("sqrt", [1, 0.5, 0.292893, 0.133975]), ("cosine", [1, 0.853553, 0.5, 0.146447])],
)
def test_wsd_by_hand(shape: str, falling: list[float]) -> None:
    assert factors(f"wsd(warmup=1, decay=4, shape='{shape}')", 8) == pytest.approx([0.5, 1, 1, 1, *falling], abs=1e-6)
    assert factors(f"wsd(warmup=1, decay=0.5, shape='{shape}')", 8) == factors(f"wsd(warmup=1, decay=4, shape='{shape}')", 8)
    assert factors(f"wsd(warmup=0, decay=4, floor=0.2, shape='{shape}')", 4) == pytest.approx([0.2 + 0.8 * x for x in falling], abs=1e-6)


def test_wsd_that_decays_longer_than_it_runs_begins_after_the_warmup() -> None:
    assert factors("wsd(warmup=2, decay=100)", 6) == pytest.approx([1 / 3, 2 / 3, 1, 0.75, 0.5, 0.25])


@pytest.mark.parametrize(
    ("expression", "theirs"),
    [
        ("cosine(warmup=0, floor=0.25)", lambda o: CosineAnnealingLR(o, T_max=40, eta_min=0.25)),
        ("linear(warmup=0, floor=0.25)", lambda o: LinearLR(o, start_factor=1.0, end_factor=0.25, total_iters=40)),
    ],
)
def test_torchs_own_schedulers(expression: str, theirs: type[LRScheduler]) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = theirs(optimizer)
    rates = []
    for _ in range(40):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert factors(expression, 40) == pytest.approx(rates)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(EVERY), st.one_of(st.integers(0, 60), st.floats(0, 0.99)), st.integers(1, 200))
def test_climbs_to_one_never_is_zero_and_never_rises_again(expression: str, warmup: float, steps: int) -> None:
    values = factors(expression.format(w=warmup), steps)
    peak = max(range(steps), key=values.__getitem__)
    assert 0 < values[0] <= 1
    assert all(0 < value <= 1 for value in values)
    assert values[: peak + 1] == sorted(values[: peak + 1])
    assert values[peak:] == sorted(values[peak:], reverse=True)
    count = warmup if isinstance(warmup, int) else round(warmup * steps)
    assert steps <= count or values[count] == 1


@pytest.mark.parametrize("name", FAMILY.names())
def test_a_longer_run_than_planned_stays_at_the_floor(name: str) -> None:
    schedule: Schedule = FAMILY.resolve(name)
    assert schedule.factor(99, 50) == schedule.factor(50, 50)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            "cosine(warmup=-1)",
            r"warmup = -1, expected a number of steps \(an int, 0 or more\) or a share of all steps \(0\.0 to below 1\.0\)\nhint: warmup=100",
        ),
        ("linear(warmup=1.0)", r"warmup = 1\.0, expected a number of steps"),
        ("wsd(decay=1.5)", r"decay = 1\.5, expected a number of steps[\s\S]*hint: decay=100 is a hundred steps, decay=0\.05 a twentieth"),
        ("cosine(floor=1.5)", r"floor = 1\.5, expected a share from 0 to 1\nhint: 0\.1 ends at a tenth"),
        ("wsd(shape='step')", r"wsd: shape = 'step': Input should be 'linear', 'sqrt' or 'cosine'"),
        ("cosin", r"unknown schedule 'cosin'\n  known: constant, cosine, linear, wsd\nhint: did you mean 'cosine'\?"),
    ],
)
def test_settings_that_cannot_be(expression: str, message: str) -> None:
    with pytest.raises(VariantError, match=message):
        FAMILY.resolve(expression)
