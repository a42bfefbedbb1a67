"""`isinglass price`: what requests cost with each model; and the parts of the verb, each in a file of its own."""

from __future__ import annotations

import shlex
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Names, at_least, option, verb

EXAMPLES = (
    "isinglass price gpt-4o,gpt-4o-mini --requests 50000 --in 2000 --out 500",
    "isinglass price gpt-4o,groq/llama-70b --in 1500 --out 1000 --on 2025-03-01",
    "isinglass price gpt-4o,gpt-4o-mini --requests 100000 --in 150 --out 200 --variations 3 --save costs.csv",
    "isinglass price plan examples/workloads/support_chatbot.toml --target 50% --save plan.xlsx",
    "isinglass price list",
    'isinglass price text "GPT-4 costs $10/M tokens" --with gpt-4o,gpt-5',
)
NOTES = ["Prices are dated (isinglass price list); a file of your own in the same form, or LiteLLM's JSON, is given with --prices."]
app = verb("price", EXAMPLES, notes=NOTES)
app.command("isinglass.cli.price_list:app", name="list", help="The prices that are known, with their day and source.")
app.command("isinglass.cli.price_text:app", name="text", help="A text counted with each model's own vocabulary, and what it costs.")

app.command("isinglass.cli.price_plan:app", name="plan", help="How a workload's bill comes down by a target, and why so.")
app.command("isinglass.cli.price_breakeven:app", name="breakeven", help="From how many requests on an own machine costs less.")
app.command("isinglass.cli.price_cache:app", name="cache", help="How many questions a response cache would answer.")
app.command("isinglass.cli.price_route:app", name="route", help="How many questions a small model could get.")
app.command("isinglass.cli.price_compress:app", name="compress", help="Prompts in fewer tokens, and what they still say.")

Prices = Annotated[str | None, option("Other prices: a FILE.toml as ours, a FILE.json of LiteLLM, or genai-prices.")]
On = Annotated[str | None, option("The day of the prices, such as 2025-03-01; without it, today.")]


@app.default
def price_(
    models: Annotated[Names, option("Comma-separated models; savings are told beside the first.")],
    /,
    *,
    requests: Annotated[int, option("Requests a month.", validator=at_least(0))] = 1,
    tokens_in: Annotated[int, option("Input tokens of a request.", "--in", validator=at_least(0))],
    tokens_out: Annotated[int, option("Output tokens of an answer.", "--out", validator=at_least(0))],
    variations: Annotated[int, option("Answers wanted for each request.", validator=at_least(1))] = 1,
    cached_share: Annotated[float, option("Share of the input (0 to 1) in a prefix that the provider has cached.")] = 0.0,
    batch: Annotated[bool, option("At batch prices: the answer may take a day.")] = False,
    on: On = None,
    prices: Prices = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """What requests cost with each model: each, per day, per month."""
    from isinglass.economics.price_list import prices as listed
    from isinglass.economics.quote import price

    command = f"isinglass price {shlex.quote(','.join(models))} --requests {requests} --in {tokens_in} --out {tokens_out}"
    command += f" --variations {variations}" if variations > 1 else ""
    command += f" --cached-share {cached_share:g}" if cached_share else ""
    command += (" --batch" if batch else "") + (f" --on {on}" if on else "") + (f" --prices {shlex.quote(prices)}" if prices else "")
    found = price(
        requests=requests, tokens_in=tokens_in, tokens_out=tokens_out, models=models, variations=variations, cached_share=cached_share,
        batch=batch, on=on, known=listed(prices), command=command,
    )  # fmt: skip
    output.emit(Result.of(found))
