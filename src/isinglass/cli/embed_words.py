"""`isinglass embed words`: what word vectors say."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Names, at_least, option, verb
from isinglass.core.errors import ConfigError

EXAMPLES = (
    'isinglass embed words words.safetensors --nearest king,bread --analogy "king - man + woman"',
    "isinglass embed words words.safetensors --similar father/mother,stone/water --save words.html",
    "isinglass embed words words.safetensors --evaluate",
)
app = verb(
    "words",
    EXAMPLES,
    notes=["A file of `isinglass embed train`, or of word2vec's text form. --evaluate reads lists of the package gensim."],
)


@app.default
def embed_words(
    file: Annotated[Path, option("The file of vectors.")],
    /,
    *,
    nearest: Annotated[Names, option("Comma-separated words whose nearest are shown.")] = (),
    analogy: Annotated[tuple[str, ...], option("A sum of words; may be repeated.")] = (),
    similar: Annotated[Names, option("Comma-separated pairs of words, such as cat/dog.")] = (),
    evaluate: Annotated[bool, option("Compare with WordSim-353, SimLex-999 and Google's analogies.")] = False,
    top: Annotated[int, option("How many words are shown.", validator=at_least(1))] = 8,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Nearest words, sums of words, cosines of pairs, and how well they agree with what people say."""
    from isinglass.embedding.word_report import LISTS, WordReport
    from isinglass.embedding.word_vectors import load_vectors

    pairs = [pair.split("/") for pair in similar]
    if wrong := next((pair for pair in pairs if len(pair) != 2), None):
        raise ConfigError(f"--similar {'/'.join(wrong)!r}: expected two words", hint="cat/dog")
    command = f"isinglass embed words {shlex.quote(str(file))}" + (f" --nearest {','.join(nearest)}" if nearest else "")
    command += "".join(f" --analogy {shlex.quote(text)}" for text in analogy) + (f" --similar {','.join(similar)}" if similar else "")
    command += " --evaluate" if evaluate else ""
    lists = LISTS if evaluate else ()
    found = WordReport(load_vectors(file), tuple(nearest), tuple(analogy), tuple((one, other) for one, other in pairs), lists, top, command)
    output.emit(Result.of(found))
