"""A plan as a workbook whose figures are formulas: change a coloured cell, and every sheet follows.

Traffic has a row for each part of the requests after each step, made from the row that it comes from by what the step's `Branch` says; the
other sheets add those rows up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from isinglass.economics.break_even import BreakEven
from isinglass.economics.plan import Plan, Step, branched
from isinglass.economics.price import Price
from isinglass.economics.saving import Branch, Share
from isinglass.economics.traffic import Part, total
from isinglass.economics.workload import SECONDS
from isinglass.report.workbook import Cell, Chart, Kind, Sheet, Workbook, place

Row = list[Cell | None]
_TRAFFIC = (
    "step",
    "part",
    "model",
    "requests",
    "tokens in",
    "of them cached",
    "tokens out",
    "prompts",
    "answers",
    "USD a request",
    "USD a month",
)
_REQUESTS, _TOKENS_IN, _CACHED, _TOKENS_OUT, _PROMPTS, _ANSWERS, _EACH, _MONTH = range(3, 11)
_ASSUMPTIONS, _PRICES, _TRAFFIC_SHEET, _PLAN = "Assumptions", "Prices", "Traffic", "Plan"


def plan_workbook(plan: Plan, break_even: BreakEven | None = None) -> Workbook:
    """The whole plan; with `break_even` of the bill as it is, a sheet for it."""
    rates = _Rates(plan)
    traffic = _Traffic(plan, rates)
    sheets = [_assumptions(plan), rates.sheet(), _models(plan, rates), traffic.sheet(), _summary(plan, traffic), _projection(plan)]
    return Workbook(f"Plan: {plan.workload.name}", [*sheets, *([] if break_even is None else [_break_even(break_even)])])


def heading(*names: str) -> Row:
    """A line of headings."""
    return [Cell(name, "heading") for name in names]


def texts(*values: str) -> Row:
    """A line of texts."""
    return [Cell(value, "text") for value in values]


def share_name(step: Step, share: Share) -> str:
    """How formulas call a number of a saving; the workload's own numbers keep their name."""
    own = {one.name for one in step.saving.shares}
    return f"{step.name}_{share.name}" if share.name in own else share.name


def _assumptions(plan: Plan) -> Sheet:
    asked = plan.workload
    told: list[tuple[str, str, Decimal | int | float]] = [
        ("Requests a month", "requests", asked.requests),
        ("Input tokens of a request", "tokens_in", asked.tokens_in),
        ("Output tokens of an answer", "tokens_out", asked.tokens_out),
        ("Variations of each answer", "variations", asked.variations),
        ("Share of the requests that need all variations", "variations_share", asked.variations_share),
        ("Growth of the requests a month", "growth", asked.growth),
        ("Carrying the plan out, USD once", "one_off_usd", asked.one_off_usd),
        ("Share of the bill to be saved", "target", plan.target),
    ]
    for step in plan.taken:
        told += [(f"{step.expression}: {share.name}", share_name(step, share), share.value) for share in step.saving.shares]
    if asked.hardware is not None and asked.hardware.tokens_per_second is not None:
        machine = asked.hardware
        told += [
            (f"{machine.name}: USD a month, electricity included", "machine_usd", machine.usd),
            (f"{machine.name}: output tokens per second", "tokens_per_second", machine.tokens_per_second or 0),
            (f"{machine.name}: share of the time that it is busy", "utilisation", machine.utilisation),
        ]
    rows: list[Row] = [
        [Cell(f"Plan: {asked.name}", "heading")],
        [Cell("Change the coloured cells: every other sheet follows.", "note")],
        [],
        heading("what", "value"),
        *([Cell(label, "text"), Cell(value, "input", name=name)] for label, name, value in told),
    ]
    if plan.command:
        rows += [[], [Cell(f"made by: {plan.command}", "note")]]
    return Sheet(_ASSUMPTIONS, rows, widths=(56, 14))


class _Rates:
    """The rates that the plan uses, a row each on the sheet of prices."""

    def __init__(self, plan: Plan) -> None:
        compared = [plan.situation.price(model) for model in plan.workload.models]
        parts = [*plan.before, *(part for step in plan.taken for part in step.after), *(_asked(plan, price, 1) for price in compared)]
        self.rows = {self.key(part): part for part in parts}
        self.line = {key: place + 3 for place, key in enumerate(self.rows)}  # counted from 1, below title and headings

    @staticmethod
    def key(part: Part) -> str:
        """Model and, where it is not the usual rate, which."""
        usual = part.price.rates() == part.rates
        return part.price.model + ("" if usual else " (batch)" if part.batch else " (long prompts)")

    def cells(self, part: Part) -> tuple[str, str, str]:
        """Where a part's rates stand: input, cached input, output."""
        line = self.line[self.key(part)] - 1
        return tuple(f"{_PRICES}!{place(line, column, fixed=True)}" for column in (1, 2, 3))  # type: ignore[return-value]

    def sheet(self) -> Sheet:
        rows: list[Row] = [
            [Cell("US dollars per million tokens", "heading")],
            heading("model", "input", "cached input", "output", "read on", "source"),
        ]
        for key, part in self.rows.items():
            rates, price = part.rates, part.price
            cached = rates.input if rates.cached_input is None else rates.cached_input
            amounts: Row = [Cell(amount, "input") for amount in (rates.input, cached, rates.output)]
            read_on = "" if price.as_of is None else price.as_of.isoformat()
            rows.append([Cell(key, "text"), *amounts, *texts(read_on, price.source)])
        return Sheet(_PRICES, rows, widths=(30, 12, 12, 12, 12, 36))


def _asked(plan: Plan, price: Price, prompts: int) -> Part:
    asked = plan.workload
    return Part.asked(price, asked.requests, asked.tokens_in, asked.tokens_out, prompts=prompts, answers=asked.variations)


def _models(plan: Plan, rates: _Rates) -> Sheet:
    """The workload with each model, in both readings of several variations."""
    asked = plan.workload
    names = asked.models or (asked.model,)
    rows: list[Row] = [
        heading(
            "model", "one request, USD", "one request, USD a month", "separate requests, USD", "separate requests, USD a month", "saved"
        )
    ]
    first = None
    for line, name in enumerate(names, start=2):
        price = plan.situation.price(name)
        together, apart = _asked(plan, price, 1), _asked(plan, price, asked.variations)
        first = first or apart
        into, _, out = rates.cells(together)
        answer = f"variations*tokens_out*{out}"
        row: Row = [Cell(name, "text")]
        for part, prompts in ((together, "1"), (apart, "variations")):
            each = f"=({prompts}*tokens_in*{into}+{answer})/1000000"
            row.append(Cell(part.usd_per_request, "rate", formula=each))
            row.append(Cell(part.usd, "usd", formula=f"=requests*{place(line - 1, len(row) - 1)}"))
        saved = 1 - apart.usd / first.usd if first.usd else None
        rows.append([*row, Cell(saved, "percent", formula=f"=IF($E$2=0,0,1-E{line}/$E$2)")])
    series = {"one request": 2, "separate requests": 4} if asked.variations > 1 else {"USD a month": 4}
    chart = Chart("column", "What it costs a month", 2, len(rows), 0, series, "model", "US dollars a month")
    return Sheet("Models", rows, widths=(24, 18, 18, 18, 18, 10), charts=[chart])


@dataclass(frozen=True)
class _Block:
    """The rows of one state of the requests: `first` and `last` on the sheet of traffic, counted from 1."""

    first: int
    last: int

    @property
    def usd(self) -> str:
        return f"SUM({_TRAFFIC_SHEET}!$K${self.first}:$K${self.last})"


class _Traffic:
    """A block of rows for the requests as they are, and one after each step."""

    def __init__(self, plan: Plan, rates: _Rates) -> None:
        self.rates, self.rows = rates, [heading(*_TRAFFIC)]
        start = plan.before[0]
        together = plan.workload.reading == "one request"
        begun = {"requests": "=requests", "tokens_in": "=tokens_in", "tokens_out": "=tokens_out", "answers": "=variations"}
        self.rows.append(self._row("as it is", start, begun | {"prompts": "=1" if together else "=variations"}))
        self.blocks = [_Block(2, 2)]
        for step in plan.taken:
            self.blocks.append(self._block(plan, step, self.blocks[-1].first))

    def _block(self, plan: Plan, step: Step, parents: int) -> _Block:
        first = len(self.rows) + 1
        for parent, branch, part in branched(step.saving, step.before, plan.situation):
            self.rows.append(self._row(step.expression, part, _formulas(step, branch, parents + parent)))
        return _Block(first, len(self.rows))

    def _row(self, step: str, part: Part, formulas: dict[str, str]) -> Row:
        line = len(self.rows) + 1
        into, cached, out = self.rates.cells(part)
        prompt = f"H{line}*((E{line}-F{line})*{into}+F{line}*{cached})"
        amounts: list[tuple[Kind, str, Decimal | int]] = [
            ("count", "requests", part.requests), ("number", "tokens_in", part.tokens_in), ("number", "cached_tokens", part.cached_tokens),
            ("number", "tokens_out", part.tokens_out), ("number", "prompts", part.prompts), ("number", "answers", part.answers),
        ]  # fmt: skip
        return [
            *texts(step, part.label, self.rates.key(part)),
            *(Cell(value, kind, formula=formulas.get(name, "")) for kind, name, value in amounts),
            Cell(part.usd_per_request, "rate", formula=f"=({prompt}+I{line}*G{line}*{out})/1000000"),
            Cell(part.usd, "usd", formula=f"=D{line}*J{line}"),
        ]

    def sheet(self) -> Sheet:
        return Sheet(_TRAFFIC_SHEET, self.rows, widths=(34, 14, 20, 12, 10, 12, 10, 9, 9, 14, 14))


def _formulas(step: Step, branch: Branch, parent: int) -> dict[str, str]:
    """What a branch does, over the row of the part that it comes from."""
    columns = {"requests": "D", "tokens_in": "E", "tokens_out": "G", "prompts": "H", "answers": "I"}
    found = {}
    for name, column in columns.items():
        change = getattr(branch, name)
        if isinstance(change, Share):
            called = share_name(step, change)
            found[name] = f"={column}{parent}*" + (f"(1-{called})" if change.is_rest else called)
        elif change is None:
            found[name] = f"={column}{parent}"
    return found if branch.cached_tokens is not None else found | {"cached_tokens": f"=MIN(F{parent},E{parent})"}


def _summary(plan: Plan, traffic: _Traffic) -> Sheet:
    """The bill after each step, and the savings that were not taken."""
    rows: list[Row] = [heading("step", "risk", "USD a month", "saved by it", "saved so far", "why")]
    bills = [total(plan.before), *(total(step.after) for step in plan.taken)]
    rows.append([*texts("as it is", ""), Cell(bills[0], "usd", formula=f"={traffic.blocks[0].usd}"), None, None, None])
    for line, (step, block) in enumerate(zip(plan.taken, traffic.blocks[1:], strict=True), start=3):
        rows.append(
            [
                *texts(step.expression, str(step.saving.risk)),
                Cell(bills[line - 2], "usd", formula=f"={block.usd}"),
                Cell(step.usd, "usd", formula=f"=C{line - 1}-C{line}"),
                Cell(1 - bills[line - 2] / bills[0], "percent", formula=f"=IF($C$2=0,0,1-C{line}/$C$2)"),
                Cell(step.why, "text"),
            ]
        )
    last = len(rows)
    reached = f'=IF(1-C{last}/C2>=target,"the target is reached","the target is NOT reached")'
    rows += [[], [Cell("the target is reached" if plan.is_reached else "the target is NOT reached", "text", formula=reached)], []]
    rows.append(heading("not taken", "risk", "decision", "", "", "why"))
    rows += [[*texts(s.expression, str(s.saving.risk), s.decision), None, None, Cell(s.why, "text")] for s in plan.steps if not s.is_taken]
    rows += [[], heading("how it is done", "", "", "", "", "")]
    rows += [texts(step.expression, "", "", "", "", line) for step in plan.taken for line in step.saving.steps]
    chart = Chart("column", "The bill after each step", 2, last, 0, {"USD a month": 2}, "step", "US dollars a month")
    return Sheet(_PLAN, rows, widths=(36, 10, 14, 14, 12, 64), charts=[chart])


def _projection(plan: Plan) -> Sheet:
    found, end = plan.projection, len(plan.taken) + 2
    rows: list[Row] = [heading("month", "requests", "as it is, USD", "with the plan, USD", "saved so far, USD")]
    for month, (requests, before, after, saved) in enumerate(
        zip(found.requests, found.before, found.after, found.saved, strict=True), start=1
    ):
        line = month + 1
        grown = f"(1+growth)^(A{line}-1)"
        so_far = "-one_off_usd" if month == 1 else f"E{line - 1}"
        rows.append(
            [
                Cell(month, "count"),
                Cell(requests, "count", formula=f"=requests*{grown}"),
                Cell(before, "usd", formula=f"={_PLAN}!$C$2*{grown}"),
                Cell(after, "usd", formula=f"={_PLAN}!$C${end}*{grown}"),
                Cell(saved, "usd", formula=f"={so_far}+C{line}-D{line}"),
            ]
        )
    chart = Chart("line", "The bill month by month", 2, len(rows), 0, {"as it is": 2, "with the plan": 3}, "month", "US dollars a month")
    return Sheet("Projection", rows, widths=(8, 14, 16, 18, 18), charts=[chart])


def _break_even(found: BreakEven) -> Sheet:
    """Own machines beside the bill as it is, over the number of requests."""
    tokens, volume = "variations*tokens_out", "ROUNDUP(machine_usd/B1,0)"
    rows: list[Row] = [
        [Cell("Provider, USD a request", "text"), Cell(found.usd_per_request, "rate", formula=f"={_PLAN}!$C$2/requests")],
        [Cell("Requests a month that one machine serves", "text"),
         Cell(found.capacity, "count", formula=f"=tokens_per_second*utilisation*{SECONDS}/({tokens})")],
        [Cell("Break-even, requests a month", "text"),
         Cell("none" if found.at is None else found.at, "count", formula=f'=IF({volume}<=B2,{volume},"none")')],
        [],
        heading("share of today's requests", "requests", "provider, USD", "machines", "own machines, USD"),
    ]  # fmt: skip
    begin = len(rows) + 1
    for line, share in enumerate(_shares(), start=begin):
        requests = int(found.requests * share)
        rows.append(
            [
                Cell(share, "percent"),
                Cell(requests, "count", formula=f"=INT(requests*A{line})"),
                Cell(found.api_usd(requests), "usd", formula=f"=B{line}*$B$1"),
                Cell(found.machines(requests), "count", formula=f"=MAX(1,ROUNDUP(B{line}/$B$2,0))"),
                Cell(found.own_usd(requests), "usd", formula=f"=D{line}*machine_usd"),
            ]
        )
    chart = Chart("line", "Break-even", begin, len(rows), 1, {"provider": 2, "own machines": 4}, "requests a month", "US dollars a month")
    return Sheet("Break-even", rows, widths=(42, 14, 16, 12, 18), charts=[chart])


def _shares() -> Iterator[Decimal]:
    """From a tenth of today's requests to twice as many."""
    yield from (Decimal(tenth) / 10 for tenth in range(1, 21))
