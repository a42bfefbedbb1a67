"""Head statistics: what kind of head each head of a model is, measured on texts and on repeated random tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isinglass.core.errors import EngineError, unknown
from isinglass.generation.lm import LM
from isinglass.generation.prompts import Prompt, as_list
from isinglass.inspection.reading import AttentionSite, Reading, Which, reading
from isinglass.metrics.attention import STATISTIC_UNITS, WINDOW, Sums, added, definitions, head_sums, means
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.show.finding import Finding
from isinglass.show.marks.bars import bars
from isinglass.show.marks.heatmap import heatmap
from isinglass.show.showable import Showable
from isinglass.show.table import Table

RANDOM_ROWS, RANDOM_TOKENS = 4, 50  # sequences, and tokens in each half of one
IN_TEXT = {"duplicate": "duplicate_in_text", "induction": "induction_in_text"}
COLUMNS = ("induction", "duplicate", "to_previous", "to_first", "to_itself", "local", *IN_TEXT.values(), "entropy", "distance")
_UNITS = STATISTIC_UNITS | dict.fromkeys(IN_TEXT.values(), "ratio")
_TOP = 10


@dataclass(frozen=True)
class HeadStatistics(Finding):
    """A row per head, those with most of `by` first. `notes` say what was measured on what; None stands where there was nothing to measure.

    `induction` and `duplicate` come from repeated random tokens, where each token of the second half has one match; the same
    `_in_text` from the texts, where a match may be a common word.
    """

    rows: tuple[dict[str, Any], ...]
    by: str
    window: int
    notes: tuple[str, ...]
    command: str | None = None

    @property
    def definitions(self) -> dict[str, str]:
        """Of every statistic, in words."""
        texts = definitions(self.window)
        for name, there in IN_TEXT.items():
            texts[there] = f"{texts[name]}, in the texts given"
            texts[name] = f"{texts[name]}, on repeated random tokens"
        return {name: texts[name] for name in COLUMNS}

    @property
    def figure(self) -> Showable:
        """Layers by heads, coloured by the statistic."""
        layers, heads = (1 + max(row[name] for row in self.rows) for name in ("layer", "head"))
        values = np.full((layers, heads), np.nan)
        for row in self.rows:
            values[row["layer"], row["head"]] = math.nan if row[self.by] is None else row[self.by]
        share = _UNITS[self.by] == "ratio"
        return heatmap(
            values, title=f"{self.by} of every head", rows=[str(n) for n in range(layers)], columns=[str(n) for n in range(heads)],
            row_axis="layer", column_axis="head", value=self.by if share else f"{self.by} ({_UNITS[self.by]})",
            limits=(0.0, 1.0) if share else None, notes=(f"{self.by}: {self.definitions[self.by]}", *self.notes), command=self.command,
        )  # fmt: skip

    @property
    def top(self) -> Showable:
        """The heads with most of it, as bars."""
        best = [row for row in self.rows if row[self.by] is not None][:_TOP]
        names = [f"layer {row['layer']}, head {row['head']}" for row in best]
        unit = _UNITS[self.by]
        return bars(
            names, [row[self.by] for row in best], title=f"Heads with most {self.by}", axis=self.by, unit=unit,
            limit=1.0 if unit == "ratio" else None, command=self.command,
        )  # fmt: skip

    def table(self, limit: int | None = None, columns: Sequence[str] = COLUMNS) -> Table:
        """The first `limit` heads, or all, with these statistics."""
        cut = () if limit is None or limit >= len(self.rows) else (f"the first {limit} of {len(self.rows)} heads",)
        return Table(
            self.rows[:limit], title=f"Heads, by {self.by}", units={name: _UNITS[name] for name in columns},
            columns=["layer", "head", "kv_head", *columns], notes=(*self.notes, *cut), command=self.command,
        )  # fmt: skip

    def summary(self, limit: int) -> tuple[Showable, ...]:
        """For a terminal: the first heads, with the statistic they are sorted by and the best known others."""
        names = list(dict.fromkeys((self.by, "induction", "to_previous", "to_first", "to_itself", "local", "entropy")))
        return self.figure, self.table(limit, names), self.defined

    @property
    def defined(self) -> Table:
        """The definitions as a table."""
        rows = [{"statistic": name, "definition": text, "unit": _UNITS[name]} for name, text in self.definitions.items()]
        notes = ["a share is the weight on such keys, a mean over the queries that see such a key and another one too"]
        return Table(rows, title="What the statistics mean", notes=notes)

    @property
    def parts(self) -> tuple[Showable, ...]:
        return self.figure, self.top, self.table(), self.defined

    @property
    def data(self) -> dict[str, Any]:
        return {"by": self.by, "window_tokens": self.window, "definitions": self.definitions, "notes": self.notes, "heads": self.rows}


def heads(
    lm: LM,
    texts: Prompt | Sequence[Prompt],
    *,
    targets: Prompt | Sequence[Prompt] | None = None,
    which: Which | None = None,
    by: str = "induction",
    window: int = WINDOW,
    seed: int = 0,
    progress: Callable[[int], object] = lambda count: None,
    command: str | None = None,
) -> HeadStatistics:
    """Statistics of every head over texts, and over repeated random tokens drawn with `seed`; sorted by the statistic `by`.

    `window` is the reach in tokens of `local`. Of an encoder-decoder the encoder is measured, or with `targets` the decoder that wrote
    them. `progress` is told how many texts are done. The model's tensors are read where they are and never written to.
    Raises EngineError for a text that is empty or too long and for cross-attention, ConfigError for an unknown statistic.

    >>> import isinglass as ig
    >>> heads(ig.create("tiny"), "abracadabra").rows[0]["kv_head"] in (0, 1)
    True
    """
    plan = planned(lm, texts, targets=targets, which=which, by=by, window=window, seed=seed)
    measured = []
    for done, given in enumerate(plan.readings, start=1):
        measured.append(measure(given, which=plan.which, window=window))
        progress(done)
    return plan.result(measured, command)


@dataclass(frozen=True)
class HeadsPlan:
    """What `heads` measures: `readings` one after the other, the repeated random tokens last."""

    readings: tuple[Reading, ...]
    which: Which | None
    by: str
    window: int
    seed: int

    def result(self, measured: Sequence[Sums], command: str | None = None) -> HeadStatistics:
        """From what `measure` found in each reading. EngineError when the texts hold nothing that `by` is about."""
        in_texts, random = (means(added(part)) for part in (measured[:-RANDOM_ROWS], measured[-RANDOM_ROWS:]))
        values = {**in_texts, **{there: in_texts[name] for name, there in IN_TEXT.items()}, **{name: random[name] for name in IN_TEXT}}
        if np.isnan(values[self.by]).all():
            raise EngineError(f"no query of these texts can tell {self.by!r}", hint="give longer texts, in which words come again")
        rows = _rows(values, self.readings[0].attention(self.which), self.by)
        return HeadStatistics(rows, self.by, self.window, _notes(self.readings, self.which, self.window, self.seed), command)


def planned(
    lm: LM,
    texts: Prompt | Sequence[Prompt],
    *,
    targets: Prompt | Sequence[Prompt] | None = None,
    which: Which | None = None,
    by: str = "induction",
    window: int = WINDOW,
    seed: int = 0,
) -> HeadsPlan:
    """What `heads` will measure, for those who tell of each text or stop in between; arguments and errors are those of `heads`."""
    if by not in COLUMNS:
        raise unknown("statistic", by, COLUMNS)
    which = _measurable(lm, which, targets)
    readings = [reading(lm, text, target) for text, target in _pairs(as_list(texts), targets)]
    readings += repeated_random(lm, seed, which)
    return HeadsPlan(tuple(readings), which, by, window, seed)


def measure(given: Reading, *, which: Which | None = None, window: int = WINDOW) -> Sums:
    """All statistics of one text, `[layers, heads]`, in one pass that keeps no attention maps."""
    meter = _Meter(given.attention(which), window)
    with torch.inference_mode():
        given.run(meter)
    layers = [meter.found[number] for number in sorted(meter.found)]
    return {name: (np.stack([layer[name][0] for layer in layers]), queries) for name, (_, queries) in layers[0].items()}


class _Meter:
    """A tap that measures attention weights as they pass."""

    def __init__(self, site: AttentionSite, window: int) -> None:
        self.site, self.window = site, window
        self.layers = {site.tap(number, "weights"): number for number in range(len(site.layers))}
        self.found: dict[int, Sums] = {}

    def wants(self, name: str) -> bool:
        return name in self.layers

    def __call__(self, name: str, x: Tensor) -> Tensor:
        ids = self.site.queries.ids[0]
        seen = x[0, :, -len(ids) :, -len(ids) :].float().numpy(force=True)  # keys of a prefix adapter stand before the text's own
        seen.flags.writeable = False  # it may be the model's own memory
        self.found[self.layers[name]] = head_sums(seen, ids, causal=self.site.causal, window=self.window)
        return x


def repeated_random(lm: LM, seed: int, which: Which | None = None) -> list[Reading]:
    """Sequences of different random tokens, each said twice, with the special tokens the model expects around them.

    A token of the second half has exactly one match in the first, and no meaning helps to find it (Olsson et al. 2022).
    EngineError for a context or vocabulary that is too small.
    """
    special = set(lm.tokenizer.special.values())
    usable = [id for id in range(min(lm.tokenizer.vocab_size, lm.config.vocab_size)) if id not in special]
    length = min(RANDOM_TOKENS, (lm.config.context_length - len(surrounded(lm, [])) - 1) // 2, len(usable))  # 1: a decoder's start
    if length < 2:
        raise EngineError(
            "this model is too small for repeated random tokens",
            details=[f"its context holds {lm.config.context_length} tokens, its vocabulary {len(usable)} that are not special"],
        )
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(RANDOM_ROWS):
        twice = generator.permutation(usable)[:length].tolist() * 2
        made.append(reading(lm, surrounded(lm, twice), twice if which == "decoder" else None))
    return made


def surrounded(lm: LM, ids: Sequence[int]) -> list[int]:
    """Ids with the model's own special tokens around, as a text would have them."""
    return [id for slot in lm.tokenizer.surround.slots(two=False) for id in ([slot] if isinstance(slot, int) else ids)]


def _measurable(lm: LM, which: Which | None, targets: Prompt | Sequence[Prompt] | None) -> Which | None:
    if which == "cross":
        raise EngineError(
            "head statistics of cross-attention are not defined: its queries and keys are two texts",
            hint='look at its maps: isinglass inspect attention --which cross, or which="encoder"',
        )
    if which is None and isinstance(lm.model, EncoderDecoder):
        return "encoder" if targets is None else "decoder"
    if which == "decoder" and targets is None and isinstance(lm.model, EncoderDecoder):
        raise EngineError("the decoder's heads need a text that it has written", hint="give targets, one for each text")
    return which


def _pairs(texts: list[Prompt], targets: Prompt | Sequence[Prompt] | None) -> list[tuple[Prompt, Prompt | None]]:
    if not texts:
        raise EngineError("no texts were given")
    written = [None] * len(texts) if targets is None else as_list(targets)
    if len(written) != len(texts):
        raise EngineError(f"{len(texts)} texts and {len(written)} targets were given, expected one target for each text")
    return list(zip(texts, written, strict=True))


def _rows(values: dict[str, np.ndarray], site: AttentionSite, by: str) -> tuple[dict[str, Any], ...]:
    n_layers, n_heads = values["entropy"].shape
    rows = [
        {"layer": layer, "head": head, "kv_head": site.kv_head_of[head]}
        | {name: None if math.isnan(value := float(values[name][layer, head])) else value for name in COLUMNS}
        for layer in range(n_layers)
        for head in range(n_heads)
    ]
    return tuple(sorted(rows, key=lambda row: (row[by] is None, -(row[by] or 0.0))))


def _notes(readings: Sequence[Reading], which: Which | None, window: int, seed: int) -> tuple[str, ...]:
    lengths = [len(given.attention(which).queries.ids[0]) for given in readings]
    texts, tokens = len(lengths) - RANDOM_ROWS, sum(lengths[:-RANDOM_ROWS])
    return (
        f"texts: {texts}, with {tokens:,} tokens in all; local: {window} tokens" + (f"; {which}" if which else ""),
        f"random: {RANDOM_ROWS} sequences of {lengths[-1]} tokens, the second half repeats the first, seed {seed}",
    )
