"""`isinglass tokens show`: what a tokenizer is made of."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import verb
from isinglass.text.about import about
from isinglass.text.load import tokenizer

EXAMPLES = ("isinglass tokens show cl100k_base", "isinglass tokens show bert-base-uncased --json")
app = verb("show", EXAMPLES)


@app.default
def show(
    name: Annotated[str, Parameter(help="A tokenizer (isinglass assets list), or a vocabulary file or folder.")],
    /,
    *,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Its kind and size, special tokens, normalizer and pretokenizer, the longest pieces, and a sample of its ids."""
    with output.working("reading the vocabulary"):
        facts, longest, sample = about(tokenizer(name))
    data = {row["about"].replace(" ", "_"): row["what"] for row in facts.rows}
    output.emit(Result({**data, "longest_pieces": longest.rows, "sample": sample.rows}, parts=[facts, longest, sample]))
