"""Classification: which label a text has.

What: a linear layer on one vector of the text scores every label; the model below it trains as far as the strategy says.
Why: a model that has read much needs few labelled texts: its hidden states hold what tells them apart.
Math: loss = sum_i w_y(i) CE_i / sum_i w_y(i), CE_i = -log softmax(W pool(h) + b)[y(i)]; w are the class weights, 1 without any
Cost: n_labels (d_model + 1) weights more; one pass over each text
Used by: GPT-1 (last token), BERT ([CLS]), sentiment, topic, spam
Paper: Radford et al. 2018, Improving Language Understanding by Generative Pre-Training, section 3.2; Howard and Ruder 2018, ULMFiT
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from isinglass.core.errors import ConfigError, DataError, VariantError, unknown
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.models.encoder import Encoder
from isinglass.models.head import Head
from isinglass.models.headed import HeadedModel, make_heads
from isinglass.models.transformer import Decoder
from isinglass.nn.pooling import POOLINGS
from isinglass.training.objective import Batch, Loss, Objective
from isinglass.training.padding import padded

EXAMPLE = dict(pooling="last")
HEAD = "classification"


@dataclass(frozen=True)
class Labelled:
    """The ids of a text, and the number of its label."""

    ids: Sequence[int]
    label: int


@dataclass(frozen=True, eq=False)
class LabelBatch(Batch):
    """One label for each row; `weights` are those of the rows' classes, None where all count alike."""

    weights: Float[Tensor, "batch"] | None = None

    @property
    def n_targets(self) -> float:
        return len(self.targets) if self.weights is None else float(self.weights.sum())


@dataclass(frozen=True)
class Classification(Objective):
    """`labels` are the known ones in their order; `class_weights` gives each a number (one that is not named there counts 1)."""

    rows: ClassVar[Literal["drawn", "repeated"]] = "repeated"
    labels: tuple[str, ...] | None
    text: str
    label: str
    pooling: str
    class_weights: Literal["balanced"] | Mapping[str, float] | None
    max_length: int | None

    def fitted(self, records: Sequence[Record]) -> Classification:
        """Labels that were not given are those of `records`, in alphabetical order; balanced weights follow from how often each occurs."""
        counts = Counter(label_of(record, self.label) for record in records)
        names = self.labels or tuple(sorted(counts))
        if len(names) < 2 or len(counts) < 2:
            only = ", ".join(repr(name) for name in counts) or "none"
            raise DataError(
                f"all {len(records):,} records have the same {self.label!r}: {only}; expected at least two classes",
                details=[f"the first one is {records[0].place}"] if records else [],
                hint=f"look at the column {self.label!r}: isinglass data show SOURCE",
            )
        return replace(self, labels=names, class_weights=_weights(self.class_weights, names, counts))

    def trainee(self, lm: LM, seed: int) -> HeadedModel:
        """The body of the model with a fresh head: normal(0, 0.02), biases 0. A head for the same labels is trained on as it is."""
        names = self._names()
        head = f"{HEAD}(n_labels={len(names)}, pooling={self.pooling!r}, labels={list(names)!r})"
        if isinstance(lm.model, HeadedModel) and lm.config.heads == [head]:  # type: ignore[attr-defined]
            return copy.deepcopy(lm.model)
        given = lm.model.body if isinstance(lm.model, HeadedModel) else lm.model
        if not isinstance(given, Decoder | Encoder):
            kind = str(lm.config.architecture).replace("_", "-")
            raise ConfigError(f"classification: an {kind} has no hidden states of one text", hint="take a decoder or an encoder")
        body = copy.deepcopy(given)
        body.config = given.config.model_copy(update={"heads": [head]})  # type: ignore[assignment]
        return HeadedModel(body, _fresh(make_heads(body.config), body.embed_tokens.weight, seed))

    def examples(self, lm: LM, records: Iterable[Record], context_length: int) -> list[Labelled]:
        if self.max_length is not None and self.max_length > lm.config.context_length:
            raise ConfigError(
                f"classification: max_length = {self.max_length:,}: the model's context_length is {lm.config.context_length:,}"
            )
        length = min(context_length, self.max_length or context_length)
        return [Labelled(ids_of(lm, record.string(self.text), length, record.place), self._number(record)) for record in records]

    def collate(self, examples: Sequence[Labelled], seeds: Sequence[int]) -> LabelBatch:
        ids, slots = padded([example.ids for example in examples])
        targets = torch.tensor([example.label for example in examples])
        return LabelBatch(ids, slots, targets, weights=self._row_weights(targets))

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        logits = model(batch.ids, slots=batch.slots)[HEAD]
        nats = F.cross_entropy(logits.float(), batch.targets, reduction="none")
        weights = cast(LabelBatch, batch).weights
        right = int((logits.argmax(dim=-1) == batch.targets).sum())
        return Loss(nats.sum() if weights is None else (nats * weights).sum(), {"right": right, "rows": len(batch.targets)})

    def figures(self, total: float, n_targets: float, sums: Mapping[str, float]) -> dict[str, float]:
        return {"loss": total / n_targets, "accuracy": sums["right"] / max(sums["rows"], 1)}

    def _names(self) -> tuple[str, ...]:
        if self.labels is None:
            raise ConfigError(
                "classification: the labels are not known", hint="give labels=[...], or take them from records: fitted(records)"
            )
        return self.labels

    def _number(self, record: Record) -> int:
        name, known = label_of(record, self.label), self._names()
        if name not in known:
            raise unknown("label", name, known, where=f"{record.place}, field {self.label!r}", error=DataError)
        return known.index(name)

    def _row_weights(self, targets: Tensor) -> Tensor | None:
        if not isinstance(self.class_weights, Mapping):
            return None
        return torch.tensor([self.class_weights[name] for name in self._names()])[targets]


def label_of(record: Record, field: str) -> str:
    """The label of a record as text; numbers are labels as well. Raises DataError, with file and line, for anything else."""
    value = record[field]
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value != value or value in ("", math.inf, -math.inf):
        raise DataError(f"{record.place}: field {field!r} is {value!r}, expected a label: text or a number")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)  # 1.0 of one file is 1 of another


def ids_of(lm: LM, text: str, length: int, place: str) -> list[int]:
    """The ids of a text with the special tokens the model expects; what is too long is cut, [SEP] stays. DataError for an empty text."""
    around = list(lm.tokenizer.surround.slots(two=False))
    ids = lm.tokenizer.encode(text)[: max(length - len(around) + 1, 0)]
    whole = [id for slot in around for id in ([slot] if isinstance(slot, int) else ids)]
    if not whole:
        raise DataError(f"{place}: the text {text!r} has no token, so there is nothing to classify", hint="leave empty texts out")
    return whole


@torch.no_grad()
def _fresh(heads: dict[str, Head], like: Tensor, seed: int) -> dict[str, Head]:
    """Weights for new heads, from an explicit generator."""
    generator = torch.Generator().manual_seed(seed % 2**63)
    for head in heads.values():
        head.to(like.dtype)
        for weight in head.parameters():
            weight.normal_(0.0, 0.02, generator=generator) if weight.dim() > 1 else weight.zero_()
    return heads


def _weights(
    asked: Literal["balanced"] | Mapping[str, float] | None, names: Sequence[str], counts: Mapping[str, int]
) -> dict[str, float] | None:
    """A weight for every label; balanced: n / (classes n_c), which is 1 on average over the texts (King and Zeng 2001)."""
    if asked is None:
        return None
    if asked == "balanced":
        return {name: sum(counts.values()) / (len(names) * max(counts.get(name, 0), 1)) for name in names}
    for name in asked:
        if name not in names:
            raise unknown("label", str(name), names, where="class_weights")
    return {name: float(asked.get(name, 1.0)) for name in names}


def build(
    labels: tuple[str, ...] | None = None,
    text: str = "text",
    label: str = "label",
    pooling: str = "last",
    class_weights: dict[str, float] | str | None = None,
    max_length: int | None = None,
) -> Objective:
    """`labels`: None takes those of the data; `text` and `label` are the names of fields; `pooling` is last, mean, max, first or pooler.

    `class_weights` is "balanced" or a number for each label, `max_length` (tokens) cuts longer texts.
    """
    if pooling not in (known := [*POOLINGS, "pooler"]):
        raise unknown("pooling", pooling, known, error=VariantError)
    if isinstance(class_weights, str) and class_weights != "balanced":
        raise VariantError(f"classification: class_weights = {class_weights!r}, expected 'balanced' or numbers such as {{'spam': 2.0}}")
    for name, weight in class_weights.items() if isinstance(class_weights, dict) else ():
        if not 0 < weight < float("inf"):
            raise VariantError(f"classification: class_weights[{name!r}] = {weight!r}, expected a number above 0")
    if labels is not None and len(set(labels)) < max(2, len(labels)):
        raise VariantError(f"classification: labels = {list(labels)!r}, expected at least two different ones, each once")
    if max_length is not None and max_length < 1:
        raise VariantError(f"classification: max_length = {max_length}, expected at least 1 token")
    return Classification(labels, text, label, pooling, class_weights, max_length)  # type: ignore[arg-type]
