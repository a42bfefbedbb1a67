"""`plan`: which savings bring a workload's bill down by a target, taken in order of their risk; and why the others are not taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from isinglass.core.errors import ConfigError
from isinglass.economics.price_list import PriceList, prices
from isinglass.economics.projection import Projection
from isinglass.economics.quote import day
from isinglass.economics.saving import Branch, Risk, Saving, Verdict
from isinglass.economics.savings import family
from isinglass.economics.traffic import Part, total
from isinglass.economics.workload import Situation, Workload
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table

Decision = Literal["taken", "not needed", "does not apply", "too risky", "too small"]
NOTHING = "–"
LEAST = Decimal("0.01")  # of the bill: what saves less is not worth its work and its risk


@dataclass(frozen=True)
class Step:
    """One saving and what was decided. `before` and `after` are the requests around it: for one that is taken, in the plan; for any other,
    what it would change at the end of the plan."""

    expression: str
    saving: Saving
    decision: Decision
    why: str
    before: tuple[Part, ...]
    after: tuple[Part, ...]

    @property
    def name(self) -> str:
        """What it is called, without its numbers."""
        return self.expression.partition("(")[0]

    @property
    def usd(self) -> Decimal:
        """What it saves a month."""
        return total(self.before) - total(self.after)

    @property
    def is_taken(self) -> bool:
        return self.decision == "taken"


@dataclass(frozen=True)
class Plan(Finding):
    """The steps: those taken in their order, then the others. `target` is the share of the bill that was to be saved."""

    situation: Situation
    target: Decimal
    steps: tuple[Step, ...]
    command: str | None = None

    @property
    def workload(self) -> Workload:
        return self.situation.workload

    @property
    def taken(self) -> tuple[Step, ...]:
        """The savings of the plan, in order."""
        return tuple(step for step in self.steps if step.is_taken)

    @property
    def before(self) -> tuple[Part, ...]:
        """The requests as they are."""
        return (self.situation.traffic(),)

    @property
    def after(self) -> tuple[Part, ...]:
        """The requests when the plan is carried out."""
        return self.taken[-1].after if self.taken else self.before

    @property
    def saving(self) -> Decimal:
        """Share of the bill that is saved, 0..1."""
        return share_saved(self.before, self.after)

    @property
    def is_reached(self) -> bool:
        return self.saving >= self.target

    @property
    def table(self) -> Table:
        """Every saving with what was decided."""
        now = {"saving": "as it is", "decision": NOTHING, "risk": NOTHING, "usd_saved": None, "usd": total(self.before)}
        rows = [now, *(_row(step) for step in self.steps)]
        reached = f"{self.saving:.1%} of ${total(self.before):,.2f} a month is saved, {self.target:.0%} was the target"
        notes = [reached if self.is_reached else f"NOT reached: {reached}"]
        units = {"usd_saved": "usd", "usd": "usd"}
        shown = ["saving", "decision", "risk", "usd_saved", "usd"]
        return Table(rows, title=f"Plan: {self.workload.name}", columns=shown, units=units, notes=notes, command=self.command)

    @property
    def reasons(self) -> Table:
        """Why each is taken or not."""
        rows = [{"saving": step.name, "why": step.why} for step in self.steps]
        return Table(rows, title="Why", command=self.command)

    @property
    def work(self) -> Table:
        """How each step is done, and what it risks."""
        rows = [
            {"saving": step.name if number == 1 else "", "expression": step.expression, "no": number, "to do": line}
            for step in self.taken
            for number, line in enumerate([*step.saving.steps, f"Risk ({step.saving.risk}): {step.saving.loss}."], start=1)
        ]
        nothing = {"saving": NOTHING, "no": None, "to do": "nothing is taken"}
        return Table(rows or [nothing], title="How it is done", columns=["saving", "no", "to do"], command=self.command)

    @property
    def figure(self) -> Figure:
        """Dollars a month after each step."""
        from isinglass.show.marks.bars import bars

        labels = ["as it is", *(step.name for step in self.taken)]
        values = [float(total(self.before)), *(float(total(step.after)) for step in self.taken)]
        return bars(labels, values, title="The bill after each step", axis="US dollars a month", unit="usd", command=self.command)

    @property
    def projection(self) -> Projection:
        """Month by month, with the workload's growth."""
        return Projection.of(self.workload, total(self.before), total(self.after), command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table, self.figure, self.reasons, self.work, *self.projection.parts]

    @property
    def data(self) -> Any:
        return {
            "workload": self.workload.to_dict(), "target": self.target, "saving": self.saving, "reached": self.is_reached,
            "usd_before": total(self.before), "usd_after": total(self.after),
            "steps": [_row(step) for step in self.steps], "work": self.work.rows, "projection": self.projection.data,
        }  # fmt: skip


def _row(step: Step) -> dict[str, Any]:
    return {
        "saving": step.name,
        "expression": step.expression,
        "decision": step.decision,
        "risk": str(step.saving.risk),
        "usd_saved": step.usd if step.decision != "does not apply" else None,
        "usd": total(step.after) if step.is_taken else None,
        "why": step.why,
    }


def share_saved(before: Sequence[Part], after: Sequence[Part]) -> Decimal:
    """Share of a bill that is saved, 0..1."""
    return 1 - total(after) / total(before) if total(before) else Decimal(0)


def branched(saving: Saving, parts: Sequence[Part], situation: Situation) -> Iterator[tuple[int, Branch, Part]]:
    """Every part after a saving, with the place of the part that it comes from and what was done to it. Parts for which the saving
    cannot be had stay as they are."""
    for place, part in enumerate(parts):
        can = saving.verdict(part, situation).applies
        for branch in saving.branches(part, situation) if can else [Branch()]:
            yield place, branch, branch.of(part)


def applied(saving: Saving, parts: Sequence[Part], situation: Situation) -> tuple[Part, ...]:
    """The requests after a saving."""
    return tuple(part for _, _, part in branched(saving, parts, situation))


def verdict(saving: Saving, parts: Sequence[Part], situation: Situation) -> Verdict:
    """That of the first part for which it can be had; else that of the first part."""
    found = [saving.verdict(part, situation) for part in parts]
    return next((one for one in found if one.applies), found[0])


def plan(
    workload: Workload,
    *,
    target: Decimal | float = Decimal("0.5"),
    most: Risk = Risk.MEDIUM,
    known: PriceList | None = None,
    command: str | None = None,
) -> Plan:
    """Choose savings of a workload until `target` (0..1) of its bill is saved: those of less risk first, at equal risk the larger.

    Savings riskier than `most` are told, and not taken. Raises ConfigError for a target that cannot be and for a workload without
    a bill, VariantError for a saving that is unknown, PriceError for a model without a price.
    """
    wanted = Decimal(str(target))
    if not 0 < wanted < 1:
        raise ConfigError(f"target = {target!r}, expected between 0 and 1", hint="50% is 0.5")
    situation = Situation(workload, known or prices(), day(workload.on))
    traffic = (situation.traffic(),)
    if not total(traffic):
        raise ConfigError(f"{workload.name!r} costs nothing: there is nothing to save", hint="give requests and tokens above 0")
    savings = {text: family.resolve(text, where="savings") for text in dict.fromkeys(workload.savings)}
    taken = _taken(savings, traffic, situation, wanted, most)
    end = taken[-1].after if taken else traffic
    left = [text for text in savings if text not in {step.expression for step in taken}]
    others = [_left(text, savings[text], end, traffic, situation, most) for text in left]
    return Plan(situation, wanted, (*taken, *others), command)


def _taken(savings: dict[str, Saving], traffic: tuple[Part, ...], situation: Situation, wanted: Decimal, most: Risk) -> list[Step]:
    taken: list[Step] = []
    now = traffic
    while share_saved(traffic, now) < wanted:
        open_ = {text: one for text, one in savings.items() if text not in {step.expression for step in taken} and one.risk <= most}
        found = {text: applied(one, now, situation) for text, one in open_.items() if verdict(one, now, situation).applies}
        worth = {text: after for text, after in found.items() if total(now) - total(after) >= LEAST * total(traffic)}
        if not worth:
            break
        best = min(worth, key=lambda text: (savings[text].risk, total(worth[text])))
        taken.append(Step(best, savings[best], "taken", verdict(savings[best], now, situation).why, now, worth[best]))
        now = worth[best]
    return taken


def _left(text: str, saving: Saving, end: tuple[Part, ...], traffic: tuple[Part, ...], situation: Situation, most: Risk) -> Step:
    """Why a saving was not taken, judged at the end of the plan; `traffic` are the requests as they are today."""
    told = verdict(saving, end, situation)
    if not told.applies:
        today = verdict(saving, traffic, situation)
        return Step(text, saving, "does not apply", told.why if today.applies else today.why, end, end)
    after = applied(saving, end, situation)
    share = (total(end) - total(after)) / total(traffic)
    if saving.risk > most:
        return Step(text, saving, "too risky", f"{saving.loss}; it would save {share:.1%} of the bill more", end, after)
    if share < LEAST:
        return Step(text, saving, "too small", f"it would save {share:.1%} of the bill: {told.why}", end, after)
    return Step(text, saving, "not needed", f"the target is reached; it would save {share:.1%} of the bill more", end, after)
