"""`isinglass tokens`: a text as the tokens of one vocabulary or of several."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from isinglass.cli.output import Output, Result
from isinglass.cli.texts import OptionalText, read_file, read_text
from isinglass.cli.verb import Names, option, verb
from isinglass.core.errors import ConfigError
from isinglass.show.marks.tokens import Piece, compared
from isinglass.show.marks.tokens import tokens as strip
from isinglass.show.table import Table
from isinglass.text.load import tokenizer
from isinglass.text.tokenizer import Special, Token, Tokenizer

EXAMPLES = (
    'isinglass tokens "Hello, world!"',
    'isinglass tokens "naïve 🙂" --with bert-base-uncased --json',
    'isinglass tokens compare "GPT-4 costs $10/M tokens" --with cl100k_base,bert-base-uncased,t5 --save results.csv',
    "isinglass tokens --file README.md --with gpt2,o200k_base",
)
app = verb("tokens", EXAMPLES, notes=["--with takes names (isinglass assets list) and vocabulary files or folders. - as TEXT reads stdin."])
_COMPARED = ("gpt2", "cl100k_base", "o200k_base", "bert-base-uncased", "t5", "smollm2")
_CHIPS = 1000  # shown of one text; the table, files and --json have all tokens

With = Annotated[Names, option("Comma-separated tokenizers.", "--with")]
File = Annotated[Path | None, option("Read the text from a UTF-8 file.")]
SpecialOption = Annotated[Special, option("What a special string such as <|endoftext|> in the text is: plain text, its id, or an error.")]


@dataclass(frozen=True)
class Cut:
    """A text as one tokenizer cuts it."""

    tokenizer: Tokenizer
    text: str
    tokens: list[Token]

    def pieces(self) -> list[Piece]:
        """What chips show: the bytes of byte-level tokens, otherwise the piece as the vocabulary writes it."""
        by_bytes = isinstance(next(iter(self.tokenizer.algorithm.vocab), ""), bytes)
        return [self.tokenizer.token_bytes(token.id) if by_bytes else token.piece for token in self.tokens]

    def summary(self) -> dict[str, Any]:
        """One row of the comparison."""
        n, n_bytes = len(self.tokens), len(self.text.encode("utf-8", "replace"))
        return {
            "tokenizer": self.tokenizer.name,
            "vocabulary": self.tokenizer.vocab_size,
            "tokens": n,
            "characters_per_token": len(self.text) / n if n else None,
            "bytes_per_token": n_bytes / n if n else None,
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row per token."""
        return [token._asdict() for token in self.tokens]


@app.default
def tokens(
    text: OptionalText = None,
    /,
    *,
    tokenizers: With = ("gpt2",),
    file: File = None,
    special: SpecialOption = "text",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Cut a text into tokens, with one vocabulary or several."""
    _show(text, tokenizers, file, special, output)


@app.command
def compare(
    text: OptionalText = None,
    /,
    *,
    tokenizers: With = _COMPARED,
    file: File = None,
    special: SpecialOption = "text",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """The same text through several vocabularies, beside each other."""
    _show(text, tokenizers, file, special, output)


def _show(text: str | None, names: tuple[str, ...], file: Path | None, special: Special, output: Output) -> None:
    if (text is None) == (file is None):
        raise ConfigError("give either a TEXT or --file, one of them", hint='isinglass tokens "Hello, world!"')
    if not names:
        raise ConfigError("--with names no tokenizer", hint="--with gpt2")
    whole = read_file(file) if file is not None else read_text(text or "")
    with output.working("reading vocabularies"):
        cuts = [Cut(one, whole, one.tokens(whole, special=special)) for one in map(tokenizer, names)]
    data = {"text": whole, "tokenizers": [{**cut.summary(), "tokens": cut.rows(), "n_tokens": len(cut.tokens)} for cut in cuts]}
    output.emit(Result(data, parts=_one(cuts[0]) if len(cuts) == 1 else _several(cuts)))


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


def _several(cuts: list[Cut]) -> list[Any]:
    strips = {cut.tokenizer.name: (cut.pieces()[:_CHIPS], [token.id for token in cut.tokens[:_CHIPS]]) for cut in cuts}
    title = f"One text through {len(cuts)} vocabularies"
    return [compared(strips, title=title, notes=_left_out(cuts)), Table([cut.summary() for cut in cuts], title="How many tokens it takes")]


def _left_out(cuts: list[Cut]) -> list[str]:
    """A line where chips are only the beginning."""
    return [f"the first {_CHIPS:,} tokens of each"] if any(len(cut.tokens) > _CHIPS for cut in cuts) else []
