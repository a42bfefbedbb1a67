"""`isinglass bench tokenizers`: encoding and training beside tiktoken and Hugging Face tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.texts import read_file
from isinglass.cli.verb import Names, at_least, option, verb
from isinglass.show.table import Table

EXAMPLES = (
    "isinglass bench tokenizers",
    "isinglass bench tokenizers --with gpt2 --file corpus.txt --vocab-size 4000 --rounds 3",
)
app = verb("tokenizers", EXAMPLES, notes=["The other libraries come with the extra 'test'. Quote the ratios: they are measured in turn."])
_CHARACTERS = 1_100_000  # of the King James Version, from its middle, where no --file is given
_FROM = 1_000_000


@app.default
def bench_tokenizers(
    *,
    tokenizers: Annotated[Names, option("Comma-separated tokenizers to encode with.", "--with")] = ("gpt2", "cl100k_base"),
    file: Annotated[Path | None, option("A UTF-8 text; without it 1.1 MB of the corpus kjv.")] = None,
    vocab_size: Annotated[int, option("Tokens to learn.", validator=at_least(257))] = 8192,
    rounds: Annotated[int, option("How often each is measured, in turn.", validator=at_least(1))] = 5,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Megabytes per second of encoding (warm, one text, one thread of ours), and seconds of training byte-level BPE."""
    from isinglass.assets.find import find
    from isinglass.evaluation.tokenizers import compare_encoding, compare_training, encoding_row

    text = read_file(file) if file is not None else find("kjv").read_text("utf-8")[_FROM : _FROM + _CHARACTERS]
    n_bytes = len(text.encode("utf-8"))
    encoding = []
    for timed in compare_encoding(list(tokenizers), text, rounds=rounds):
        encoding.append(encoding_row(timed, n_bytes))
        output.say("{tokenizer}: {ratio:.2f} x {beside}".format(**encoding[-1]))
    training = [compare_training(text.splitlines(keepends=True), vocab_size, rounds=rounds).row()]
    note = f"medians over {rounds} rounds; ratio: median over rounds of how many times as fast ours is, lowest and highest beside it"
    parts = [
        Table(encoding, title=f"Encoding {n_bytes / 1e6:.1f} MB, warm", notes=[note]),
        Table(training, title=f"Training on {n_bytes / 1e6:.1f} MB", notes=[note]),
    ]
    output.emit(Result({"n_bytes": n_bytes, "encoding": encoding, "training": training}, parts=parts))
