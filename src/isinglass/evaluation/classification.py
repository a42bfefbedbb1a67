"""Classifying texts with a trained model, and how well it does, beside the two baselines that it has to beat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from isinglass.core.errors import DataError, EngineError
from isinglass.core.runtime import derive_seed
from isinglass.data import split
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.metrics.baselines import Predictions, majority, tfidf
from isinglass.metrics.classification import Classification
from isinglass.models.headed import HeadedModel
from isinglass.models.heads.classification import Classification as Head
from isinglass.show.showable import Showable
from isinglass.show.table import Table
from isinglass.training.objectives.classification import HEAD, ids_of, label_of
from isinglass.training.padding import padded

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


def classify(lm: LM, texts: Sequence[str], *, batch_size: int = 32) -> Predictions:
    """The probability of each label for each text, in the order of `texts`; `.predicted` are the most probable labels.

    Texts of like length go through the model together; padding changes nothing. A text beyond the context length is cut.
    Raises EngineError for a model without a classification head, DataError for an empty text.

    >>> import isinglass as ig
    >>> lm = ig.create("bert(n_layers=1, d_model=32, n_heads=4, heads=['classification(n_labels=2, labels=[\\"ham\\", \\"spam\\"])'])")
    >>> classify(lm, ["see you at home", "WIN a prize"]).labels
    ('ham', 'spam')
    """
    names = labels_of(lm)
    rows = [ids_of(lm, text, lm.config.context_length, f"text {number}") for number, text in enumerate(texts)]
    probabilities = np.zeros((len(rows), len(names)))
    order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
    for at in range(0, len(order), batch_size):
        chosen = order[at : at + batch_size]
        probabilities[chosen] = _probabilities(lm, [rows[number] for number in chosen])
    return Predictions(names, probabilities)


@torch.no_grad()
def _probabilities(lm: LM, rows: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    ids, slots = padded(rows)
    return lm.model(ids, slots=slots)[HEAD].double().softmax(dim=-1).numpy()  # type: ignore[index]


def labels_of(lm: LM) -> tuple[str, ...]:
    """The labels a model tells apart, from its head; their numbers where they have no names. EngineError without such a head."""
    if not isinstance(lm.model, HeadedModel) or HEAD not in lm.model.heads:
        raise EngineError(
            f"{lm.card.get('source', lm.config.family)} has no classification head, so it cannot classify",
            hint="train one: ig.train(lm, data, objective='classification', strategy='last_block')",
        )
    head = cast(Head, lm.model.heads[HEAD])
    return head.labels or tuple(map(str, range(head.out_proj.out_features)))


@dataclass(frozen=True, eq=False)
class Report:
    """A classifier on test texts: `model` is its result, `baselines` those of the majority and of TF-IDF on the same texts."""

    model: Classification
    baselines: Mapping[str, Classification]
    texts: Sequence[str]

    @property
    def summary(self) -> Table:
        """One row per classifier: accuracy and the macro averages."""
        rows = [{"classifier": name, "accuracy": one.accuracy, **one.average("macro")} for name, one in self._all().items()]
        units: dict[str, str] = dict.fromkeys(("accuracy", "precision", "recall", "f1"), "ratio")
        notes = ["precision, recall and f1: every class counts alike (macro)", f"{len(self.texts):,} test texts"]
        return Table(rows, title="The classifier beside its baselines", units=units, notes=notes)

    def parts(self) -> list[Showable]:
        """Everything to look at: the summary, each class, the confusion matrix, the errors."""
        return [self.summary, self.model.table(), self.model.figure(), self.model.errors(self.texts)]

    def _all(self) -> dict[str, Classification]:
        return {"model": self.model, **self.baselines}


def evaluate(lm: LM, test: Sequence[Record], train: Sequence[Record] = (), *, text: str = "text", label: str = "label") -> Report:
    """Classify the `test` records and compare; the baselines learn from the `train` records (without any there are none).

    Raises DataError, with file and line, for a label the model does not know, a missing field, and no test record at all.
    """
    texts, truth = _columns(test, text, label)
    predictions = classify(lm, texts)
    _known(test, truth, predictions.labels)
    return Report(predictions.against(truth), baselines(train, texts, truth, text=text, label=label), texts)


def baselines(
    train: Sequence[Record], texts: Sequence[str], truth: Sequence[str], *, text: str = "text", label: str = "label"
) -> dict[str, Classification]:
    """The most frequent class, and TF-IDF with logistic regression, learned from `train` and measured on `texts`; none without `train`."""
    if not train:
        return {}
    known, labels = _columns(train, text, label)
    return {
        "TF-IDF + logistic regression": tfidf(known, labels, texts).against(truth),
        "majority": majority(labels, len(texts)).against(truth),
    }


def balanced(records: Sequence[Record], *, label: str = "label", seed: int = 0) -> list[Record]:
    """As many records of each class as the rarest class has, drawn at random, in their order.

    >>> records = [Record({"text": str(n), "label": "spam" if n % 5 == 0 else "ham"}, "") for n in range(10)]
    >>> [record["label"] for record in balanced(records)].count("ham")
    2
    """
    return sample(records, min((len(numbers) for numbers in _by_label(records, label).values()), default=0), label=label, seed=seed)


def sample(records: Sequence[Record], count: int, *, label: str = "label", seed: int = 0) -> list[Record]:
    """At most `count` records of each class, drawn at random, in their order."""
    classes = _by_label(records, label).items()
    drawn = [number for name, numbers in classes for number in _shuffled(numbers, derive_seed(seed, "balanced", name))[:count]]
    return [records[number] for number in sorted(drawn)]


def stratified_split(
    records: Sequence[Record], shares: Mapping[str, float] = SHARES, *, text: str = "text", label: str = "label", seed: int = 0
) -> dict[str, list[Record]]:
    """Records by side, each class in the same shares; equal texts are all on one side, so that nothing of the test set was learned.

    Raises ConfigError for shares that do not sum to 1.

    >>> records = [Record({"text": str(n), "label": "spam" if n < 10 else "ham"}, "") for n in range(20)]
    >>> {name: len(side) for name, side in stratified_split(records).items()}
    {'train': 14, 'validation': 2, 'test': 4}
    """
    split.check(shares)
    same: dict[str, list[int]] = {}
    for number, record in enumerate(records):
        same.setdefault(record.string(text), []).append(number)
    sides: dict[str, list[int]] = {name: [] for name in shares}
    firsts = [records[numbers[0]] for numbers in same.values()]
    groups = list(same.values())
    for name, members in _by_label(firsts, label).items():
        order = [groups[member] for member in _shuffled(members, derive_seed(seed, "split", name))]
        for side, numbers in _dealt(order, shares):
            sides[side] += numbers
    return {name: [records[number] for number in sorted(numbers)] for name, numbers in sides.items()}


def _dealt(groups: Sequence[Sequence[int]], shares: Mapping[str, float]) -> Iterator[tuple[str, Sequence[int]]]:
    """Groups in their order to the sides in theirs: each goes where its middle falls."""
    total, before = sum(map(len, groups)), 0
    ends = np.cumsum(list(shares.values()))
    names = list(shares)
    for group in groups:
        middle = (before + len(group) / 2) / total
        yield names[min(int(np.searchsorted(ends, middle)), len(names) - 1)], group
        before += len(group)


def _by_label(records: Sequence[Record], label: str) -> dict[str, list[int]]:
    """The numbers of the records of each class, classes in alphabetical order."""
    found: dict[str, list[int]] = {}
    for number, record in enumerate(records):
        found.setdefault(label_of(record, label), []).append(number)
    return dict(sorted(found.items()))


def _shuffled(numbers: Sequence[int], seed: int) -> list[int]:
    # RandomState: numpy promises that its streams never change (NEP 19)
    return np.random.RandomState(np.random.MT19937(seed)).permutation(np.asarray(numbers, dtype=np.int64)).tolist()


def _columns(records: Sequence[Record], text: str, label: str) -> tuple[list[str], list[str]]:
    return [record.string(text) for record in records], [label_of(record, label) for record in records]


def _known(records: Sequence[Record], truth: Sequence[str], labels: Sequence[str]) -> None:
    for record, name in zip(records, truth, strict=True):
        if name not in labels:
            raise DataError(f"{record.place}: the label {name!r} is none that the model knows", details=[f"known: {', '.join(labels)}"])
