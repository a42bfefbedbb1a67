"""What every objective is: examples from records, a batch from examples, a loss from a model and a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.models.transformer import Model
from isinglass.nn.attention.slots import Slots
from isinglass.nn.loss import IGNORED
from isinglass.text.tokenizer import Tokenizer

Examples = Sequence[Any]  # each objective has its own kind


@dataclass(frozen=True, eq=False)
class Batch:
    """Token ids, where they stand, and what is to be said: a token at each place, or a label for each row.

    `targets` is IGNORED where nothing is learned.
    """

    ids: Int[Tensor, "batch time"]
    slots: Slots
    targets: Int[Tensor, "batch *time"]
    segments: Int[Tensor, "batch time"] | None = None

    @property
    def n_targets(self) -> float:
        """What a mean loss is a mean over: the number of targets, or the sum of their weights where they have some."""
        return int((self.targets != IGNORED).sum())

    @property
    def n_tokens(self) -> int:
        """Tokens read, padding not counted."""
        return self.ids.numel() if self.slots.valid is None else int(self.slots.valid.sum())


@dataclass(frozen=True)
class Loss:
    """The sum over all targets of a batch, in nats, to be minimised; `sums` are further sums that `figures` are made from."""

    total: Float[Tensor, ""]
    sums: Mapping[str, float] = field(default_factory=dict)


class Objective(ABC):
    """Loss and data of one way to learn. Objects are values: what changes while training is in the model alone.

    `rows` says whether an example is always the same row of ids, padded on the right ("repeated"): what blocks that do not train make
    of it may then be kept (`training.reuse`). `one_shape`: all batches of a run have the same shape, so a program may be made for it.
    """

    rows: ClassVar[Literal["drawn", "repeated"]] = "drawn"
    one_shape: ClassVar[bool] = False

    def fitted(self, records: Sequence[Record]) -> Objective:
        """This objective with what it takes from the records it learns from, such as the names of labels; most take nothing."""
        return self

    @abstractmethod
    def trainee(self, lm: LM, seed: int) -> Model:
        """The model that is trained: a copy of the given one, with the heads this objective needs.

        Raises ConfigError for an architecture that cannot learn it.
        """

    @abstractmethod
    def examples(self, lm: LM, records: Iterable[Record], context_length: int) -> Examples:
        """What is drawn from, made once. Raises DataError, with file and line, for a record that cannot be used."""

    @abstractmethod
    def collate(self, examples: Examples, seeds: Sequence[int]) -> Batch:
        """A batch of some examples; whatever is random about example i follows from seeds[i]."""

    def lengths(self, examples: Examples) -> Sequence[int]:
        """The tokens of each example, by which batches may be grouped."""
        return [self.collate([example], [0]).n_tokens for example in examples]

    def prepared(self, model: nn.Module, batches: Sequence[Batch]) -> Sequence[Batch]:
        """The batches of a step, with what the model itself, as it is before the step, adds to them; PPO lets it write the responses."""
        return batches

    def updates(self, batches: Sequence[Batch]) -> Sequence[Sequence[Batch]]:
        """What each change of the weights within one step learns from; most objectives change them once, from all."""
        return [batches]

    def product(self, model: Model) -> Model:
        """What of the trained model is the result; PPO leaves its value head behind."""
        return model

    def ends(self, lm: LM) -> frozenset[int]:
        """The tokens that end a text of the trained model: those of the given one, and for instructions what a reply ends with."""
        return lm.end_ids

    def tokenizer(self, lm: LM) -> Tokenizer:
        """The tokenizer of the trained model: the given one; for instructions it knows how a conversation was written."""
        return lm.tokenizer

    def remembered(self) -> Mapping[str, Any]:
        """What a run that is resumed must find as it was, beside the objective's text; for distillation the teacher's weights."""
        return {}

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The loss of a batch; `model` is what `trainee` made."""

    def figures(self, total: float, n_targets: float, sums: Mapping[str, float]) -> dict[str, float]:
        """What people read, from sums over many batches: at least `loss`, the mean in nats."""
        return {"loss": total / n_targets, **{name: value / n_targets for name, value in sums.items()}}
