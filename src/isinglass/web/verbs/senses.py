"""One word in two senses, layer by layer."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from isinglass.core.errors import ConfigError
from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown, Working
from isinglass.web.verb import Verb

if TYPE_CHECKING:
    from isinglass.embedding.collections import Labelled

FILE = "senses.toml"  # as it is offered for download, and as the command names it


class Request(Verb):
    """`sentences` are lines `sense: a sentence with the word`; without any, the project's own, which it has for bank and apple."""

    text: str
    model: str
    word: str = "bank"
    sentences: str = ""

    @property
    def _lines(self) -> list[str]:
        return [line.strip() for line in self.sentences.splitlines() if line.strip()]

    @property
    def python(self) -> str:
        own = f"senses({self.word!r})" if not self._lines else f"senses({self.word!r}, Path({FILE!r}))"
        made = f"Path({FILE!r}).write_text({self._toml!r})\n" if self._lines else ""
        return (
            "from pathlib import Path\n\nimport isinglass as ig\nfrom isinglass.embedding.collections import senses\n"
            f"from isinglass.embedding.senses import senses_of\n\n{made}senses_of(ig.load({self.model!r}), {self.word!r}, {own})"
        )

    @property
    def command(self) -> str:
        file = ["--file", FILE] if self._lines else []
        return shlex.join(["isinglass", "embed", "senses", self.word, *file, "--model", self.model])

    @property
    def _toml(self) -> str:
        """The sentences as the command line reads them. Raises ConfigError for a line without a sense."""
        import tomli_w

        tables: dict[str, dict[str, list[str]]] = {}
        for line in self._lines:
            sense, colon, sentence = (part.strip() for part in line.partition(":"))
            if not (sense and colon and sentence):
                raise ConfigError(f"no sense in the line {line!r}", hint="river: They sat on the bank.")
            tables.setdefault(sense, {"sentences": []})["sentences"].append(sentence)
        return tomli_w.dumps(tables)

    def run(self, bench: Bench) -> Iterator[Event]:
        from isinglass.embedding.senses import senses_of
        from isinglass.show.table import Table

        given = self._given()
        lm = yield from bench.model(self.model)
        yield Working(f"reading {len(given.texts)} sentences")
        found = senses_of(lm, self.word, given, command=self.command)
        rows = [{"sense": sense, "sentence": text} for text, sense in zip(given.texts, given.labels, strict=True)]
        sentences = Table(rows, title="The sentences", command=self.command)
        yield Shown([found.figure, found.table, sentences], {"file": FILE, "toml": self._toml if self._lines else None})

    def _given(self) -> Labelled:
        """The sentences, checked. Raises ConfigError."""
        import tempfile
        from pathlib import Path

        from isinglass.embedding.collections import senses

        if not self._lines:
            return senses(self.word)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / FILE
            file.write_text(self._toml, encoding="utf-8")
            try:
                return senses(self.word, file)
            except ConfigError as fault:
                hint = "two senses with two lines each at least, such as  river: They sat on the bank."
                raise ConfigError(fault.message, details=fault.details, hint=hint) from None
