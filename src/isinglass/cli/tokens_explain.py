"""`isinglass tokens explain`: why a text is cut as it is, step by step."""

from __future__ import annotations

from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.texts import File, OptionalText, one_text
from isinglass.cli.tokens_compare import SpecialOption, With, load_all
from isinglass.cli.verb import at_least, option, verb
from isinglass.text.explain import explain

EXAMPLES = (
    'isinglass tokens explain "unhappiness" --with gpt2',
    'isinglass tokens explain "unbelievable" --with gpt2,bert-base-uncased,t5',
    'isinglass tokens explain "tokenization" --with t5 --best 10 --json',
)
app = verb(
    "explain",
    EXAMPLES,
    notes=["BPE: every merge and its rank. WordPiece: the longest match at each place. Unigram: the lattice with scores, the best cuts."],
)


@app.default
def explain_(
    text: OptionalText = None,
    /,
    *,
    tokenizers: With = ("gpt2",),
    file: File = None,
    special: SpecialOption = "text",
    best: Annotated[int, option("How many cuts of a Unigram lattice to list.", validator=at_least(1))] = 5,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Why a text is cut as it is: every merge, greedy match, or lattice step with its score."""
    whole = one_text(text, file)
    with output.working("reading vocabularies"):
        found = [explain(one, whole, special=special, best=best) for one in load_all(tokenizers)]
    parts = [part for one in found for part in (one.overview, *one.steps())]
    output.emit(Result([one.to_dict() for one in found], parts=parts))
