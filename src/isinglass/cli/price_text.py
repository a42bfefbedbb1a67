"""`isinglass price text`: a text in tokens of each model, and in dollars."""

from __future__ import annotations

from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.price import On, Prices
from isinglass.cli.texts import File, OptionalText, one_text
from isinglass.cli.verb import Names, option, verb

EXAMPLES = (
    'isinglass price text "GPT-4 costs $10/M tokens" --with gpt-4o,gpt-5',
    "isinglass price text --file README.md --with gpt-4o-mini",
)
app = verb(
    "text", EXAMPLES, notes=["Models whose vocabulary is not public are counted by another one, and the count is called an estimate."]
)
MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-5", "claude-sonnet-5-5", "gemini-3.8-flash", "groq/gpt-oss-120b")


@app.default
def price_text(
    text: OptionalText = None,
    /,
    *,
    file: File = None,
    models: Annotated[Names, option("Comma-separated models.", "--with")] = MODELS,
    on: On = None,
    prices: Prices = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """A text counted with each model's own vocabulary, and what it costs."""
    given = one_text(text, file)
    with output.working("reading vocabularies"):
        from isinglass.economics.counting import counts
        from isinglass.economics.price_list import prices as listed
        from isinglass.economics.quote import day

        known = listed(prices)
        table = counts(given, [known.get(model, day(on)) for model in models])
    output.emit(Result({"text": given, "models": table.rows}, parts=[table]))
