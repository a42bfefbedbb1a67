"""The bench: the last few models, and what was last computed with them, so that a second question about a text is quick."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isinglass.web.events import Working

if TYPE_CHECKING:
    from isinglass.generation.lm import LM
    from isinglass.text.tokenizer import Tokenizer

MODELS = 3  # kept at a time: one to look at, one to compare it with, one that is training
TOKENIZERS = 12
INDEXES = 2  # of documents, with what was looked at again
RESULTS = 3  # of 512 tokens the attention of a small model takes 280 MB


class Kept:
    """The values last asked for, at most `size` of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, Any] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What is kept under this key, or what `make` makes now."""
        return self.put(key, self._values[key] if key in self._values else make())

    def put(self, key: Hashable, value: Any) -> Any:
        """Keep a value, which is the newest then."""
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._size:
            self._values.popitem(last=False)
        return value


class Bench:
    """What jobs share. Jobs take turns, so nothing here is asked from two threads at once."""

    def __init__(self) -> None:
        self._models, self._tokenizers = Kept(MODELS), Kept(TOKENIZERS)
        self.results, self.indexes = Kept(RESULTS), Kept(INDEXES)
        self.training: set[str] = set()  # folders and files that are just being made

    def model(self, name: str) -> Iterator[Working]:
        """Load a model unless it is here: `lm = yield from bench.model(name)`. A folder that has changed is read again."""
        key = (name, _changed(name))
        if key not in self._models:
            yield Working(f"loading {name}")
            from isinglass.generation.lm import load

            self._models.put(key, load(name))
        lm: LM = self._models.get(key, dict)
        return lm

    def tokenizer(self, name: str) -> Iterator[Working]:
        """A vocabulary by its own name, or that of a model: `tokenizer = yield from bench.tokenizer(name)`. No weights are read."""
        key = (name, _changed(name))
        if key not in self._tokenizers:
            yield Working(f"reading the vocabulary of {name}")
            self._tokenizers.put(key, _tokenizer(name))
        found: Tokenizer = self._tokenizers.get(key, dict)
        return found


def vocabulary_of(name: str) -> str:
    """The vocabulary of a model by the model's name; other names and paths as they are."""
    from isinglass.assets.registry import builtin_registry

    asset = builtin_registry().assets.get(name)
    return asset.vocabulary if asset and asset.vocabulary else name


def _tokenizer(name: str) -> Tokenizer:
    from isinglass.text.load import tokenizer

    return tokenizer(vocabulary_of(name))


def _changed(name: str) -> float:
    """When something in a folder, or a file, was last written; 0 for what is no path."""
    path = Path(name).expanduser()
    files = [path, *path.glob("*")] if path.is_dir() else [path]
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)
