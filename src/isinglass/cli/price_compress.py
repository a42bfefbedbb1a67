"""`isinglass price compress`: prompts in fewer tokens, and what they still say."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Numbers, option, verb

EXAMPLES = ("isinglass price compress --kept 0.7", "isinglass price compress --file prompts.txt --kept 0.8,0.5 --model gpt-4o-mini")
app = verb(
    "compress", EXAMPLES, notes=["Without --file, the project's own support questions; SmolLM2 says which words are easily guessed."]
)


@app.default
def price_compress(
    *,
    file: Annotated[Path | None, option("Your own prompts, one on each line.")] = None,
    kept: Annotated[Numbers, option("Comma-separated shares of the words that are left by the model's choice.")] = (0.8, 0.6),
    model: Annotated[str, option("Whose tokens are counted: a model of isinglass price list.")] = "gpt-4o",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """What is left of prompts when words that carry little are left out, and whether they still say the same."""
    with output.working("reading models"):
        from isinglass.economics.counting import STAND_IN
        from isinglass.economics.price_list import prices
        from isinglass.generation.lm import load
        from isinglass.studies.support import compression
        from isinglass.studies.support.caching import tfidf
        from isinglass.studies.support.questions import labelled, read_stream, texts
        from isinglass.text.load import tokenizer

        counted = tokenizer(prices().get(model).tokenizer or STAND_IN)
        queries = read_stream(file) if file else labelled()
        lm = load("smollm2")
    with output.working(f"{len(queries)} prompts"):
        surprises = compression.word_surprises(lm, texts(queries))
    ways = {name: _each(shorten) for name, shorten in (("spaces", compression.spaces), ("stop words", compression.stop_words))}
    ways |= {f"easily guessed, {share:.0%} of the words": compression.easily_guessed(surprises, share) for share in kept}
    command = "isinglass price compress" + (f" --file {shlex.quote(str(file))}" if file else "")
    command += f" --kept {','.join(f'{share:g}' for share in kept)} --model {model}"
    output.emit(Result.of(compression.compression_study(queries, ways, counted, tfidf, command=command)))


def _each(shorten: Callable[[str], str]) -> Callable[[Sequence[str]], Sequence[str]]:
    return lambda whole: [shorten(text) for text in whole]
