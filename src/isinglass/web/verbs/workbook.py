"""The plan of the page Cost as a workbook with live formulas."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown
from isinglass.web.verbs import cost


class Request(cost.Request):
    """As for `cost`; `data.xlsx` is the file in base64."""

    @property
    def python(self) -> str:
        return f"{super().python}.workbook.save('plan.xlsx')"

    @property
    def command(self) -> str:
        return f"{super().command} --save plan.xlsx"

    def run(self, bench: Bench) -> Iterator[Event]:
        yield Shown(data={"name": "plan.xlsx", "xlsx": base64.b64encode(self.report().workbook.to_xlsx()).decode()})
