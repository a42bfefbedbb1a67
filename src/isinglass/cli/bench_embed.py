"""`isinglass bench embed`: word2vec beside gensim."""

from __future__ import annotations

from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Names, at_least, option, verb
from isinglass.show.table import Table

EXAMPLES = ("isinglass bench embed", "isinglass bench embed kjv --rounds 5 --threads 2 --json")
app = verb("embed", EXAMPLES, notes=["Both run in the same process, in turn: quote the ratios. gensim: pip install 'isinglass[words]'"])


@app.default
def bench_embed(
    sources: Annotated[Names, option("Comma-separated: kjv, web, or files and folders of texts.")] = ("kjv", "web"),
    /,
    *,
    rounds: Annotated[int, option("How often each is measured.", validator=at_least(1))] = 3,
    threads: Annotated[int, option("Of both.", validator=at_least(1))] = 1,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Words per second of word2vec, ours and gensim's, with negative sampling."""
    from isinglass.data.sources import is_corpus, read
    from isinglass.embedding.speed import compare_words

    texts = [record.text for name in sources for record in read(name, unit=None if is_corpus(name) else "paragraph")]
    rows = []
    for one in compare_words(texts, rounds=rounds, threads=threads):
        rows.append(one.row())
        output.say(f"{one.architecture}: {one.ours:,.0f} words/s, gensim {one.gensim:,.0f}, {one.ratio:.2f} times as fast")
    command = f"isinglass bench embed {','.join(sources)} --rounds {rounds} --threads {threads}"
    notes = ["words of the text per second, one epoch; medians"]
    output.emit(Result({"rows": rows, "threads": threads}, parts=[Table(rows, title="word2vec", notes=notes, command=command)]))
