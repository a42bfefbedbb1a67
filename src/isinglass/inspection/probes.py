"""Linear probes: can a property of a text be read off a layer by a straight line, and would it be there without what the model learned?

The controls decide what an accuracy means: the same probe on shuffled labels (what a probe can learn by heart), on a model with fresh
weights (what the architecture and the tokens give away), and the share of the largest class.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from isinglass.core.errors import EngineError, unknown
from isinglass.generation.lm import LM
from isinglass.inspection.probe_tasks import ProbeTask
from isinglass.inspection.reading import Rows, token_text
from isinglass.inspection.trace import trace
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.models.transformer import fresh
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.marks.lines import lines
from isinglass.show.marks.tokens import TokenStrips, compared
from isinglass.show.showable import Showable
from isinglass.show.table import Table

Pool = Literal["last", "mean", "token"]
_BATCH = 8
_SHOWN = 4  # texts whose tokens are shown


@dataclass(frozen=True)
class Probed:
    """Mean accuracies over the folds at one place of the model, 0..1; `spread` is the standard deviation of the first over the folds."""

    tap: str
    accuracy: float
    spread: float
    control: float
    fresh: float

    @property
    def selectivity(self) -> float:
        """Accuracy less that on shuffled labels: what is read, not learned by heart (Hewitt and Liang 2019)."""
        return self.accuracy - self.control


@dataclass(frozen=True, eq=False)
class Probes(Finding):
    """`layers` from the embedding upwards; `majority` is the share of the largest class."""

    task: str
    layers: tuple[Probed, ...]
    majority: float
    classes: tuple[str, ...]
    n_examples: int
    pool: Pool
    texts: TokenStrips
    notes: tuple[str, ...] = ()
    command: str | None = None

    @property
    def best(self) -> Probed:
        """The first of the most accurate places."""
        return max(self.layers, key=lambda one: one.accuracy)

    @property
    def figure(self) -> Figure:
        numbers = list(range(len(self.layers)))
        curves = {
            "model": (numbers, [one.accuracy for one in self.layers]),
            "shuffled labels": (numbers, [one.control for one in self.layers]),
            "fresh weights": (numbers, [one.fresh for one in self.layers]),
        }
        notes = [f"0: the embedding; best: {self.best.accuracy:.0%} at {self.best.tap}", *self.notes]
        return lines(
            curves, title=f"A linear probe at each layer: {self.task}", x="blocks passed", y="accuracy (share right, held-out folds)",
            theory={"largest class": ([0, numbers[-1]], [self.majority, self.majority])}, notes=notes, command=self.command,
        )  # fmt: skip

    @property
    def table(self) -> Table:
        rows = [
            {
                "blocks passed": number, "accuracy": one.accuracy, "over folds ±": one.spread, "shuffled labels": one.control,
                "selectivity": one.selectivity, "fresh weights": one.fresh, "largest class": self.majority,
            }
            for number, one in enumerate(self.layers)
        ]  # fmt: skip
        units = dict.fromkeys(list(rows[0])[1:], "ratio")
        notes = [f"{self.n_examples:,} examples of {len(self.classes)} classes: {', '.join(self.classes)}", *self.notes]
        return Table(rows, title="Accuracy of the probe and of its controls", units=units, notes=notes)

    @property
    def parts(self) -> tuple[Showable, ...]:
        return self.figure, self.table, self.texts

    @property
    def data(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "pool": self.pool,
            "examples": self.n_examples,
            "classes": list(self.classes),
            "majority": self.majority,
            "layers": [{"tap": one.tap, **row} for one, row in zip(self.layers, self.table.rows, strict=True)],
            "tokens": self.texts.data.rows,
        }


def probe(
    lm: LM,
    task: ProbeTask,
    *,
    pool: Pool = "last",
    n_folds: int = 5,
    seed: int = 0,
    progress: Callable[[int], object] = lambda count: None,
    command: str | None = None,
) -> Probes:
    """Fit a logistic regression to the residual stream after each block, on all folds but one in turn, and measure it on that one.

    `pool` says which vector stands for a text: of its last token, the mean over its tokens, or "token": every token is an example of its
    own, with a label each. Texts of a group (`task.groups`), and the tokens of a text, are never on both sides. Shuffled labels are the
    control task: a label drawn for each example, for "token" for each word of the vocabulary. `progress` is told of each place done.
    An encoder-decoder is probed where it reads.

    Raises EngineError for one class, a class with fewer examples or groups than folds, another pool, or labels that do not fit.

    Source: Alain and Bengio 2016; Hewitt and Liang 2019, Designing and interpreting probes with control tasks.
    """
    if pool not in get_args(Pool):
        raise unknown("pool", pool, get_args(Pool), error=EngineError)
    ids = [lm.encode(text) for text in task.texts]
    examples = _examples(task, ids, pool)
    folds = list(_folds(examples, n_folds, seed))
    shuffled = _control(examples, pool, seed)
    random_lm = LM(fresh(lm.config, seed), lm.tokenizer, {"source": "fresh weights"}, lm.end_ids)
    made, fresh_made = (_activations(one, ids, pool) for one in (lm, random_lm))
    layers = []
    for tap in made:
        x, baseline = made[tap], fresh_made[tap]
        right = _accuracies(x, examples.labels, folds)
        control, untrained = _accuracies(x, shuffled, folds), _accuracies(baseline, examples.labels, folds)
        layers.append(Probed(tap, float(right.mean()), float(right.std()), float(control.mean()), float(untrained.mean())))
        progress(1)
    counts = np.unique(examples.labels, return_counts=True)
    tokens = {f"text {number}": ([token_text(lm, id) for id in row], row) for number, row in enumerate(ids[:_SHOWN], start=1)}
    strips = compared(tokens, title="The exact tokens", notes=[f"the first {len(tokens)} of {len(ids)} texts"])
    what = {"last": "the last token of a text", "mean": "the mean over a text's tokens", "token": "each token"}[pool]
    notes = (f"of {what}; {n_folds} folds; the largest class has {counts[1].max() / len(examples.labels):.0%}",)
    return Probes(
        task.name, tuple(layers), float(counts[1].max() / len(examples.labels)), tuple(map(str, counts[0])), len(examples.labels), pool,
        strips, notes, command,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Examples:
    """The rows that a probe learns from: label, group (never on both sides of a fold), and the token it stands for."""

    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    tokens: NDArray[np.intp]


def _examples(task: ProbeTask, ids: list[list[int]], pool: Pool) -> _Examples:
    per_token = pool == "token"
    labels: list[str] = []
    groups: list[str] = []
    for number, (row, label) in enumerate(zip(ids, task.labels, strict=True)):
        if per_token == isinstance(label, str):
            raise EngineError(
                f"text {number} of {task.name!r} has the label {label!r}, expected {'one for each token' if per_token else 'one'}",
                hint="pool='token' takes a list of labels per text, 'last' and 'mean' take one label per text",
            )
        several = [label] if isinstance(label, str) else list(label)
        if per_token and len(several) != len(row):
            raise EngineError(f"text {number} of {task.name!r} has {len(several)} labels for its {len(row)} tokens")
        labels += several
        groups += [task.groups[number] if task.groups else str(number)] * len(several)
    tokens = [id for row in ids for id in (row if per_token else row[-1:])]
    return _Examples(np.array(labels), np.array(groups), np.array(tokens))


def _folds(examples: _Examples, n_folds: int, seed: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """(learn, measure) rows of each fold, classes as even as groups allow."""
    from sklearn.model_selection import StratifiedGroupKFold

    classes, counts = np.unique(examples.labels, return_counts=True)
    if len(classes) < 2:
        raise EngineError(f"all examples have the class {str(classes[0])!r}, expected two or more", hint="check the column of labels")
    if n_folds < 2 or counts.min() < n_folds or len(np.unique(examples.groups)) < n_folds:
        rarest = str(classes[counts.argmin()])
        raise EngineError(
            f"n_folds = {n_folds!r}, with {counts.min()} examples of the class {rarest!r} in {len(np.unique(examples.groups))} groups",
            hint="every fold needs an example of each class and a group of its own: 2 folds or more, and not more than either",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # groups may hold all of a class; the folds are checked below
        splits = list(
            StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed).split(examples.labels, examples.labels, examples.groups)
        )
    for learn, measure in splits:
        if len(np.unique(examples.labels[learn])) < 2 or not len(measure):
            raise EngineError("a fold would have one class to learn from", hint="use fewer folds, or groups that hold several classes")
        yield learn, measure


def _control(examples: _Examples, pool: Pool, seed: int) -> NDArray[np.str_]:
    """Labels that say nothing of the text, in the same shares: drawn anew for each example, or for each word of the vocabulary."""
    draw = np.random.default_rng(seed)
    if pool != "token":
        return draw.permutation(examples.labels)
    words, place = np.unique(examples.tokens, return_inverse=True)
    return draw.choice(examples.labels, size=len(words))[place]


def _activations(lm: LM, ids: list[list[int]], pool: Pool) -> dict[str, NDArray[np.float32]]:
    """Tap -> [examples, d_model]: the stream before the first block and after each."""
    side = "encoder." if isinstance(lm.model, EncoderDecoder) else ""
    gathered: dict[str, list[NDArray[np.float32]]] = {}
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        seen = trace(lm, batch, taps=[f"{side}layers.0.resid_pre", f"{side}layers.*.resid_post"])
        rows: Rows = seen.reading.source
        n_layers = len(seen.reading.attention("encoder" if side else None).layers)
        for tap in [f"{side}layers.0.resid_pre", *(f"{side}layers.{n}.resid_post" for n in range(n_layers))]:
            x = seen[tap].float().numpy(force=True)
            for row, length in enumerate(rows.lengths):
                own = x[row, -length:]  # padding stands before it
                gathered.setdefault(tap, []).append({"last": own[-1:], "mean": own.mean(axis=0, keepdims=True), "token": own}[pool])
    return {tap: np.concatenate(parts) for tap, parts in gathered.items()}


def _accuracies(
    x: NDArray[np.float32], labels: NDArray[np.str_], folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]
) -> NDArray[np.float64]:
    """Of each fold. Shuffled labels may leave one class to learn: then it is the answer."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = []
    for learn, measure in folds:
        if len(np.unique(labels[learn])) == 1:
            found.append(np.mean(labels[measure] == labels[learn][0]))
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))  # many more columns than rows: held back
        found.append(model.fit(x[learn], labels[learn]).score(x[measure], labels[measure]))
    return np.array(found, dtype=np.float64)
