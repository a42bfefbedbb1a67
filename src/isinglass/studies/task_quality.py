"""How good each task is: a measure on texts that the model has not learned from, beside what needs no model."""

from __future__ import annotations

import lzma
import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

import isinglass.retrieval
from isinglass.core.config import read_toml
from isinglass.core.errors import ConfigError, unknown
from isinglass.data.records import Record
from isinglass.embedding.classifier import classified
from isinglass.embedding.collections import topics
from isinglass.embedding.contextual import embed
from isinglass.evaluation import classification
from isinglass.generation.lm import LM, load
from isinglass.metrics.overlap import chrf, word_f1
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table
from isinglass.tasks.answer import answer
from isinglass.tasks.classify import classify
from isinglass.tasks.fill_mask import probabilities, surrounded
from isinglass.tasks.summarize import summarize
from isinglass.tasks.translate import translate
from isinglass.text.sentences import statements
from isinglass.training.dataset import held_out, records_of
from isinglass.training.log_probs import token_log_probs

_COLLECTION = Path(isinglass.retrieval.__path__[0]) / "collection"
_TOGETHER = 16  # texts that are translated at once


@dataclass(frozen=True)
class Quality:
    """One task: what its model reaches and what its baseline reaches, in the same measure on the same examples."""

    task: str
    model: str
    measure: str
    value: float
    baseline: str
    baseline_value: float
    n: int
    is_less_better: bool = False

    @property
    def is_better(self) -> bool:
        """Whether the model beats its baseline."""
        return (self.value < self.baseline_value) == self.is_less_better and self.value != self.baseline_value


@dataclass(frozen=True)
class TaskQuality(Finding):
    """A row for each measure of each task."""

    rows: tuple[Quality, ...]
    command: str | None = None

    @property
    def table(self) -> Table:
        """Model and baseline side by side."""
        rows = [
            {
                "task": one.task, "model": one.model, "measure": one.measure, "value": one.value, "baseline": one.baseline_value,
                "better": "yes" if one.is_better else "no", "examples": one.n,
            }
            for one in self.rows
        ]  # fmt: skip
        named = dict.fromkeys(f"{one.task}: {one.baseline}" for one in self.rows)
        notes = ["on texts that were not learned from; bits per byte: less is better, all others: more", "baselines: " + "; ".join(named)]
        return Table(rows, title="How good the tasks are", notes=notes, command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table]

    @property
    def data(self) -> Any:
        return [asdict(one) | {"better": one.is_better} for one in self.rows]


def evaluate(tasks: Sequence[str], models: Mapping[str, str], *, limit: int = 200, tell: Callable[[str], None] = print) -> TaskQuality:
    """Measure the named tasks (none: all whose model is here) with at most `limit` examples each.

    `models` says where the model of a task is; those that need no training have one. Raises ConfigError for an unknown task, and for one
    that needs a model where none is given.
    """
    for name in (*tasks, *models):
        if name not in MEASURES:
            raise unknown("task", name, MEASURES)
    for name in tasks:
        if name not in DEFAULTS and name not in models:
            recipe = f"examples/{RECIPES[name]}.toml"
            hint = f"isinglass train {recipe} --out runs/{name}, then --with {name}=runs/{name}"
            raise ConfigError(f"task {name!r} needs a model that was trained for it", hint=hint)
    rows: list[Quality] = []
    for name in tasks or [name for name in MEASURES if name in DEFAULTS or name in models]:
        for found in MEASURES[name](models.get(name, DEFAULTS.get(name, "")), limit):
            rows.append(found)
            tell(f"{name}: {found.measure} {found.value:.3f}, {found.baseline} {found.baseline_value:.3f}")
    named = "".join(f" --with {name}={place}" for name, place in models.items())
    return TaskQuality(tuple(rows), " ".join(["isinglass task evaluate", *tasks]) + named)


def unseen(folder: str, limit: int) -> list[Record]:
    """Records that the training of a run held out, read again from the data it names. Raises ConfigError for a folder without a run."""
    file = Path(folder) / "run.toml"
    if not file.is_file():
        raise ConfigError(f"{folder!r} holds no run.toml, so what was held out is not known", hint="give the folder of isinglass train")
    run = read_toml(file)
    records = list(records_of(run["data"]))
    return held_out(records, run["train"].get("validation", 0.1), run["seed"])[1][:limit]


def topic(model: str, limit: int) -> Iterator[Quality]:
    """Four topics by their names alone, against a classifier on words that has seen the other sentences."""
    given, lm = topics(), load(model)
    right = classify(lm, given.texts, labels=sorted(set(given.labels))).predicted
    accuracy = float(np.mean([one == label for one, label in zip(right, given.labels, strict=True)]))
    words = classified(embed(lm, given.texts), given.labels).accuracies["TF-IDF"]
    yield Quality("topic", model, "accuracy", accuracy, "TF-IDF, trained on the others", words, len(given.texts))


def sentiment(model: str, limit: int) -> Iterator[Quality]:
    """Reviews that were held out, against TF-IDF trained on the same others."""
    test, run = unseen(model, limit), read_toml(Path(model) / "run.toml")
    seen = {record.place for record in unseen(model, 10**9)}
    train = [record for record in records_of(run["data"]) if record.place not in seen]
    report = classification.evaluate(load(model), test, train)
    words = report.baselines["TF-IDF + logistic regression"].accuracy
    yield Quality("sentiment", model, "accuracy", report.model.accuracy, "TF-IDF + logistic regression", words, len(test))


def fill_mask(model: str, limit: int) -> Iterator[Quality]:
    """The middle token of held-out texts is hidden; the baseline names the most frequent tokens behind the one before."""
    test, lm, run = unseen(model, limit), load(model), read_toml(Path(model) / "run.toml")
    mask = lm.tokenizer.special["[MASK]"]
    seen = {record.place for record in unseen(model, 10**9)}
    follows: dict[int, Counter[int]] = {}
    for record in records_of(run["data"]):
        if record.place not in seen:
            ids = lm.tokenizer.encode(record.text)
            for one, other in pairwise(ids):
                follows.setdefault(one, Counter())[other] += 1
    first, five, guess, guesses = [], [], [], []
    for record in test:
        ids = lm.tokenizer.encode(record.text)[: lm.config.context_length - 2]
        if len(ids) < 3:
            continue
        middle = len(ids) // 2
        hidden = surrounded(lm, [*ids[:middle], mask, *ids[middle + 1 :]])
        best = probabilities(lm, hidden)[hidden.index(mask)].topk(5).indices.tolist()
        common = [id for id, _ in follows.get(ids[middle - 1], Counter()).most_common(5)]
        first.append(best[0] == ids[middle])
        five.append(ids[middle] in best)
        guess.append(common[:1] == [ids[middle]])
        guesses.append(ids[middle] in common)
    name = "most frequent after the word before"
    yield Quality("fill-mask", model, "right at first", float(np.mean(first)), name, float(np.mean(guess)), len(first))
    yield Quality("fill-mask", model, "right among 5", float(np.mean(five)), name, float(np.mean(guesses)), len(five))


def answering(model: str, limit: int) -> Iterator[Quality]:
    """Questions about documents of the collection, against the sentence that shares most words with the question."""
    asked = [one for one in tomllib.loads((_COLLECTION / "questions.toml").read_text("utf-8"))["question"] if "answer" in one][:limit]
    lm, finder = load(model), load("minilm")
    ours, theirs, held, held_by_sentence = [], [], [], []
    for one in asked:
        passage = (_COLLECTION / one["document"]).read_text("utf-8")
        found, sentence = answer(lm, one["text"], passage, finder=finder, top=1).text, _nearest(one["text"], passage)
        ours.append(word_f1(found, one["answer"]))
        theirs.append(word_f1(sentence, one["answer"]))
        held.append(one["answer"].lower() in found.lower())
        held_by_sentence.append(one["answer"].lower() in sentence.lower())
    name = "the sentence that shares most words"
    yield Quality("answer", model, "F1 of words", float(np.mean(ours)), name, float(np.mean(theirs)), len(asked))
    yield Quality("answer", model, "holds the answer", float(np.mean(held)), name, float(np.mean(held_by_sentence)), len(asked))


def _nearest(question: str, passage: str) -> str:
    found = [passage[start:end] for start, end in statements(passage)]
    words = set(question.lower().strip("?").split())
    return max(found, key=lambda sentence: len(words & set(sentence.lower().split())))


def summarizing(model: str, limit: int) -> Iterator[Quality]:
    """One sentence for each document of the collection, against its first sentence; judged by a sentence written by hand."""
    known = tomllib.loads((Path(__file__).parent / "summaries.toml").read_text("utf-8"))["summaries"]
    for name in dict.fromkeys((model, "smollm2")):  # sentences taken, sentences written
        lm, ours, theirs = load(name), [], []
        for file, reference in list(known.items())[:limit]:
            text = (_COLLECTION / file).read_text("utf-8")
            first = next(text[a:b] for a, b in statements(text))
            ours.append(chrf(summarize(lm, text, n_sentences=1).summary, reference))
            theirs.append(chrf(first, reference))
        yield Quality("summarize", name, "chrF", float(np.mean(ours)), "the first sentence", float(np.mean(theirs)), len(ours))


def translating(model: str, limit: int) -> Iterator[Quality]:
    """Held-out verses of 1611 in modern English, against the old verse left as it is: the two share most of their words."""
    records, lm = unseen(model, limit), load(model)
    test = [record for record in records if len(lm.tokenizer.encode(record["kjv"])) < lm.config.context_length]
    found: list[str] = []
    for at in range(0, len(test), _TOGETHER):
        found += translate(lm, [record["kjv"] for record in test[at : at + _TOGETHER]]).translations
    ours = [chrf(text, record["web"]) for text, record in zip(found, test, strict=True)]
    theirs = [chrf(record["kjv"], record["web"]) for record in test]
    yield Quality("translate", model, "chrF", float(np.mean(ours)), "the old text unchanged", float(np.mean(theirs)), len(test))


def completing(model: str, limit: int) -> Iterator[Quality]:
    """How well the model foresees documents that it has never seen, against a compressor, which is a model of language as well."""
    texts = [file.read_text("utf-8") for file in sorted(_COLLECTION.glob("*.md"))][:limit]
    lm = load(model)
    bits = -sum(_log_prob(lm, text) for text in texts) / math.log(2)
    size = sum(len(text.encode("utf-8")) for text in texts)
    packed = 8 * len(lzma.compress("\n".join(texts).encode("utf-8"), format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2}]))
    yield Quality("complete", model, "bits per byte", bits / size, "lzma over all of them", packed / size, len(texts), is_less_better=True)


@torch.inference_mode()
def _log_prob(lm: LM, text: str) -> float:
    """log p(text) in nats; the token that ends a text stands before it, as between the documents that a model learned from."""
    before = lm.tokenizer.eos_id if lm.tokenizer.eos_id is not None else lm.tokenizer.bos_id
    ids = torch.tensor([[*([] if before is None else [before]), *lm.tokenizer.encode(text)]], device=lm.device)
    return float(token_log_probs(lm.decoder, lm.decoder.hidden(ids[:, :-1]), ids[:, 1:]).sum())


MEASURES: dict[str, Callable[[str, int], Iterator[Quality]]] = {
    "topic": topic, "sentiment": sentiment, "fill-mask": fill_mask, "answer": answering, "summarize": summarizing,
    "translate": translating, "complete": completing,
}  # fmt: skip
DEFAULTS = {"topic": "minilm", "answer": "smollm2", "summarize": "minilm", "complete": "smollm2"}
RECIPES = {"sentiment": "sentiment", "fill-mask": "fill_mask", "translate": "translate"}
