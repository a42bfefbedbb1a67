"""How much of a plan's saving is left when one of its numbers is off: each is moved down and up alone, with the same steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from isinglass.core.errors import ConfigError
from isinglass.economics.plan import Plan, applied, share_saved
from isinglass.economics.saving import Saving
from isinglass.economics.workload import Workload
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table

_COUNTS = ("tokens_in", "tokens_out")  # the number of requests scales both bills alike: the share that is saved stays


@dataclass(frozen=True)
class Moved:
    """One number, lower and higher, with the share of the bill that the plan then saves."""

    name: str
    low: Decimal
    high: Decimal
    saving_low: Decimal
    saving_high: Decimal

    @property
    def swing(self) -> Decimal:
        return abs(self.saving_high - self.saving_low)


@dataclass(frozen=True)
class Sensitivity(Finding):
    """The numbers, the one that matters most first. `by` is how far each was moved, 0..1."""

    saving: Decimal
    target: Decimal
    by: Decimal
    moved: tuple[Moved, ...]
    command: str | None = None

    @property
    def table(self) -> Table:
        """What the plan saves when one number is lower or higher."""
        rows = [
            {"number": one.name, "low": one.low, "high": one.high, "saved_low": one.saving_low, "saved_high": one.saving_high}
            for one in self.moved
        ]
        lowest = min((min(one.saving_low, one.saving_high) for one in self.moved), default=self.saving)
        held = (
            "the target holds in each case"
            if lowest >= self.target
            else f"at worst {lowest:.1%} is saved, {self.target:.0%} was the target"
        )
        notes = [f"each number alone {self.by:.0%} lower and higher; as planned {self.saving:.1%} is saved", held]
        units = dict.fromkeys(["saved_low", "saved_high"], "ratio")
        return Table(rows, title="If a number is off", units=units, notes=notes, command=self.command)

    @property
    def figure(self) -> Figure:
        """The share saved with each number lower and higher."""
        from isinglass.show.marks.bars import bars

        low, high = ([float(getattr(one, side)) for one in self.moved] for side in ("saving_low", "saving_high"))
        series = {f"{self.by:.0%} lower": low, f"{self.by:.0%} higher": high}
        return bars(
            [one.name for one in self.moved], series, title="What the plan saves if a number is off", axis="share of the bill saved",
            unit="ratio", command=self.command,
        )  # fmt: skip

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table, self.figure]

    @property
    def data(self) -> Any:
        return {"saving": self.saving, "by": self.by, "numbers": self.table.rows}


def sensitivity(plan: Plan, *, by: Decimal | float = Decimal("0.2"), command: str | None = None) -> Sensitivity:
    """Move every number of a plan by the share `by` (0..1). Raises ConfigError for a `by` that cannot be and a plan without steps."""
    move = Decimal(str(by))
    if not 0 < move < 1:
        raise ConfigError(f"by = {by!r}, expected between 0 and 1")
    if not plan.taken:
        raise ConfigError("nothing is taken by this plan, so no number matters")
    moved = sorted([*_counts(plan, move), *_shares(plan, move)], key=lambda one: -one.swing)
    return Sensitivity(plan.saving, plan.target, move, tuple(moved), command)


def _counts(plan: Plan, by: Decimal) -> Iterator[Moved]:
    for name in _COUNTS:
        value = getattr(plan.workload, name)
        low, high = int(value * (1 - by)), int(value * (1 + by))
        sides = (_again(plan, plan.workload.model_copy(update={name: side}), [step.saving for step in plan.taken]) for side in (low, high))
        yield Moved(name, Decimal(low), Decimal(high), *sides)


def _shares(plan: Plan, by: Decimal) -> Iterator[Moved]:
    for place, step in enumerate(plan.taken):
        for share in step.saving.shares:
            sides = [share.value * (1 - by), min(Decimal(1), share.value * (1 + by))]
            found = []
            for side in sides:
                savings: list[Saving] = [one.saving for one in plan.taken]
                savings[place] = replace(step.saving, **{share.name: side})  # type: ignore[type-var]
                found.append(_again(plan, plan.workload, savings))
            yield Moved(f"{step.name}: {share.name}", sides[0], sides[1], found[0], found[1])


def _again(plan: Plan, workload: Workload, savings: Sequence[Saving]) -> Decimal:
    situation = replace(plan.situation, workload=workload)
    before = after = (situation.traffic(),)
    for saving in savings:
        after = applied(saving, after, situation)
    return share_saved(before, after)
