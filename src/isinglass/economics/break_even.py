"""From how many requests on a machine of one's own costs less than an interface that bills tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from isinglass.core.errors import ConfigError
from isinglass.economics.price import tidy
from isinglass.economics.traffic import Part, total
from isinglass.economics.workload import SECONDS, Hardware
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table

_POINTS = 40  # of a curve


@dataclass(frozen=True)
class BreakEven(Finding):
    """`usd_per_request` of the interface, `machine_usd` of one machine a month, `capacity` the requests a month that one serves."""

    usd_per_request: Decimal
    requests: int
    hardware: Hardware
    machine_usd: Decimal
    capacity: Decimal
    command: str | None = None

    def machines(self, requests: int) -> int:
        """How many machines serve so many requests a month; one at least."""
        return max(1, math.ceil(requests / self.capacity))

    def own_usd(self, requests: int) -> Decimal:
        """A month on machines of one's own."""
        return self.machines(requests) * self.machine_usd

    def api_usd(self, requests: int) -> Decimal:
        """A month at the provider's."""
        return requests * self.usd_per_request

    @property
    def at(self) -> int | None:
        """The least number of requests a month from which on one machine costs no more than the provider; None: a machine that is busy
        all the time still costs more, so more of them do as well."""
        if not self.usd_per_request:
            return None
        volume = math.ceil(self.machine_usd / self.usd_per_request)
        return volume if volume <= self.capacity else None

    @property
    def table(self) -> Table:
        """Bills at the present number of requests, at the break-even and at what one machine serves."""
        volumes = {"today": self.requests, "one machine, busy": int(self.capacity)} | ({} if self.at is None else {"break-even": self.at})
        rows = [
            {
                "case": case, "requests": volume, "machines": self.machines(volume),
                "own_usd": tidy(self.own_usd(volume)), "api_usd": tidy(self.api_usd(volume)),
            }
            for case, volume in sorted(volumes.items(), key=lambda item: item[1])
        ]  # fmt: skip
        return Table(rows, title="Own machine or provider, a month", units={"requests": "count"}, notes=self._notes(), command=self.command)

    def _notes(self) -> list[str]:
        speed = (
            f"{self.hardware.name}: {self.hardware.tokens_per_second:,} output tokens/s, busy {self.hardware.utilisation:.0%} of the time"
        )
        told = "a machine that is busy all the time costs more than the provider takes for what it serves: there is no break-even"
        if self.at is not None:
            told = f"from {self.at:,} requests a month on, the machine costs no more than the provider"
        return [told, f"{speed}: {int(self.capacity):,} requests a month", "the models differ: compare their answers before their bills"]

    @property
    def figure(self) -> Figure:
        """Both bills over the number of requests; own machines are a staircase."""
        from isinglass.show.marks.lines import lines

        end = 2 * max(self.requests, self.at or 0, int(self.capacity) if self.at is None else 0, 1)
        volumes = sorted({max(1, end * place // _POINTS) for place in range(_POINTS + 1)})
        series = {
            "provider": (volumes, [float(self.api_usd(volume)) for volume in volumes]),
            "own machines": (volumes, [float(self.own_usd(volume)) for volume in volumes]),
        }
        return lines(series, title="Break-even", x="requests a month", y="US dollars a month", command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table, self.figure]

    @property
    def data(self) -> Any:
        return {
            "break_even_requests": self.at, "requests": self.requests, "usd_per_request": self.usd_per_request,
            "machine_usd": self.machine_usd, "capacity_requests": int(self.capacity), "hardware": self.hardware.to_dict(),
            "rows": self.table.rows,
        }  # fmt: skip


def break_even(parts: Sequence[Part], hardware: Hardware, *, requests: int, command: str | None = None) -> BreakEven:
    """Compare a bill of `requests` a month (whose `parts` may be fewer, behind a cache) with machines that serve them.

    Raises ConfigError when the machine's speed is not known, and for a workload without requests or answers.
    """
    if hardware.tokens_per_second is None:
        raise ConfigError(
            "hardware.tokens_per_second is missing: it has to be measured",
            hint="isinglass price breakeven --measure smollm2, or give the number in the file",
        )
    tokens = sum((part.requests * part.answers * part.tokens_out for part in parts), Decimal(0))
    if not requests or not tokens:
        raise ConfigError("a break-even needs requests and output tokens above 0")
    capacity = hardware.tokens_per_second * hardware.utilisation * SECONDS / (tokens / requests)
    return BreakEven(total(parts) / requests, requests, hardware, hardware.usd, capacity, command)
