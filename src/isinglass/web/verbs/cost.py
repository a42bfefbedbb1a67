"""What a workload costs, and how its bill comes down by a target."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from isinglass.core.errors import ConfigError
from isinglass.economics.workload import Workload
from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown, Working
from isinglass.web.expressions import named
from isinglass.web.verb import Verb

if TYPE_CHECKING:
    from isinglass.economics.quote import Quote
    from isinglass.economics.report import PlanReport

FILE = "workload.toml"  # as it is offered for download, and as the command names it


class Request(Verb):
    """`workload` as in a file for `isinglass price plan`; `target` is the share of the bill to be saved, `most` the riskiest that is taken.

    `text` and `model` are the bar's, and change nothing.
    """

    text: str = ""
    model: str = ""
    workload: Workload = Workload(model="gpt-4o", requests=100_000, tokens_in=150, tokens_out=200)
    target: Decimal = Field(default=Decimal("0.5"), gt=0, lt=1)
    most: Literal["none", "low", "medium", "high"] = "medium"

    @property
    def _values(self) -> dict[str, Any]:
        """The workload as a file says it: what is not its default."""
        return self.workload.model_dump(mode="python", exclude_none=True, exclude_defaults=True)

    @property
    def toml(self) -> str:
        """The workload as a file."""
        import tomli_w

        return tomli_w.dumps(self._values)

    @property
    def python(self) -> str:
        values = self.workload.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        most = "" if self.most == "medium" else f", most=risk({self.most!r})"
        return (
            "from isinglass.economics.plan import plan\nfrom isinglass.economics.report import PlanReport\n"
            "from isinglass.economics.saving import risk\nfrom isinglass.economics.workload import Workload\n\n"
            f"workload = Workload(**{values!r})\nPlanReport.of(plan(workload, target={self.target}{most}))"
        )

    @property
    def command(self) -> str:
        return f"isinglass price plan {FILE} --target {self.target}" + ("" if self.most == "medium" else f" --most {self.most}")

    def run(self, bench: Bench) -> Iterator[Event]:
        yield Working("planning")
        report = self.report()
        yield from self._plan(report)
        yield Shown.of(report.plan.projection, slot="months")
        yield Shown(report.break_even.parts[::-1] if report.break_even else (), slot="even")
        yield Working("drawing")
        yield Shown(report.sensitivity.parts[::-1] if report.sensitivity else (), slot="matters")
        yield Shown([report.plan.work], slot="work")
        yield Shown.of(self._quote(), slot="models")

    def _plan(self, report: PlanReport) -> Iterator[Event]:
        from isinglass.economics.traffic import total

        plan = report.plan
        known = [one.model for one in plan.situation.known if one.retired_on is None or one.retired_on > plan.situation.day]
        about = {
            "models": known, "saving": float(plan.saving), "target": float(plan.target), "reached": plan.is_reached,
            "usd": [float(total(parts)) for parts in (plan.before, plan.after)], "file": FILE, "toml": self.toml,
        }  # fmt: skip
        yield Shown([plan.table, plan.figure, plan.reasons], about, slot="plan")

    def report(self) -> PlanReport:
        """The plan with what it rests on. Raises what `plan` does, and ConfigError for a prefix longer than the prompt."""
        from isinglass.economics.plan import plan
        from isinglass.economics.report import PlanReport
        from isinglass.economics.saving import risk

        asked = self.workload
        if asked.prefix_tokens > asked.tokens_in:
            raise ConfigError(
                f"the shared prefix has {asked.prefix_tokens:,} tokens, the whole request {asked.tokens_in:,}",
                hint="a prefix is a part of the tokens in",
            )
        for saving in asked.savings:
            named(saving, "saving", command="isinglass price plan")
        return PlanReport.of(plan(asked, target=self.target, most=risk(self.most), command=self.command))

    def _quote(self) -> Quote:
        """What the models cost beside each other, before any saving."""
        from isinglass.economics.quote import price

        asked = self.workload
        models = list(dict.fromkeys([asked.model, *asked.models]))
        told = {"--requests": asked.requests, "--in": asked.tokens_in, "--out": asked.tokens_out, "--variations": asked.variations}
        words = ["isinglass", "price", ",".join(models), *(str(word) for pair in told.items() for word in pair)]
        words += [] if asked.on is None else ["--on", str(asked.on)]
        return price(
            requests=asked.requests, tokens_in=asked.tokens_in, tokens_out=asked.tokens_out, models=models, variations=asked.variations,
            on=asked.on, command=shlex.join(words),
        )  # fmt: skip
