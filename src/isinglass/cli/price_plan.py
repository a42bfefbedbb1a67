"""`isinglass price plan`: how a workload's bill comes down by a target."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.price import Prices
from isinglass.cli.verb import option, verb
from isinglass.core.errors import ConfigError

EXAMPLES = (
    "isinglass price plan examples/workloads/support_chatbot.toml --target 50%",
    "isinglass price plan examples/workloads/support_chatbot.toml --target 70% --most high --save plan.xlsx",
)
NOTES = [
    "Savings are taken in order of their risk until the target is reached; the others are told with the reason.",
    "isinglass explain savings.routing tells what one does. --save plan.xlsx writes a workbook with live formulas.",
]
app = verb("plan", EXAMPLES, notes=NOTES)
Workload = Annotated[Path, option("A workload in TOML; examples/workloads/support_chatbot.toml shows every key.")]


def ratio(text: str) -> float:
    """A share as people type it. Raises ConfigError.

    >>> ratio("50%"), ratio("0.5")
    (0.5, 0.5)
    """
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise ConfigError(f"{text!r} is no share", hint="50% or 0.5") from None


@app.default
def price_plan(
    workload: Workload,
    /,
    *,
    target: Annotated[str, option("Share of the bill to be saved, such as 50% or 0.5.")] = "50%",
    most: Annotated[str, option("The riskiest that is taken: none, low, medium or high.")] = "medium",
    by: Annotated[str, option("How far each number is moved to see what it matters.")] = "20%",
    prices: Prices = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """How a workload's bill comes down by a target: what is taken, why, and what it risks."""
    from isinglass.economics.plan import plan
    from isinglass.economics.price_list import prices as listed
    from isinglass.economics.report import PlanReport
    from isinglass.economics.saving import risk
    from isinglass.economics.workload import read_workload

    command = f"isinglass price plan {shlex.quote(str(workload))} --target {target}" + ("" if most == "medium" else f" --most {most}")
    command += f" --prices {shlex.quote(prices)}" if prices else ""
    found = plan(read_workload(workload), target=ratio(target), most=risk(most), known=listed(prices), command=command)
    report = PlanReport.of(found, by=ratio(by))
    output.emit(Result.of(report, xlsx=lambda: report.workbook.to_xlsx()))
