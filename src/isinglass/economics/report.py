"""`PlanReport`: a plan with what it rests on, as one result: steps, months, what each number matters, break-even, workbook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from isinglass.economics.break_even import BreakEven, break_even
from isinglass.economics.plan import Plan
from isinglass.economics.plan_workbook import plan_workbook
from isinglass.economics.sensitivity import Sensitivity, sensitivity
from isinglass.report.workbook import Workbook
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable


@dataclass(frozen=True)
class PlanReport(Finding):
    """`sensitivity` is None for a plan that takes nothing, `break_even` for a workload without a machine whose speed is known."""

    plan: Plan
    sensitivity: Sensitivity | None
    break_even: BreakEven | None

    @classmethod
    def of(cls, plan: Plan, *, by: Decimal | float = Decimal("0.2")) -> PlanReport:
        """Work everything out; `by` (0..1) is how far each number is moved. Raises ConfigError for a `by` that cannot be."""
        machine, requests = plan.workload.hardware, plan.workload.requests
        even = (
            None
            if machine is None or machine.tokens_per_second is None
            else break_even(plan.before, machine, requests=requests, command=plan.command)
        )
        moved = sensitivity(plan, by=by, command=plan.command) if plan.taken else None
        return cls(plan, moved, even)

    @property
    def workbook(self) -> Workbook:
        """The whole as a workbook with live formulas."""
        return plan_workbook(self.plan, self.break_even)

    @property
    def parts(self) -> Sequence[Showable]:
        return [part for finding in (self.plan, self.sensitivity, self.break_even) if finding is not None for part in finding.parts]

    @property
    def data(self) -> Any:
        more = {"sensitivity": self.sensitivity, "break_even": self.break_even}
        return self.plan.data | {name: finding.data for name, finding in more.items() if finding is not None}
