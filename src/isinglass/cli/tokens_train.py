"""`isinglass tokens train`: a tokenizer learned from text files."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Names, at_least, option, verb
from isinglass.core.errors import ConfigError, DataError, IsinglassError
from isinglass.core.units import duration
from isinglass.show.table import Table
from isinglass.show.terminal import progress
from isinglass.text.tokenizer import Tokenizer
from isinglass.text.trainer import PiecesLearned, TextRead, TokenizerEvent, Trained
from isinglass.text.training import training_tokenizer

EXAMPLES = (
    "isinglass tokens train corpus.txt --vocab-size 8192 --out my-tokenizer",
    "isinglass tokens train a.txt b.txt --algorithm \"wordpiece(score='frequency')\" --vocab-size 4000 --out my-wordpiece",
    'isinglass tokens train - --algorithm unigram --vocab-size 2000 --special "<unk>,<s>,</s>" --out my-unigram',
)
app = verb(
    "train",
    EXAMPLES,
    notes=[
        "Files are UTF-8, read line by line, each line a text; only the counts of their words are held. - reads stdin.",
        "Algorithms and their arguments: isinglass explain trainers",
    ],
)
_SHOWN = 40  # of the vocabulary, first and last


def _no_options(_: Any, names: Any) -> None:
    """A mistyped option must not be taken for a file."""
    for name in [names] if isinstance(names, str) else names:
        if name.startswith("-") and name != "-":
            raise ValueError(f"{name} is no option of this verb; for a file of this name write ./{name}")


@app.default
def train(
    *files: Annotated[str, Parameter(help="Text files, - for stdin.", allow_leading_hyphen=True, validator=_no_options)],
    out: Annotated[Path, option("The folder to write tokenizer.json to.")],
    algorithm: Annotated[str, option("character, word, byte, bpe, wordpiece or unigram, with arguments.")] = "bpe",
    vocab_size: Annotated[
        int | None, option("How many tokens, special ones included. Without it: all there is to learn.", validator=at_least(1))
    ] = None,
    special: Annotated[Names | None, option("Comma-separated special tokens, which take the first ids.")] = None,
    overwrite: Annotated[bool, option("Replace a tokenizer that is in the folder.")] = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Learn a tokenizer from text files."""
    if not files:
        raise ConfigError("name a text file, or - for stdin", hint=EXAMPLES[0])
    if (out / "tokenizer.json").exists() and not overwrite:
        raise IsinglassError(f"there is a tokenizer in {str(out)!r}", hint="name another folder, or add --overwrite")
    options = {} if special is None else {"special": special}
    began = time.perf_counter()
    read, tokenizer = _trained(training_tokenizer(algorithm, lines(files), vocab_size=vocab_size, **options), output)
    seconds = time.perf_counter() - began
    try:
        path = tokenizer.save(out)
    except OSError as fault:
        raise IsinglassError(f"cannot write {str(out)!r}: {fault.strerror or fault}") from None
    output.say(f"{tokenizer.vocab_size:,} tokens learned in {duration(seconds)}: isinglass tokens TEXT --with {out}")
    rows = [{"id": id, "piece": tokenizer.piece(id)} for id in range(tokenizer.vocab_size)]
    data = {"path": str(path), "algorithm": algorithm, "vocab_size": len(rows), "n_characters": read, "seconds": seconds, "pieces": rows}
    output.emit(Result(data, parts=[_table(rows, path)]))


def _table(rows: list[dict[str, Any]], path: Path) -> Table:
    shown = rows if len(rows) <= 2 * _SHOWN else [*rows[:_SHOWN], *rows[-_SHOWN:]]
    notes = [] if shown is rows else [f"the first and the last {_SHOWN}; --json has all"]
    return Table(shown, title=f"{len(rows):,} tokens in {path}", notes=notes)


def _trained(events: Iterable[TokenizerEvent], output: Output) -> tuple[int, Tokenizer]:
    """The characters read and the tokenizer; a bar while reading, and one while learning."""
    read = learned = 0
    bar: str | None = None
    advance: Callable[[float], None] = lambda amount: None  # noqa: E731 - replaced by each bar
    with ExitStack() as bars:
        for event in events:
            match event:
                case TextRead(n_characters):
                    if bar is None:
                        bar, advance = "reading", bars.enter_context(progress("reading", console=output.talk()))
                    advance(n_characters - read)
                    read = n_characters
                case PiecesLearned(done, total):
                    if bar != "learning":
                        bars.close()
                        bar, advance = "learning", bars.enter_context(progress("learning", total, console=output.talk()))
                    advance(done - learned)
                    learned = done
                case Trained(tokenizer):
                    return read, tokenizer
    raise IsinglassError("training ended without a tokenizer")


def lines(files: Iterable[str]) -> Iterator[str]:
    """The lines of the files one after another, with their ends. Raises DataError for what cannot be read or is not UTF-8."""
    for name in files:
        if name == "-":
            yield from _lines(sys.stdin.buffer, "stdin")
            continue
        try:
            with Path(name).open("rb") as file:
                yield from _lines(file, name)
        except OSError as fault:
            raise DataError(f"cannot read {name!r}: {fault.strerror}") from None


def _lines(file: BinaryIO, name: str) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as fault:
            at = f"byte 0x{line[fault.start]:02x} at place {fault.start + 1} of line {number:,}"
            hint = f"convert it first: iconv -f latin1 -t utf-8 {name}" if name != "stdin" else "convert it first with iconv"
            raise DataError(f"{name!r} is not UTF-8: {at}", hint=hint) from None
