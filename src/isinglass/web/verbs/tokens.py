"""One text through several vocabularies: chips, counts, bytes per token."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from isinglass.core.errors import ConfigError
from isinglass.show.marks.tokens import compared
from isinglass.show.table import Table
from isinglass.web.bench import Bench, vocabulary_of
from isinglass.web.events import Event, Shown
from isinglass.web.verb import Verb

CHIPS = 500  # of each vocabulary; the counts are of the whole text


class Request(Verb):
    """`vocabularies` are names or files, with commas between; empty: only that of the model."""

    text: str
    model: str
    vocabularies: str = "gpt2,cl100k_base,o200k_base,bert-base-uncased,t5"

    @property
    def _names(self) -> list[str]:
        named = [name.strip() for name in self.vocabularies.split(",") if name.strip()]
        return list(dict.fromkeys([vocabulary_of(self.model), *named]))

    @property
    def python(self) -> str:
        tokenizers = ", ".join(f"ig.tokenizer({name!r})" for name in self._names)
        return (
            "import isinglass as ig\nfrom isinglass.text.compare import compare\n\n"
            f"compare([{tokenizers}], {{'text': {self.text!r}}}).table"
        )

    @property
    def command(self) -> str:
        return f"isinglass tokens compare {shlex.quote(self.text)} --with {shlex.quote(','.join(self._names))}"

    def run(self, bench: Bench) -> Iterator[Event]:
        from isinglass.text.compare import Cut

        if not self.text:
            raise ConfigError("the text is empty", hint="type a few words")
        cuts = []
        for name in self._names:
            tokenizer = yield from bench.tokenizer(name)
            cuts.append((name, Cut(tokenizer, self.text)))
        strips = {name: (cut.pieces()[:CHIPS], [token.id for token in cut.tokens[:CHIPS]]) for name, cut in cuts}
        longer = any(len(cut.tokens) > CHIPS for _, cut in cuts)
        notes = [f"the first {CHIPS} tokens of each; the counts are of the whole text"] if longer else []
        chips = compared(strips, title=f"The text through {len(cuts)} vocabular{'y' if len(cuts) == 1 else 'ies'}", notes=notes)
        rows = [{**cut.summary(), "tokenizer": name} for name, cut in cuts]
        counts = Table(rows, title="How many tokens it takes", units={"unknown_rate": "ratio"}, command=self.command)
        exact = {
            name: [
                {"bytes": cut.tokenizer.token_bytes(token.id).hex(" "), "characters": f"{token.start} to {token.end}"}
                for token in cut.tokens[:CHIPS]
            ]
            for name, cut in cuts
        }
        yield Shown([chips, counts], exact)
