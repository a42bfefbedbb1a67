"""`Projection`: what a workload costs month by month as it grows, with and without the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from isinglass.economics.price import tidy
from isinglass.economics.workload import Workload
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table


@dataclass(frozen=True)
class Projection(Finding):
    """Dollars of each month, the first being this one; `one_off_usd` is what the plan costs to carry out."""

    requests: tuple[Decimal, ...]
    before: tuple[Decimal, ...]
    after: tuple[Decimal, ...]
    one_off_usd: Decimal
    command: str | None = None

    @classmethod
    def of(cls, workload: Workload, before: Decimal, after: Decimal, *, command: str | None = None) -> Projection:
        """From the first month's bills and the workload's growth.

        >>> two = Workload(model="gpt-4o", requests=100, tokens_in=1, tokens_out=1, growth="0.1", months=2)
        >>> Projection.of(two, Decimal(100), Decimal(40)).after
        (Decimal('40'), Decimal('44'))
        """
        grown = [(1 + workload.growth) ** month for month in range(workload.months)]
        requests, without, with_plan = (tuple(tidy(first * by) for by in grown) for first in (Decimal(workload.requests), before, after))
        return cls(requests, without, with_plan, workload.one_off_usd, command)

    @property
    def saved(self) -> tuple[Decimal, ...]:
        """Saved up to each month, less what the plan costs to carry out."""
        sums, so_far = [], -self.one_off_usd
        for without, with_plan in zip(self.before, self.after, strict=True):
            so_far += without - with_plan
            sums.append(tidy(so_far))
        return tuple(sums)

    @property
    def paid_back(self) -> int | None:
        """The month (1 is the first) at whose end the plan has paid for itself; None: not within these months."""
        return next((month for month, amount in enumerate(self.saved, start=1) if amount >= 0), None)

    @property
    def table(self) -> Table:
        """A row for each month."""
        rows = [
            {"month": month, "requests": requests, "as it is": before, "with the plan": after, "saved so far": saved}
            for month, (requests, before, after, saved) in enumerate(
                zip(self.requests, self.before, self.after, self.saved, strict=True), start=1
            )
        ]
        money = dict.fromkeys(["as it is", "with the plan", "saved so far"], "usd")
        notes = [f"carrying it out costs ${self.one_off_usd:,.2f} once; {self._told()}"] if self.one_off_usd else []
        return Table(rows, title="Month by month", units={"requests": "count", **money}, notes=notes, command=self.command)

    def _told(self) -> str:
        return "it is not paid back within these months" if self.paid_back is None else f"it is paid back in month {self.paid_back}"

    @property
    def figure(self) -> Figure:
        """Both bills over the months."""
        from isinglass.show.marks.lines import lines

        months = list(range(1, len(self.before) + 1))
        curves = {"as it is": self.before, "with the plan": self.after}
        series = {name: (months, [float(usd) for usd in values]) for name, values in curves.items()}
        return lines(series, title="The bill month by month", x="month", y="US dollars a month", command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.figure, self.table]

    @property
    def data(self) -> Any:
        return {"months": self.table.rows, "one_off_usd": self.one_off_usd, "paid_back": self.paid_back}
