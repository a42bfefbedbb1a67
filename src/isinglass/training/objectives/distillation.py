"""Distillation: a small model learns from the probabilities of a large one.

What: at every place the student comes near the teacher's distribution, softened by a temperature, and near the token that came.
Why: a distribution tells more than one token does: which others would have been nearly as good. The same text teaches more.
Math: loss = alpha T^2 KL(p_T || q_T) + (1 - alpha) CE(x) + hidden D, p_T = softmax(teacher / T), q_T = softmax(student / T); T^2 keeps
the gradient's size whatever T is; D = mean over layers of |s/|s| - t/|t||^2 between hidden states
Cost: the teacher's forward pass on top, and the scores of both for every token, a few hundred tokens at a time
Used by: DistilBERT, DistilGPT-2, Gemma 2 and 3 (small sizes), Llama 3.2 (1B, 3B)
Paper: Hinton et al. 2015, Distilling the Knowledge in a Neural Network; Sun et al. 2019, Patient Knowledge Distillation (hidden states)
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from isinglass.core.errors import ConfigError, VariantError
from isinglass.data.records import Record
from isinglass.generation.lm import LM, load
from isinglass.models.fingerprint import fingerprint
from isinglass.models.transformer import Decoder, Model
from isinglass.nn.loss import IGNORED, cross_entropy, rows_at_once
from isinglass.show.table import Table
from isinglass.text.tokenizer import Tokenizer
from isinglass.training.dataset import Data, records_of
from isinglass.training.objective import Batch, Loss, Objective
from isinglass.training.objectives.causal_lm import CausalLM, TextBatch, TextWindow, TextWindows

EXAMPLE = dict(teacher="smollm2")


def soft_loss(student: Float[Tensor, "*batch vocab"], teacher: Float[Tensor, "*batch vocab"], temperature: float) -> Float[Tensor, ""]:
    """T^2 times the sum of KL(teacher || student) in nats, both distributions softened by T; in fp32. Equal logits give 0.

    It is the whole divergence, the teacher's entropy included, and not the cross-entropy, which is never 0.

    Source: Hinton et al. 2015, section 2.

    >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 100.0]])
    >>> print(round(soft_loss(student, teacher, 1.0).item(), 4), round(soft_loss(teacher, teacher, 2.0).item(), 4))  # ln 2
    0.6931 0.0
    """
    p, q = F.log_softmax(teacher.float() / temperature, dim=-1), F.log_softmax(student.float() / temperature, dim=-1)
    return temperature**2 * (p.exp() * (p - q)).sum()


def distance(student: Float[Tensor, "*batch d_student"], teacher: Float[Tensor, "*batch d_teacher"]) -> Float[Tensor, "*batch"]:
    """The squared distance of two hidden states, each brought to length 1: 0 for the same direction, 2 at right angles, 4 for opposite.

    A teacher of another width is first mapped to the student's by a fixed random matrix, which nearly keeps angles and needs no training.

    Source: Sun et al. 2019, eq. 7; Johnson and Lindenstrauss 1984.
    """
    wide, narrow = teacher.shape[-1], student.shape[-1]
    if wide != narrow:
        matrix = torch.randn(wide, narrow, generator=torch.Generator().manual_seed(0)).to(teacher)
        teacher = teacher @ matrix  # its size does not matter: only directions are compared
    return (F.normalize(student.float(), dim=-1) - F.normalize(teacher.float(), dim=-1)).square().sum(dim=-1)


def layer_pairs(n_student: int, n_teacher: int) -> list[tuple[int, int]]:
    """Which layer of the teacher each layer of the student follows: spread evenly, the last one follows the last.

    >>> layer_pairs(2, 6), layer_pairs(4, 2)
    ([(0, 2), (1, 5)], [(0, 0), (1, 0), (2, 1), (3, 1)])
    """
    return [(number, -(-(number + 1) * n_teacher // n_student) - 1) for number in range(n_student)]


@dataclass(frozen=True)
class Watch:
    """A tap that keeps what comes out of some layers."""

    layers: frozenset[int]
    seen: dict[int, Tensor] = field(default_factory=dict)

    def wants(self, name: str) -> bool:
        parts = name.split(".")
        return len(parts) == 3 and parts[2] == "resid_post" and int(parts[1]) in self.layers

    def __call__(self, name: str, x: Tensor) -> Tensor:
        self.seen[int(name.split(".")[1])] = x
        return x


@dataclass(frozen=True)
class Distillation(Objective):
    """`alpha` is the share of the teacher's probabilities in the loss, the rest is that of the text; `hidden` weighs hidden states.

    The teacher stands outside of the model that is trained: it takes part in no gradient, no checkpoint and no saved model.
    """

    teacher: LM = field(repr=False)  # a run remembers its objective as text
    name: str
    temperature: float
    alpha: float
    hidden: float | None
    text: CausalLM

    def trainee(self, lm: LM, seed: int) -> Model:
        return self.text.trainee(lm, seed)

    def examples(self, lm: LM, records: Iterable[Record], context_length: int) -> TextWindows:
        self._same_vocabulary(lm)
        if context_length > self.teacher.config.context_length:
            raise ConfigError(
                f"context_length = {context_length:,}: the teacher {self.name!r} reads {self.teacher.config.context_length:,} tokens",
                hint=f"set context_length to at most {self.teacher.config.context_length}",
            )
        return self.text.examples(lm, records, context_length)

    def _same_vocabulary(self, lm: LM) -> None:
        """ConfigError unless each id is the same token to both. How each cuts text does not matter: the student's ids are given to both."""
        ours, theirs = _meanings(lm.tokenizer), _meanings(self.teacher.tokenizer)
        sizes = lm.config.vocab_size, self.teacher.config.vocab_size
        other = next((id for id in sorted(ours.keys() | theirs.keys()) if ours.get(id) != theirs.get(id)), None)
        if other is None and sizes[0] == sizes[1]:
            return
        details = [f"student: {lm.tokenizer.name}, {sizes[0]:,} logits", f"teacher: {self.teacher.tokenizer.name}, {sizes[1]:,} logits"]
        raise ConfigError(
            f"student and teacher {self.name!r} have different vocabularies, so their probabilities cannot be compared",
            details=details if other is None else [*details, f"token {other} is {ours.get(other)!r} here and {theirs.get(other)!r} there"],
            hint=f"make the student with the teacher's tokenizer: tokenizer = {self.name!r}",
        )

    def remembered(self) -> Mapping[str, Any]:
        return {"teacher": fingerprint(self.teacher.model)}

    def collate(self, examples: Sequence[TextWindow], seeds: Sequence[int]) -> TextBatch:
        return self.text.collate(examples, seeds)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        student, teacher = cast(Decoder, model), self.teacher.decoder
        pairs = [] if self.hidden is None else layer_pairs(student.config.n_layers, teacher.config.n_layers)
        seen, known = Watch(frozenset(s for s, _ in pairs)), Watch(frozenset(t for _, t in pairs))
        ours = student.hidden(batch.ids, slots=batch.slots, tap=seen if pairs else None)
        with torch.no_grad():
            theirs = teacher.hidden(batch.ids, slots=batch.slots, tap=known if pairs else None)
        learned = batch.targets != IGNORED
        soft, hard = self._scored(student, ours[learned], theirs[learned], batch.targets[learned])
        total, sums = self.alpha * soft + (1 - self.alpha) * hard, {"soft": soft.item(), "hard": hard.item()}
        if self.hidden is not None:
            apart = sum((distance(seen.seen[s][learned], known.seen[t][learned]).sum() for s, t in pairs), soft.new_zeros(())) / len(pairs)
            total, sums["distance"] = total + self.hidden * apart, apart.item()
        return Loss(total, {**sums, "bytes": cast(TextBatch, batch).n_bytes})

    def _scored(
        self, student: Decoder, ours: Float[Tensor, "n d_student"], theirs: Float[Tensor, "n d_teacher"], targets: Int[Tensor, "n"]
    ) -> tuple[Tensor, Tensor]:
        """The sums of both losses. Scores of a chunk are computed again for its gradients, so that those of all are never held."""

        def of(hidden: Tensor, known: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
            scores = student.logits(hidden)
            with torch.no_grad():
                goal = self.teacher.decoder.logits(known)
            return soft_loss(scores, goal, self.temperature), cross_entropy(scores, wanted)

        soft, hard = torch.zeros(()), torch.zeros(())
        rows = rows_at_once(student.config.vocab_size)
        for part in zip(ours.split(rows), theirs.split(rows), targets.split(rows), strict=True):
            here = checkpoint(of, *part, use_reentrant=False, preserve_rng_state=False)
            soft, hard = soft + here[0], hard + here[1]
        return soft, hard

    def figures(self, total: float, n_targets: float, sums: Mapping[str, float]) -> dict[str, float]:
        text = self.text.figures(sums["hard"], n_targets, sums)
        parts = {"soft_loss": sums["soft"] / n_targets, "text_loss": text.pop("loss")}
        apart = {"distance": sums["distance"] / n_targets} if "distance" in sums else {}
        return {"loss": total / n_targets, **parts, **apart, **text}


@torch.no_grad()
def compared(teacher: LM, student: LM, data: Data, *, context_length: int | None = None) -> Table:
    """Size, loss on held-out text, speed and agreement of two models of one vocabulary.

    `loss` is in nats per token, `tokens_per_second` how fast each reads the text, one window at a time, on this machine; `agreement` is
    the share of places where the model's most probable token is the teacher's. Windows are as long as both can read, or `context_length`.
    ConfigError for different vocabularies, DataError for a text that is shorter than a window.

    >>> import isinglass as ig
    >>> table = compared(ig.create("tiny"), ig.create("tiny(n_layers=1)"), ["to be or not to be " * 20], context_length=32)
    >>> [row["model"] for row in table.rows], table.rows[0]["agreement"]
    (['teacher', 'student'], 1.0)
    """
    length = context_length or min(teacher.config.context_length, student.config.context_length)
    windows = build(teacher).examples(student, records_of(data), length)
    rows, said = [], dict[str, list[Tensor]]()
    for role, lm in (("teacher", teacher), ("student", student)):
        model, total, seconds, said[role] = lm.packed(), 0.0, 0.0, []
        for number in range(len(windows)):
            ids = torch.from_numpy(windows[number].ids)[None]
            began = time.perf_counter()
            logits = model(ids[:, :-1])
            seconds += time.perf_counter() - began
            total += cross_entropy(logits, ids[:, 1:]).item()
            said[role].append(logits.argmax(dim=-1))
        n_tokens, weights = len(windows) * length, list(lm.model.parameters())
        same = sum(int((one == other).sum()) for one, other in zip(said["teacher"], said[role], strict=True))
        rows.append(
            {
                "model": role,
                "parameters": sum(weight.numel() for weight in weights),
                "size_bytes": sum(weight.numel() * weight.element_size() for weight in weights),
                "loss": total / n_tokens,
                "tokens_per_second": n_tokens / seconds,
                "agreement": same / n_tokens,
            }
        )
    return Table(
        rows, title="Teacher and student", units={"parameters": "count", "agreement": "ratio"}, notes=[_measured(len(windows), length)]
    )


def _meanings(tokenizer: Tokenizer) -> dict[int, bytes]:
    """What each id stands for; the fingerprint of a tokenizer may change when it is saved, this does not."""
    ids = {*tokenizer.algorithm.vocab.values(), *(token.id for token in tokenizer.added)}
    return {id: tokenizer.token_bytes(id) for id in ids}


def _measured(n_windows: int, length: int) -> str:
    return f"{n_windows:,} windows of {length:,} tokens, read one at a time on {torch.get_num_threads()} threads"


def build(teacher: Any, temperature: float = 2.0, alpha: float = 0.5, hidden: float | None = None) -> Objective:
    """`teacher` is a name or a path (in quotes), or an LM; `alpha` weighs its probabilities, softened by `temperature`, against the text.

    `hidden` weighs the distance of hidden states (None: not looked at).
    """
    if not 0 < temperature < math.inf:
        raise VariantError(f"distillation: temperature = {temperature!r}, expected a number above 0")
    if not 0 <= alpha <= 1:
        raise VariantError(f"distillation: alpha = {alpha!r}, expected a share from 0 (the text alone) to 1 (the teacher alone)")
    if hidden is not None and not 0 < hidden < math.inf:
        raise VariantError(f"distillation: hidden = {hidden!r}, expected a weight above 0, or None")
    if not isinstance(teacher, str | LM):
        raise VariantError(
            f"distillation: teacher = {teacher!r}, expected the name or path of a model", hint="write it in quotes: teacher='smollm2'"
        )
    lm = load(teacher) if isinstance(teacher, str) else teacher
    name = teacher if isinstance(teacher, str) else str(lm.card.get("source", lm.config.family))
    lm.decoder  # noqa: B018 - EngineError for a teacher that does not continue a text
    return Distillation(lm, name, temperature, alpha, hidden, CausalLM(None, "joined"))
