"""`isinglass tokens compare`: one text, or the built-in set of many kinds and scripts, through several vocabularies."""

from __future__ import annotations

from typing import Annotated, Any

from isinglass.cli.output import Output, Result
from isinglass.cli.texts import File, OptionalText, one_text
from isinglass.cli.verb import Names, option, verb
from isinglass.core.errors import ConfigError
from isinglass.show.marks.tokens import compared
from isinglass.show.marks.tokens import tokens as strip
from isinglass.show.table import Table
from isinglass.text.compare import Cut, compare
from isinglass.text.load import tokenizer
from isinglass.text.samples import SAMPLES
from isinglass.text.tokenizer import Special, Tokenizer

EXAMPLES = (
    "isinglass tokens compare",
    'isinglass tokens compare "GPT-4 costs $10/M tokens" --with cl100k_base,bert-base-uncased,t5 --save results.csv',
    "isinglass tokens compare --file README.md --with gpt2,o200k_base",
)
app = verb("compare", EXAMPLES, notes=["Without a text: English, numbers, code, signs, and the same notice in nine other languages."])
COMPARED = ("gpt2", "cl100k_base", "o200k_base", "bert-base-uncased", "t5", "smollm2")
_CHIPS = 1000  # shown of one text; the table, files and --json have all tokens

With = Annotated[Names, option("Comma-separated tokenizers.", "--with")]
SpecialOption = Annotated[Special, option("What a special string such as <|endoftext|> in the text is: plain text, its id, or an error.")]


@app.default
def compare_(
    text: OptionalText = None,
    /,
    *,
    tokenizers: With = COMPARED,
    file: File = None,
    special: SpecialOption = "text",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Texts through several vocabularies, beside each other; without a text, the built-in set."""
    if text is not None or file is not None:
        show_cuts(one_text(text, file), tokenizers, special, output)
        return
    with output.working("reading vocabularies"):
        found = compare(load_all(tokenizers), SAMPLES, special=special)
        rows = found.table.rows
    texts = {name: {"text": cuts[0].text, "tokens": {cut.tokenizer.name: cut.rows() for cut in cuts}} for name, cuts in found.cuts.items()}
    output.emit(Result({"rows": rows, "texts": texts}, parts=[found.table, found.counts, found.figure]))


def load_all(names: tuple[str, ...]) -> list[Tokenizer]:
    """The tokenizers of `--with`. Raises ConfigError when it names none."""
    if not names:
        raise ConfigError("--with names no tokenizer", hint="--with gpt2")
    return [tokenizer(name) for name in dict.fromkeys(names)]


def show_cuts(text: str, names: tuple[str, ...], special: Special, output: Output) -> None:
    """One text by each tokenizer, as chips and in a table."""
    with output.working("reading vocabularies"):
        cuts = [Cut(one, text, special) for one in load_all(names)]
        summaries = [cut.summary() for cut in cuts]
    data = {
        "text": text,
        "tokenizers": [{**row, "tokens": cut.rows(), "n_tokens": len(cut.tokens)} for cut, row in zip(cuts, summaries, strict=True)],
    }
    output.emit(Result(data, parts=_one(cuts[0]) if len(cuts) == 1 else _several(cuts, summaries)))


def _one(cut: Cut) -> list[Any]:
    name = cut.tokenizer.name
    pieces, ids, notes = cut.pieces()[:_CHIPS], [token.id for token in cut.tokens[:_CHIPS]], _left_out([cut])
    rows = [{**row, "text": cut.text[row["start"] : row["end"]]} for row in cut.rows()]
    chips = (
        compared({"": (pieces, ids)}, title=f"The text as {len(cut.tokens):,} tokens of {name}", notes=notes)
        if notes
        else strip(pieces, ids, title=f"The text as tokens of {name}")
    )
    return [chips, Table(rows, title="Tokens, and the characters of the text they cover")]


def _several(cuts: list[Cut], summaries: list[dict[str, Any]]) -> list[Any]:
    strips = {cut.tokenizer.name: (cut.pieces()[:_CHIPS], [token.id for token in cut.tokens[:_CHIPS]]) for cut in cuts}
    title = f"One text through {len(cuts)} vocabularies"
    table = Table(summaries, title="How many tokens it takes", units={"unknown_rate": "ratio"})
    return [compared(strips, title=title, notes=_left_out(cuts)), table]


def _left_out(cuts: list[Cut]) -> list[str]:
    """A line where chips are only the beginning."""
    return [f"the first {_CHIPS:,} tokens of each"] if any(len(cut.tokens) > _CHIPS for cut in cuts) else []
