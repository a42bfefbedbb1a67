"""Static word vectors: the nearest words, and sums of words; learned from a text while one waits."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from isinglass.core.errors import ConfigError
from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown, Working
from isinglass.web.expressions import named
from isinglass.web.verb import Verb

if TYPE_CHECKING:
    from isinglass.embedding.method import Learned, Progress

_TURN_SECONDS = 0.1
_NEAREST = 8  # words, as on the command line


class Request(Verb):
    """`look` asks the file `vectors`, `learn` makes it before from `source` (names of corpora, or paths, with commas between).

    `nearest` are words with commas between, `sums` sums with ; between.
    """

    closes: ClassVar[bool] = True

    text: str = ""
    model: str = ""
    action: Literal["look", "learn"] = "look"
    vectors: str = "runs/lab/words.safetensors"
    nearest: str = "king,bread"
    sums: str = "king - man + woman"
    source: str = "kjv"
    way: str = "word2vec(d=50, epochs=5)"
    seed: int = 0

    @property
    def _words(self) -> tuple[str, ...]:
        return tuple(word.strip().lower() for word in self.nearest.split(",") if word.strip())

    @property
    def _sums(self) -> tuple[str, ...]:
        return tuple(one.strip() for one in self.sums.split(";") if one.strip())

    @property
    def _sources(self) -> list[str]:
        return [name.strip() for name in self.source.split(",") if name.strip()]

    @property
    def _file(self) -> Path:
        return Path(self.vectors).expanduser()

    @property
    def python(self) -> str:
        asked = f"nearest={self._words!r}, analogies={self._sums!r}"
        return (
            "from isinglass.embedding.word_report import WordReport\nfrom isinglass.embedding.word_vectors import load_vectors\n\n"
            f"WordReport(load_vectors({str(self._file)!r}), {asked})"
        )

    @property
    def command(self) -> str:
        asked = [f"--nearest={','.join(self._words)}"] if self._words else []
        asked += [f"--analogy={one}" for one in self._sums]
        return shlex.join(["isinglass", "embed", "words", str(self._file), *asked])

    @property
    def _learning(self) -> str:
        """The command that makes the file."""
        told = ["--method", self.way, "--out", str(self._file), *([f"--seed={self.seed}"] if self.seed else [])]
        return shlex.join(["isinglass", "embed", "train", ",".join(self._sources), *told])

    def run(self, bench: Bench) -> Iterator[Event]:
        if self.action == "learn" and str(self._file) not in bench.training:
            bench.training.add(str(self._file))
            try:
                yield from self._learned()
            finally:
                bench.training.discard(str(self._file))
        while str(self._file) in bench.training:
            yield Working(f"waiting for {self.vectors}, which is just being made")
            time.sleep(_TURN_SECONDS)
        yield from self._shown()

    def _shown(self) -> Iterator[Event]:
        from isinglass.embedding.word_report import WordReport
        from isinglass.embedding.word_vectors import load_vectors

        about = {"file": self.vectors, "there": self._file.is_file(), "learning": self._learning}
        if not about["there"]:
            yield Shown(data=about, slot="begin")
            return
        yield Working(f"reading {self.vectors}")
        held = load_vectors(self._file)
        yield Shown(data={**about, "words": len(held.words), "d": int(held.vectors.shape[1])}, slot="begin")
        # of a very small vocabulary there are no eight others
        n = max(1, min(_NEAREST, len(held.words) - max([1, *(len(one.split()) // 2 + 1 for one in self._sums)])))
        command = self.command if n == _NEAREST else f"{self.command} --top {n}"
        yield Shown.of(WordReport(held, self._words, self._sums, n=n, command=command), slot="answers")

    def _learned(self) -> Iterator[Event]:
        """Learn and write. Where that is stopped, what was learned until then is written."""
        from isinglass.embedding.method import Progress
        from isinglass.embedding.word_training import training_words

        self._check()
        yield Working(f"reading {self.source}")
        events = training_words(self._texts(), named(self.way, "way", command="isinglass embed train"), seed=self.seed)
        begun = False
        try:
            for event in events:
                if isinstance(event, Progress):
                    begun = True
                    yield Working(f"learning, {event.words_per_second:,.0f} words per second, words read", event.words, event.total)
                else:
                    event.vectors.save(self._file)
        except GeneratorExit:
            if begun:
                _ended(events, self._file)
            raise

    def _texts(self) -> Iterator[str]:
        from isinglass.data.sources import is_corpus, read

        for name in self._sources:
            for record in read(name, unit=None if is_corpus(name) else "paragraph"):
                yield record.text

    def _check(self) -> None:
        """Only a file of vectors is written, and only in the place of such a file."""
        from isinglass.core.errors import DataError
        from isinglass.embedding.word_vectors import load_vectors

        if self._file.suffix not in (".safetensors", ".txt"):
            raise ConfigError(f"vectors {self.vectors!r}: expected a file .safetensors or .txt", hint="runs/lab/words.safetensors")
        if not self._sources:
            raise ConfigError("there is no text to learn from", hint="kjv, or the path of a file")
        if self._file.exists():
            try:
                load_vectors(self._file)
            except (DataError, ValueError, OSError):
                raise ConfigError(f"{self.vectors!r} is there, and holds no vectors", hint="give another name") from None


def _ended(events: Iterator[Progress | Learned], file: Path) -> None:
    """End learning as Ctrl-C does, and keep what there is."""
    from isinglass.embedding.method import Learned

    with suppress(KeyboardInterrupt, StopIteration):
        event = events.throw(KeyboardInterrupt)  # type: ignore[attr-defined] # a generator
        while not isinstance(event, Learned):
            event = next(events)
        event.vectors.save(file)
