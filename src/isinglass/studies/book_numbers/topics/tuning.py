"""Tuning: LoRA's parameters, padding of instructions and their losses, the start of DPO, and the data sets of chapters 6 and 7."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from isinglass.data.records import Record
from isinglass.data.sources import read
from isinglass.evaluation.classification import balanced, stratified_split
from isinglass.generation.lm import LM
from isinglass.models.adapted import adapt, adapter_names
from isinglass.models.presets import family
from isinglass.models.transformer import fresh, on_meta
from isinglass.nn.loss import IGNORED, cross_entropy
from isinglass.studies.book_numbers.number import Number, Value
from isinglass.text.load import tokenizer
from isinglass.training.dataset import held_out
from isinglass.training.dialogue import Dialogue
from isinglass.training.objectives import dpo, instruction

END = 50_256  # GPT-2's end of text, which the book pads with
TEXTS = ((0, 1, 2, 3, 4), (5, 6), (7, 8, 9))
LOGITS = ((-1.0, 1.0), (-0.5, 1.5), (-0.5, 1.5))
SPAM, INSTRUCTIONS = "sms_spam.tsv", "instruction-data.json"
BATCH = 8


def numbers() -> list[Number]:
    """Chapters 6 and 7 and appendix E."""
    return [*_lora(), *_collate(), _dpo(), *_spam(), *_instructions()]


def _lora() -> list[Number]:
    total = Number(
        chapter="E",
        what="GPT-2 124M with a head for two classes, parameters",
        theirs=124_441_346,
        measure=lambda: sum(weight.numel() for weight in on_meta(_classifier()).parameters()),
        shown_by="isinglass explain heads.classification",
    )
    small = Number(
        chapter="E",
        what="LoRA of rank 16 on it, parameters trained",
        theirs=2_666_528,
        measure=lambda: trained(adapt(on_meta(_classifier()), "lora(rank=16)")),
        shown_by="isinglass explain lora",
    )
    medium = Number(
        chapter="7",
        what="LoRA of rank 16 on GPT-2 355M, parameters trained",
        theirs=7_898_384,
        measure=lambda: trained(adapt(on_meta(family.resolve("gpt2(size='355m', embeddings='untied')")), "lora(rank=16)")),
        shown_by="isinglass explain lora",
    )
    return [total, small, medium]


def _classifier():
    return family.resolve("gpt2").model_copy(update={"heads": ["classification(n_labels=2, pooling='last')"]})


def trained(adapted: torch.nn.Module) -> int:
    """Parameters of the adapter."""
    names = adapter_names(adapted)
    return sum(weight.numel() for name, weight in adapted.named_parameters() if name in names)


def _collate() -> list[Number]:
    where = "src/isinglass/training/objectives/instruction.py"
    ids = [[0, 1, 2, 3, 4], [5, 6, END, END, END], [7, 8, 9, END, END]]
    targets = [[1, 2, 3, 4, END], [6, END, IGNORED, IGNORED, IGNORED], [8, 9, END, IGNORED, IGNORED]]
    hidden = "padding is 0 in place of 50256 and is hidden from attention; what is read is the same"
    losses = (
        ("two targets", [0, 1], 1.1269),
        ("three targets", [0, 1, 1], 0.7936),
        ("three targets, one ignored", [0, 1, IGNORED], 1.1269),
    )
    return [
        Number(chapter="7", what="ids of three texts in a batch", theirs=ids, measure=lambda: collated()[0], shown_by=where, note=hidden),
        Number(chapter="7", what="targets of three texts in a batch", theirs=targets, measure=lambda: collated()[1], shown_by=where),
        *(
            Number(
                chapter="7",
                what=f"cross-entropy of {what}",
                theirs=theirs,
                measure=lambda given=given: mean_loss(given),
                shown_by="src/isinglass/nn/loss.py",
            )
            for what, given, theirs in losses
        ),
    ]


def collated() -> tuple[Value, Value]:
    """Ids and targets of the three texts, all of whose tokens are learned."""
    rows = [(Dialogue((*text, END), (True,) * (len(text) + 1), "here"),) for text in TEXTS]
    batch = instruction.build().collate(rows, [0] * len(rows))
    return batch.ids.tolist(), batch.targets.tolist()


def mean_loss(targets: list[int]) -> float:
    """Over the targets that are not ignored."""
    wanted = torch.tensor(targets)
    return float(cross_entropy(torch.tensor(LOGITS[: len(targets)]), wanted)) / int((wanted != IGNORED).sum())


def _dpo() -> Number:
    return Number(
        chapter="7",
        what="DPO before the first step: loss, margin of rewards",
        theirs=[0.693147, 0.0],
        digits=6,
        measure=dpo_start,
        shown_by="isinglass explain dpo",
        note="any model: it is its own reference, so this is ln 2 and 0; ours sums over tokens where the book takes the mean",
    )


def dpo_start() -> Value:
    tok = tokenizer("gpt2")
    lm = LM(fresh(family.resolve(f"tiny(vocab_size={tok.vocab_size})"), seed=0), tok)
    record = Record({"prompt": "What is 2 + 2?", "chosen": "It is four.", "rejected": "No idea."}, "here")
    objective = dpo.build(beta=0.1)
    examples = objective.examples(lm, [record], lm.config.context_length)
    loss = objective.loss(objective.trainee(lm, seed=0), objective.collate([examples[0]], [0]))
    return [float(loss.total.detach()), loss.sums["margin"]]


def _spam() -> list[Number]:
    show = "isinglass data show sms_spam.tsv --columns label,text"
    quoted = "pandas reads quotation marks as quotes and joins the lines between them, which loses two messages; we read them as characters"
    whole = "a last batch that is not full is kept, and equal texts are all on one side of the split"
    drawn = "the longest of another draw of ham"
    return [
        Number(chapter="6", what="SMS messages", theirs=5572, file=SPAM, measure=lambda path: len(spam(path)), shown_by=show, note=quoted),
        Number(chapter="6", what="of them spam", theirs=747, file=SPAM, measure=n_spam, shown_by=show),
        Number(
            chapter="6",
            what="messages once both classes are as many",
            theirs=1494,
            file=SPAM,
            measure=lambda path: len(balanced(spam(path))),
            shown_by="src/isinglass/evaluation/classification.py",
        ),
        Number(
            chapter="6",
            what="batches of 8 of 70, 10 and 20 %",
            theirs=[130, 19, 38],
            file=SPAM,
            measure=batches,
            shown_by="src/isinglass/evaluation/classification.py",
            note=whole,
        ),
        Number(
            chapter="6",
            what="longest message to learn from, GPT-2 tokens",
            theirs=120,
            file=SPAM,
            measure=longest,
            shown_by="src/isinglass/evaluation/classification.py",
            note=drawn,
        ),
    ]


def spam(path: Path) -> list[Record]:
    return list(read(path, columns=("label", "text")))


def n_spam(path: Path) -> int:
    return sum(record["label"] == "spam" for record in spam(path))


def sides(path: Path) -> dict[str, list[Record]]:
    """The balanced messages, split as the book does."""
    return stratified_split(balanced(spam(path)), {"train": 0.7, "validation": 0.1, "test": 0.2})


def batches(path: Path) -> Value:
    return [math.ceil(len(side) / BATCH) for side in sides(path).values()]


def longest(path: Path) -> int:
    tok = tokenizer("gpt2")
    return max(tok.count(record.text) for record in sides(path)["train"])


def _instructions() -> list[Number]:
    return [
        Number(
            chapter="7",
            what="instructions to learn from, to validate and to test with",
            theirs=[935, 55, 110],
            file=INSTRUCTIONS,
            measure=instruction_sides,
            shown_by="src/isinglass/training/dataset.py",
            note="the same shares of 1,100; ours go to a side by a hash of their content, the book's by their place in the file",
        )
    ]


def instruction_sides(path: Path) -> Value:
    """85, 5 and 10 %: the test set is held out first, then the validation set of what is left."""
    rest, test = held_out(list(read(path)), 0.10, seed=0)
    train, validation = held_out(rest, 0.05 / 0.90, seed=0)
    return [len(train), len(validation), len(test)]
