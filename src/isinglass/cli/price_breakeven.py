"""`isinglass price breakeven`: from how many requests on a machine of one's own costs less than a provider."""

from __future__ import annotations

import shlex
from decimal import Decimal
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.price import Prices
from isinglass.cli.price_plan import Workload, ratio
from isinglass.cli.verb import at_least, option, verb
from isinglass.core.errors import ConfigError

EXAMPLES = (
    "isinglass price breakeven examples/workloads/support_chatbot.toml",
    "isinglass price breakeven examples/workloads/support_chatbot.toml --after --target 50%",
    "isinglass price breakeven examples/workloads/support_chatbot.toml --measure smollm2 --batch 8",
)
app = verb("breakeven", EXAMPLES, notes=["The machine stands in the workload's table [hardware]; --measure takes the speed of this one."])


@app.default
def price_breakeven(
    workload: Workload,
    /,
    *,
    after: Annotated[bool, option("Compare with the bill when the plan is carried out.")] = False,
    target: Annotated[str, option("Of that plan.")] = "50%",
    measure: Annotated[str | None, option("Measure this model's output tokens per second here, in place of the file's number.")] = None,
    batch: Annotated[int, option("Answers at once while measuring.", validator=at_least(1))] = 8,
    prices: Prices = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """From how many requests on a machine of one's own costs less than a provider."""
    from isinglass.economics.break_even import break_even
    from isinglass.economics.plan import plan
    from isinglass.economics.price_list import prices as listed
    from isinglass.economics.workload import read_workload

    asked = read_workload(workload)
    if asked.hardware is None:
        raise ConfigError(f"{workload}: no table [hardware]", hint="examples/workloads/support_chatbot.toml shows one")
    hardware = asked.hardware
    if measure is not None:
        with output.working(f"measuring {measure}"):
            speed = _tokens_per_second(measure, batch)
        output.say(f"{measure}: {speed:.1f} output tokens/s, {batch} answers at once")
        hardware = hardware.model_copy(update={"name": f"this machine with {measure}", "tokens_per_second": Decimal(f"{speed:.1f}")})
    found = plan(asked, target=ratio(target), known=listed(prices))
    command = f"isinglass price breakeven {shlex.quote(str(workload))}" + (f" --after --target {target}" if after else "")
    command += (f" --measure {measure} --batch {batch}" if measure else "") + (f" --prices {shlex.quote(prices)}" if prices else "")
    parts = found.after if after else found.before
    output.emit(Result.of(break_even(parts, hardware, requests=asked.requests, command=command)))


def _tokens_per_second(model: str, batch: int) -> float:
    """Output tokens a second of `batch` answers together, the second of two runs."""
    import time

    from isinglass.generation.lm import load
    from isinglass.generation.loop import generate

    lm, tokens = load(model), 48
    prompts = [f"Question {number}: how do I return an item?" for number in range(batch)]
    generate(lm, prompts, max_tokens=tokens, ignore_end=True)  # the first run also prepares the model
    begun = time.perf_counter()
    generate(lm, prompts, max_tokens=tokens, ignore_end=True)
    return batch * tokens / (time.perf_counter() - begun)
