# %% [markdown]
# # Assignment 5, option A: fine-tuning for classification
#
# After chapter 6 of *Build a Large Language Model (From Scratch)*. A pretrained model gets another head and learns to label texts: first in
# plain PyTorch, written out here, then with Isinglass, which does the same. What trains is varied from the head alone to every weight.
# `README.md` is written by the last cell, from the values this run measured.
#
# With the book's data: `data = "SMSSpamCollection"` (the UCI file: label, tab, text). Without a file the texts are Bible verses and the
# label is the translation, King James (1611) or World English (2000). That is a fair stand-in: short texts, two classes, labels that are
# certain, many texts that give themselves away by a word ("thou" is what "FREE" is in spam) and some that do not. Each verse is used once,
# in one of the two translations, so no text of the test set has a twin in the training set; and the rarer class is made as rare as spam is.

# %%
import copy
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from IPython.display import display
from sklearn.metrics import precision_recall_fscore_support
from torch import Tensor, nn

import isinglass as ig
from isinglass.data.records import Record
from isinglass.data.sources import is_corpus, read
from isinglass.evaluation.classification import balanced, evaluate, sample, stratified_split
from isinglass.evaluation.classification_sweep import Shared, measured
from isinglass.models.headed import HeadedModel
from isinglass.report.document import Document, Heading
from isinglass.show.figure import Figure
from isinglass.show.marks.bars import bars
from isinglass.show.marks.lines import lines
from isinglass.show.table import Table
from isinglass.studies.alignment import short_verses
from isinglass.training.freeze import trainable_counts
from isinglass.training.objectives import classification
from isinglass.training.reuse import Reused

# %% tags=["parameters"]
quick = False  # True: the same cells, with a tiny model that has read nothing and few texts
data = "kjv-web"  # or a file: label <tab> text without a heading, or csv, tsv or jsonl with the fields label and text
model = "smollm2"  # or a folder with GPT-2's weights in Hugging Face's form
seed = 0

# %%
began = time.perf_counter()
SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}  # the book's
PER_CLASS = 40 if quick else 300  # of the verses; a file gives all that the balanced set has, in quick mode as many
RATIO = 747 / 4827  # spam to ham in the SMS collection
LONGEST = 40 if quick else 80  # characters of a verse

lm = ig.create("tiny(context_length=512)", seed=seed) if quick and model == "smollm2" else ig.load(model)
n_layers = lm.config.n_layers
pretrained = "a tiny model that has read nothing" if quick and model == "smollm2" else f"`{model}`"
print(f"{sum(weight.numel() for weight in lm.model.parameters()):,} weights in {n_layers} blocks")


def kept(figure: Figure, name: str) -> Figure:
    """The figure, which is also saved for the report."""
    Path("figures").mkdir(exist_ok=True)
    figure.save(f"figures/{name}.svg")
    return figure


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


# %% [markdown]
# ## 1. The data
#
# Read, cleaned (runs of white space become one blank; of equal texts one is kept, since one that was learned says nothing when it is
# tested), balanced by leaving out texts of the frequent class, and split 70/10/20 with each class in the same shares.


# %%
def verses() -> list[Record]:
    """Verses in turn from one translation and from the other; the newer one is as rare as spam."""
    generator = torch.Generator().manual_seed(seed)
    found = short_verses(LONGEST)
    order = torch.randperm(len(found), generator=generator).tolist()[: round(PER_CLASS * (1 + 1 / RATIO))]
    names = ["web" if place < PER_CLASS else "kjv" for place in range(len(order))]
    return [Record({"text": found[n][name], "label": name}, found[n].place) for n, name in zip(order, names, strict=True)]


def messages(path: str) -> list[Record]:
    """The texts of a file; one without a heading is the UCI file's form."""
    if Path(path).suffix in (".csv", ".jsonl", ".json") or Path(path).read_text("utf-8")[:200].startswith(("label\t", "text\t")):
        return list(read(path))
    return list(read(path, format="tsv", columns=("label", "text")))


raw = verses() if is_corpus(data) else messages(data)
cleaned = {text: Record({"text": text, "label": str(record["label"])}, record.place)
           for record in raw if (text := " ".join(record.text.split()))}  # fmt: skip
natural = list(cleaned.values())
records = balanced(natural, seed=seed)
if quick:
    records = sample(records, PER_CLASS, seed=seed)
sides = stratified_split(records, SHARES, seed=seed)
labels = sorted({record["label"] for record in records})
counts = Counter(record["label"] for record in natural)
rare = min(counts, key=counts.__getitem__)
frequent = max(counts, key=counts.__getitem__)

lengths = [len(lm.tokenizer.encode(record.text)) for record in records]
facts = Table(
    [
        {"set": name, "texts": len(texts), **{label: sum(record["label"] == label for record in texts) for label in labels}}
        for name, texts in {"as it came": natural, "balanced": records, **sides}.items()
    ],
    title="The data",
    notes=[f"{len(raw) - len(natural):,} equal or empty texts left out; {sum(lengths) / len(lengths):.1f} tokens on average, "
           f"at most {max(lengths)}"],
)  # fmt: skip
display(facts)
Table([{"label": record["label"], "text": record.text} for record in sides["train"][:3] + sides["train"][-3:]], title="Some texts")

# %% [markdown]
# ## 2. The model gets another head
#
# The layer that gave a number to every token of the vocabulary is replaced by one that gives a number to every label. It reads the last
# token: in a model with a causal mask that is the only one that has seen the whole text. The last *real* one: texts of a batch are padded
# on the right, and what stands in the padding is no text.


# %%
class Classifier(nn.Module):
    """A decoder's body with a linear layer on the last real token."""

    def __init__(self, body: nn.Module, d_model: int, n_labels: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(d_model, n_labels)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        hidden = self.body.hidden(ids)  # no mask for the padding: under a causal mask no real token sees what stands behind it
        return self.head(hidden[torch.arange(len(ids)), lengths - 1])


def collate(texts: list[Record]) -> tuple[Tensor, Tensor, Tensor]:
    """Ids padded on the right, how many of them are real, and the numbers of the labels."""
    rows = [torch.tensor(lm.tokenizer.encode(record.text)) for record in texts]
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return ids, torch.tensor([len(row) for row in rows]), torch.tensor([labels.index(record["label"]) for record in texts])


goal = classification.build().fitted(records)
theirs = goal.trainee(lm, seed).requires_grad_(True)
assert isinstance(theirs, HeadedModel)
own = Classifier(copy.deepcopy(lm.model).requires_grad_(True), lm.config.d_model, len(labels))
own.head.load_state_dict(theirs.heads["classification"].out_proj.state_dict())

some = sides["train"][:4] + sides["train"][-4:]
ids, real, truth = collate(some)
batch = goal.collate(goal.examples(lm, some, 512), [0] * len(some))
with torch.no_grad():
    logits = own(ids, real)
    logits_apart = float((logits - theirs(batch.ids, slots=batch.slots)["classification"]).abs().max())
    alone = torch.cat([own(row[None, :length], length[None]) for row, length in zip(ids, real, strict=True)])
    padding_apart = float((logits - alone).abs().max())
print(f"beside Isinglass's: {logits_apart:.1e} apart; each text alone beside in a batch: {padding_apart:.1e}")

# %% [markdown]
# ## 3. Freezing
#
# `requires_grad_(False)` on every weight, then `True` on those that are to train. Here the last block, the final norm and the head, as in
# the book; and what each strategy of Isinglass trains.


# %%
def freeze_but_last_block(classifier: Classifier) -> Classifier:
    classifier.requires_grad_(False)
    for part in (classifier.body.layers[-1], classifier.body.norm, classifier.head):
        part.requires_grad_(True)
    return classifier


freeze_but_last_block(own)
own_trained = sum(weight.numel() for weight in own.parameters() if weight.requires_grad)
strategies_table = trainable_counts(theirs)
trained = {row["strategy"]: row["parameters"] for row in strategies_table.rows}
print(f"written out: {own_trained:,} weights train; Isinglass's last_block: {trained['last_block']:,}")
display(strategies_table)

# %% [markdown]
# One step of both on the same batch: the same loss, and the same gradient in the head and in the last block.

# %%
loss = F.cross_entropy(own(ids, real), truth)
loss.backward()
found = goal.loss(theirs, batch)
(found.total / batch.n_targets).backward()
pairs = [(own.head.weight, theirs.heads["classification"].out_proj.weight),
         (own.body.layers[-1].attention.q_proj.weight, theirs.body.layers[-1].attention.q_proj.weight)]  # fmt: skip
loss_apart = abs(loss.item() - found.total.item() / batch.n_targets)
gradient_apart = max(float((one.grad - other.grad).abs().max()) for one, other in pairs)
print(f"loss {loss.item():.4f}, {loss_apart:.1e} apart; gradients {gradient_apart:.1e} apart")
own.zero_grad(set_to_none=True)
del theirs

# %% [markdown]
# ## 4. What never changes is computed once
#
# Below the last block nothing trains, so what these blocks make of a text is the same in every epoch. It is computed once here for all
# texts and kept; the runs with frozen blocks share it.

# %%
everything = goal.examples(lm, records, lm.config.context_length)
shared = Shared(lm, goal, everything)
FIRST = {"head": n_layers, "last_block": n_layers - 1, "last_two_blocks": n_layers - 2}  # the block from which on something trains
for first in sorted(set(FIRST.values())):
    shared.at(first)
shared_seconds = {name: shared.at(first)[1] for name, first in FIRST.items()}
print(f"{sum(lengths):,} tokens in {shared_seconds['head']:.0f} s")

# %% [markdown]
# ## 5. The training loop, written out
#
# Batches, loss, backward, step; after each epoch accuracy on the training and on the validation texts instead of perplexity. Only the head
# trains here, on the vectors of the last real tokens.


# %%
def last_vectors(texts: list[Record]) -> tuple[Tensor, Tensor]:
    """The vector that the head reads, and the label's number, of each text."""
    states, _ = shared.at(n_layers)
    rows = [states[torch.tensor(lm.tokenizer.encode(record.text)).numpy().tobytes()][-1] for record in texts]
    with torch.no_grad():
        vectors = lm.model.norm(torch.stack(rows))
    return vectors, torch.tensor([labels.index(record["label"]) for record in texts])


def accuracy(head: nn.Linear, vectors: Tensor, truth: Tensor) -> float:
    with torch.no_grad():
        return float((head(vectors).argmax(dim=1) == truth).float().mean())


vectors = {name: last_vectors(texts) for name, texts in sides.items()}
torch.manual_seed(seed)
head = nn.Linear(lm.config.d_model, len(labels))
before = accuracy(head, *vectors["test"])
optimizer = torch.optim.AdamW(head.parameters(), lr=1e-2, weight_decay=0.01)
history = {"training": [accuracy(head, *vectors["train"])], "validation": [accuracy(head, *vectors["validation"])]}
for _epoch in range(10):
    order = torch.randperm(len(sides["train"]))
    for numbers in order.split(16):
        inputs, targets = vectors["train"][0][numbers], vectors["train"][1][numbers]
        loss = F.cross_entropy(head(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    history["training"].append(accuracy(head, *vectors["train"]))
    history["validation"].append(accuracy(head, *vectors["validation"]))
own_accuracy = accuracy(head, *vectors["test"])
print(f"test accuracy before {percent(before)}, after {percent(own_accuracy)}")
kept(
    lines({name: (list(range(11)), values) for name, values in history.items()}, title="The head alone, trained by the loop written out",
          x="epoch", y="accuracy"), "own_loop",
)  # fmt: skip

# %% [markdown]
# ## 6. Frozen or not: how much should train?
#
# The same texts, the same seed; each strategy at a learning rate that suits it. From here on Isinglass's loop is used.

# %%
Path("splits").mkdir(exist_ok=True)
for name, texts in sides.items():
    rows = Table([{"label": record["label"], "text": record.text} for record in texts], title=name)
    rows.save(f"splits/{name}.csv")

PLANS = {  # learning rate, epochs
    "head": (1e-2, 10),
    "last_block": (1e-3, 2),
    "last_two_blocks": (1e-3, 2),
    "all": (1e-3 if quick else 5e-5, 1),
}


def fit(strategy: str, texts: list[Record] = sides["train"], objective=goal):
    """A run, and the objective that knows what the frozen blocks say."""
    rate, epochs = PLANS[strategy]
    if strategy in FIRST:
        objective = Reused(objective, FIRST[strategy], shared.at(FIRST[strategy])[0])
    every = max(1, round(epochs * len(texts) / 16 / 5))  # steps; five looks at the validation set in a run
    config = {"batch_size": 16, "optimizer": f"adamw(lr={rate}, weight_decay=0.01)", "validation": "splits/validation.csv",
              "evaluate_every": every}  # fmt: skip
    return ig.train(lm, texts, objective=objective, strategy=strategy, epochs=epochs, seed=seed, config=config), objective


def validation_of(run) -> tuple[float, float]:
    """By which runs are compared: accuracy, then loss."""
    return run.evaluations[-1]["validation_accuracy"], -run.evaluations[-1]["validation_loss"]


runs, results, best = {}, {}, ""
for strategy in PLANS:
    run, knowing = fit(strategy)
    results[strategy] = measured(knowing, run.lm, sides["test"])
    print(f"{strategy}: {percent(results[strategy].accuracy)} of the test texts")
    # the validation texts choose, never the test texts; of the others' weights none are kept
    if not best or validation_of(run) > validation_of(runs[best]):
        best, best_lm = strategy, run.lm
    runs[strategy] = replace(run, lm=lm)


# %%
def seconds(strategy: str) -> float:
    """Of all steps, with the share of what was computed once."""
    part = shared_seconds.get(strategy, 0.0) * len(sides["train"]) / len(records)
    return sum(row["seconds"] for row in runs[strategy].rows) + part


comparison = Table(
    [
        {"what trains": name, "parameters": trained[name], "epochs": PLANS[name][1], "seconds": seconds(name),
         "loss at the end": runs[name].rows[-1]["loss"], "validation": runs[name].evaluations[-1]["validation_accuracy"],
         "test": results[name].accuracy, "test F1": results[name].average("macro")["f1"]}
        for name in PLANS
    ],
    title="Frozen and full fine-tuning", units={"parameters": "count", "validation": "ratio", "test": "ratio", "test F1": "ratio"},
    notes=["seconds: all steps, with the share of what frozen blocks say, which is computed once; F1: macro average"],
)  # fmt: skip
display(comparison)
display(kept(bars(list(PLANS), [results[name].accuracy for name in PLANS], title="Test accuracy by what trains", axis="accuracy",
                  unit="ratio", limit=1.0), "strategies"))  # fmt: skip
curves = {name: ([row["step"] / len(run.rows) for row in run.evaluations], [row["validation_accuracy"] for row in run.evaluations])
          for name, run in runs.items()}  # fmt: skip
display(kept(lines(curves, title="Validation accuracy while training", x="share of the run", y="accuracy"), "accuracy"))
losses = {name: ([row["step"] / len(run.rows) for row in run.evaluations], [row["validation_loss"] for row in run.evaluations])
          for name, run in runs.items()}  # fmt: skip
kept(lines(losses, title="Validation loss while training", x="share of the run", y="loss (nats per text)"), "loss")

# %% [markdown]
# ## 7. Metrics, by hand and beside scikit-learn
#
# The best of the strategies by its validation accuracy is the model from here on; the test set does not choose.


# %%
def own_metrics(truth: list[str], said: list[str]) -> dict[str, tuple[float, float, float]]:
    """Precision, recall and F1 of each label, from counts."""
    scores = {}
    for label in labels:
        hits = sum(one == other == label for one, other in zip(truth, said, strict=True))
        precision, recall = hits / max(1, said.count(label)), hits / max(1, truth.count(label))
        scores[label] = precision, recall, 2 * precision * recall / max(precision + recall, 1e-12)
    return scores


report = evaluate(best_lm, sides["test"], sides["train"])
said = [labels[number] for number in report.model.predicted]
asked = [record["label"] for record in sides["test"]]
scores = own_metrics(asked, said)
sklearn_scores = precision_recall_fscore_support(asked, said, labels=labels, zero_division=0)[:3]
metrics_apart = max(abs(scores[label][kind] - sklearn_scores[kind][place]) for place, label in enumerate(labels) for kind in range(3))
print(f"beside scikit-learn: {metrics_apart:.1e} apart")
display(report.summary)
display(report.model.table())
display(report.model.counts())
kept(report.model.figure(), "confusion")

# %% [markdown]
# ## 8. Errors
#
# The most confident ones first: where a model is sure and wrong there is something to learn, about the model or about the labels. And
# whether errors are shorter texts, whose evidence is thin.

# %%
errors = report.model.errors([record.text for record in sides["test"]])
wrong = {row["row"] for row in errors.rows}
sizes = [len(record.text) for record in sides["test"]]
long_wrong = [sizes[number] for number in wrong]
long_right = [size for number, size in enumerate(sizes) if number not in wrong]
tfidf = report.baselines["TF-IDF + logistic regression"]
majority = report.baselines["majority"]
also_tfidf = sum(int(tfidf.predicted[number] != tfidf.truth[number]) for number in wrong)
by_kind = Counter((row["true"], row["predicted"]) for row in errors.rows)
print(f"{also_tfidf} of {len(wrong)} are also wrong by TF-IDF")
display(errors)

# %% [markdown]
# ## 9. Reading the padding
#
# What happens when the last *column* is read, as `model(ids)[:, -1]` does, and the texts are padded to one width: the token that is read is
# then padding for every text but the longest.

# %%
probe = sides["test"][:: max(1, len(sides["test"]) // (16 if quick else 40))]
ids, real, truth = collate(probe)
out_proj = best_lm.model.heads["classification"].out_proj
with torch.no_grad():
    hidden = best_lm.model.body.hidden(ids)
    last_real = out_proj(hidden[torch.arange(len(ids)), real - 1]).argmax(dim=1)
    last_column = out_proj(hidden[:, -1]).argmax(dim=1)
real_right, column_right = (float((answer == truth).float().mean()) for answer in (last_real, last_column))
print(f"{len(probe)} texts: last real token {percent(real_right)}, last column {percent(column_right)}")

# %% [markdown]
# ## 10. Imbalance
#
# The training set as it would be if the rare class were as rare as spam; validation and test stay balanced, so that accuracy is the mean of
# both recalls. Once every text counts the same, once each *class* does (`class_weights="balanced"`).

# %%
rare_ones = [record for record in sides["train"] if record["label"] == rare]
rest = [record for record in sides["train"] if record["label"] != rare]
scarce = rest + rare_ones[: max(2, round(RATIO * len(rest)))]
imbalance = {}
for name, weights in {"every text alike": None, "every class alike": "balanced"}.items():
    weighted = classification.build(labels=tuple(labels), class_weights=weights).fitted(scarce)
    for strategy in ("head", "last_block"):
        run, knowing = fit(strategy, scarce, weighted)
        imbalance[strategy, name] = measured(knowing, run.lm, sides["test"])
imbalance_table = Table(
    [
        {"what trains": strategy, "in the loss": name, f"recall of {rare}": float(found.recall[labels.index(rare)]),
         f"precision of {rare}": float(found.precision[labels.index(rare)]), "accuracy": found.accuracy,
         "macro F1": found.average("macro")["f1"]}
        for (strategy, name), found in imbalance.items()
    ],
    title=f"Trained on {len(rest):,} texts of {frequent} and {len(scarce) - len(rest):,} of {rare}",
    units=dict.fromkeys((f"recall of {rare}", f"precision of {rare}", "accuracy", "macro F1"), "ratio"),
)  # fmt: skip
display(imbalance_table)
kept(
    bars([f"{strategy}, {name}" for strategy, name in imbalance], [float(found.recall[labels.index(rare)]) for found in imbalance.values()],
         title=f"Recall of the rare class ({rare})", axis="recall", unit="ratio", limit=1.0), "imbalance",
)  # fmt: skip

# %% [markdown]
# ## 11. More than two classes
#
# Nothing changes but the number of rows of the head. The four classes here are each label, for short texts and for long ones: the model has
# to tell the label and the length at once.

# %%
middle = sorted(len(record.text) for record in records)[len(records) // 2]


def in_four(texts: list[Record]) -> list[Record]:
    return [replace(record, fields={**record.fields, "label": f"{record['label']}, {'short' if len(record.text) < middle else 'long'}"})
            for record in texts]  # fmt: skip


four = classification.build().fitted(in_four(records))
knowing = Reused(four, n_layers, shared.at(n_layers)[0])
four_run = ig.train(
    lm, in_four(sides["train"]), objective=knowing, strategy="head", epochs=10, seed=seed,
    config={"batch_size": 16, "optimizer": "adamw(lr=0.01, weight_decay=0.01)", "validation": 0},
)  # fmt: skip
four_result = measured(knowing, four_run.lm, in_four(sides["test"]))
kept(four_result.figure(title="Four classes"), "four_classes")

# %% [markdown]
# ## 12. The report

# %%
minutes = (time.perf_counter() - began) / 60
by_strategy = {name: results[name].accuracy for name in PLANS}
tops, bottoms = (
    [name for name, value in by_strategy.items() if value == found] for found in (max(by_strategy.values()), min(by_strategy.values()))
)
accurate = report.model.accuracy
recalls = dict(zip(labels, report.model.recall.tolist(), strict=True))
weakest = min(recalls, key=recalls.__getitem__)


def beside(one: float, other: float) -> str:
    """How one accuracy stands to another."""
    points = 100 * (one - other)
    return "level with" if abs(points) < 0.05 else f"{abs(points):.1f} points {'above' if points > 0 else 'below'}"


def mistake(row: dict) -> str:
    return f"“{row['text']}” is {row['true']} and was taken for {row['predicted']} with {row['confidence']:.0%}"


recall_of_rare = {key: float(found.recall[labels.index(rare)]) for key, found in imbalance.items()}
weighted_gain = {one: recall_of_rare[one, "every class alike"] - recall_of_rare[one, "every text alike"] for one in ("head", "last_block")}
Document(
    "Assignment 5, option A: fine-tuning for classification",
    [
        f"Written by `assignment_5_classification.py` from what it measured{' (quick mode: too small to say anything)' if quick else ''}; "
        f"data: `{Path(data).name}`, model: {pretrained}, seed {seed}. The run took {minutes:.1f} minutes on {torch.get_num_threads()} "
        "threads.",
        Heading("Does it do what it should?"),
        f"Written out in plain PyTorch and with the same weights, the classifier's logits are {logits_apart:.0e} from Isinglass's, its "
        f"loss {loss_apart:.0e}, its gradients {gradient_apart:.0e}; {own_trained:,} weights train with the last block, "
        f"{'the same number' if own_trained == trained['last_block'] else 'not the same number'} as under `last_block`. Padding changes an "
        f"answer by {padding_apart:.0e}. Metrics counted by hand are {metrics_apart:.0e} from scikit-learn's.",
        Heading("Why classification fine-tuning differs from pretraining"),
        f"Pretraining asks for the next token at every place: {lm.config.vocab_size:,} answers, and each of the {sum(lengths):,} tokens "
        f"here would be a target. Classification asks once per text for one of {len(labels)} labels, so the same texts hold "
        f"{len(records):,} targets. The head shrinks from {lm.config.vocab_size:,} rows to {len(labels)} ({trained['head']:,} weights), it "
        "reads the last real token alone, and accuracy can be counted instead of perplexity. How much of the task what was learned before "
        f"already holds: with the body frozen and only the head trained, accuracy goes from {percent(before)} to {percent(own_accuracy)}.",
        "![The loop written out](figures/own_loop.svg)",
        Heading("Impact of freezing strategies"),
        comparison,
        f"On the test texts the highest accuracy is that of {' and '.join(tops)} ({percent(by_strategy[tops[0]])}), the lowest that of "
        f"{' and '.join(bottoms)} ({percent(by_strategy[bottoms[0]])}); of {len(sides['test'])} texts one is "
        f"{100 / len(sides['test']):.1f} points. Training all {trained['all']:,} weights took {seconds('all') / PLANS['all'][1]:.1f} s an "
        f"epoch, the last block {seconds('last_block') / PLANS['last_block'][1]:.1f} s, with what the frozen blocks say computed once. "
        f"Full fine-tuning is {beside(by_strategy['all'], by_strategy['last_block'])} the last block with "
        f"{trained['all'] / trained['last_block']:.0f} times the weights, at one epoch against {PLANS['last_block'][1]}.",
        "![Test accuracy by what trains](figures/strategies.svg)\n\n![Validation accuracy](figures/accuracy.svg)\n\n![Validation "
        "loss](figures/loss.svg)",
        Heading("Dataset characteristics and challenges"),
        facts,
        f"As it came, {percent(counts[rare] / len(natural))} of the texts are {rare}: always answering {frequent} would be right "
        f"{percent(counts[frequent] / len(natural))} of the time and of no use. Balanced, that baseline falls to "
        f"{percent(majority.accuracy)} on the test texts. {len(raw) - len(natural):,} texts were left out because they were empty or stood "
        "there twice; kept, they could have stood on both sides of the split. Texts are of different lengths, so batches are padded: read "
        f"at the last column instead of the last real token, {len(probe)} test texts are right in {percent(column_right)} instead of "
        f"{percent(real_right)} of the cases.",
        Heading("Class imbalance", 3),
        imbalance_table,
        f"With the training set as scarce in {rare} as the SMS collection is in spam, weighting the classes changes the recall of {rare} "
        f"by {100 * weighted_gain['head']:+.1f} points with the head alone and by {100 * weighted_gain['last_block']:+.1f} with the last "
        "block.",
        "![Recall of the rare class](figures/imbalance.svg)",
        Heading("Strengths and weaknesses"),
        report.summary,
        report.model.table(),
        report.model.counts(),
        "![Confusion matrix](figures/confusion.svg)",
        f"The model chosen by its validation accuracy is “{best}”: {percent(accurate)} of the test texts, "
        f"{beside(accurate, tfidf.accuracy)} TF-IDF with logistic regression ({percent(tfidf.accuracy)}) and "
        f"{beside(accurate, majority.accuracy)} the majority ({percent(majority.accuracy)}). Its weaker class is {weakest} with a recall "
        f"of {percent(recalls[weakest])}."
        + (f" Of its {len(wrong)} errors TF-IDF makes {also_tfidf} as well. The most frequent kind is "
           f"{by_kind.most_common(1)[0][0][0]} taken for {by_kind.most_common(1)[0][0][1]} ({by_kind.most_common(1)[0][1]} of "
           f"{len(wrong)}). Texts that are wrong have {sum(long_wrong) / len(long_wrong):.0f} characters on average, those that are right "
           f"{sum(long_right) / max(1, len(long_right)):.0f}. The surest error: {mistake(errors.rows[0])}."
           if wrong else " It makes no error here.")
        + f" With four classes (label and length at once) the head alone reaches {percent(four_result.accuracy)}.",
        Table(errors.rows[:10], title="The most confident errors", units={"confidence": "ratio"}) if wrong else "",
        "![Four classes](figures/four_classes.svg)",
    ],
).save("README.md")  # fmt: skip
print(f"README.md and {len(list(Path('figures').glob('*.svg')))} figures after {minutes:.1f} minutes")
