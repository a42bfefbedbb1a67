# %% [markdown]
# # Assignment 5, option C: fine-tuning with few parameters (LoRA)
#
# After appendix E of *Build a Large Language Model (From Scratch)*. The weights of a pretrained model stay as they are; beside each linear
# layer two thin matrices are trained. They are written out here in plain PyTorch, held beside Isinglass's, trained on a classification
# task, and compared with full fine-tuning: weights, seconds, memory, accuracy, and which rank is enough. `README.md` is written by the last
# cell, from the values this run measured.
#
# The task is that of option A: without a file, Bible verses and the translation they are from (King James or World English); with
# `data = "SMSSpamCollection"` spam and ham.

# %%
import copy
import math
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from IPython.display import display
from torch import Tensor, nn

import isinglass as ig
from isinglass.data.records import Record
from isinglass.data.sources import is_corpus, read
from isinglass.evaluation.attention_costs import peak_bytes
from isinglass.evaluation.classification import balanced, baselines, sample, stratified_split
from isinglass.evaluation.classification_sweep import Shared, measured
from isinglass.models.adapted import AdaptedLinear, adapt, adapter_names, drift, merge, unmerge
from isinglass.report.document import Document, Heading
from isinglass.show.figure import Figure
from isinglass.show.marks.bars import bars
from isinglass.show.marks.lines import lines
from isinglass.show.marks.scatter import scatter
from isinglass.show.table import Table
from isinglass.studies.alignment import short_verses
from isinglass.training.objectives import classification
from isinglass.training.reuse import Reused

# %% tags=["parameters"]
quick = False  # True: the same cells, with a tiny model that has read nothing and few texts
data = "kjv-web"  # or a file: label <tab> text without a heading, or csv, tsv or jsonl with the fields label and text
model = "smollm2"  # or a folder with GPT-2's weights in Hugging Face's form
seed = 0

# %%
began = time.perf_counter()
PER_CLASS = 30 if quick else 150
RANKS = (1, 4) if quick else (1, 2, 4, 8, 16, 32)
RANK = 8  # of the runs that are not about ranks
LONGEST = 40 if quick else 80  # characters of a verse

lm = ig.create("tiny(context_length=512)", seed=seed) if quick and model == "smollm2" else ig.load(model)
n_layers = lm.config.n_layers
pretrained = "a tiny model that has read nothing" if quick and model == "smollm2" else f"`{model}`"


def kept(figure: Figure, name: str) -> Figure:
    """The figure, which is also saved for the report."""
    Path("figures").mkdir(exist_ok=True)
    figure.save(f"figures/{name}.svg")
    return figure


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


# %% [markdown]
# ## 1. A layer of low rank
#
# The change of a weight matrix is the product of two thin ones: `W + alpha / rank * B A`, with `A` of `rank x d_in` and `B` of
# `d_out x rank`. `B` begins at zero, so the model begins as it was; `A` begins random, or nothing would ever move. The scale
# `alpha / rank` keeps the size of a step when the rank is changed; plain `alpha` would multiply it by the rank.


# %%
class LoRALayer(nn.Module):
    def __init__(self, d_in: int, d_out: int, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1 / math.sqrt(d_in)
        self.a = nn.Parameter(torch.empty(rank, d_in).uniform_(-bound, bound, generator=generator))
        self.b = nn.Parameter(torch.zeros(d_out, rank))
        self.scale = alpha / rank

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * (x @ self.a.T @ self.b.T)


class LinearWithLoRA(nn.Module):
    """A frozen linear layer and what is trained beside it."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = linear
        self.lora = LoRALayer(linear.in_features, linear.out_features, rank, alpha, generator)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.lora(x)

    def merged(self) -> nn.Linear:
        """One linear layer that says the same."""
        whole = copy.deepcopy(self.linear)
        whole.weight.data += self.lora.scale * self.lora.b.data @ self.lora.a.data
        return whole


def replace_linears(module: nn.Module, make, kind: type[nn.Module] = nn.Linear) -> None:
    """Put `make(layer)` in the place of every layer of a kind below a module."""
    for name, child in module.named_children():
        if isinstance(child, kind):
            setattr(module, name, make(child))
        else:
            replace_linears(child, make, kind)


# %% [markdown]
# ## 2. Into the model
#
# Into every linear layer of attention, feed-forward and the classification head; all else is frozen. Isinglass's adapter is put into the
# same model and begins with the same numbers, so both can be compared weight by weight.


# %%
def verses() -> list[Record]:
    """Verses in turn from one translation and from the other, each used once."""
    found = short_verses(LONGEST)
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed)).tolist()[: 2 * PER_CLASS]
    names = [("web", "kjv")[place % 2] for place in range(len(order))]
    return [Record({"text": found[n][name], "label": name}, found[n].place) for n, name in zip(order, names, strict=True)]


def messages(path: str) -> list[Record]:
    """The texts of a file, each once; one without a heading is the UCI file's form."""
    if Path(path).suffix in (".csv", ".jsonl", ".json") or Path(path).read_text("utf-8")[:200].startswith(("label\t", "text\t")):
        found = read(path)
    else:
        found = read(path, format="tsv", columns=("label", "text"))
    once = {record.text: record for record in found if record.text.strip()}
    return sample(balanced(list(once.values()), seed=seed), PER_CLASS, seed=seed)


records = verses() if is_corpus(data) else messages(data)
sides = stratified_split(records, {"train": 0.7, "validation": 0.1, "test": 0.2}, seed=seed)
goal = classification.build().fitted(records)
lengths = [len(lm.tokenizer.encode(record.text)) for record in records]
print({name: len(texts) for name, texts in sides.items()}, f"{sum(lengths) / len(lengths):.1f} tokens on average")

base = goal.trainee(lm, seed)
own = copy.deepcopy(base).requires_grad_(False)
generator = torch.Generator().manual_seed(seed)
replace_linears(own, lambda linear: LinearWithLoRA(linear, RANK, RANK, generator))
theirs = adapt(base, f"lora(rank={RANK})", seed=seed)

own_trained = {name: weight for name, weight in own.named_parameters() if weight.requires_grad}
their_trained = {name: weight for name, weight in theirs.named_parameters() if name in adapter_names(theirs)}
for name, weight in their_trained.items():  # the same beginning
    own_trained[name.replace(".adapter.", ".lora.")].data.copy_(weight.data)

n_own, n_theirs = (sum(weight.numel() for weight in found.values()) for found in (own_trained, their_trained))
adapted_layers = [layer for layer in theirs.modules() if isinstance(layer, AdaptedLinear)]
formula = sum(RANK * sum(layer.weight.shape) for layer in adapted_layers)
n_all = sum(weight.numel() for weight in base.parameters())
print(f"{len(adapted_layers)} layers, {n_own:,} weights written out, {n_theirs:,} in Isinglass, {formula:,} by rank x (d_in + d_out)")

# %% [markdown]
# Before training nothing may have changed. Then the same five steps of AdamW on the same batch for both.

# %%
batch = goal.collate(goal.examples(lm, sides["train"][:8], 512), [0] * 8)


def logits(trained: nn.Module) -> Tensor:
    return trained(batch.ids, slots=batch.slots)["classification"]


with torch.no_grad():
    start_apart = float((logits(own) - logits(base)).abs().max())


def five_steps(trained: nn.Module, weights: dict[str, nn.Parameter]) -> list[float]:
    optimizer = torch.optim.AdamW(weights.values(), lr=1e-2, weight_decay=0.0)
    losses = []
    for _step in range(5):
        loss = F.cross_entropy(logits(trained), batch.targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


for name, weight in theirs.named_parameters():
    weight.requires_grad_(name in their_trained)
own_losses, their_losses = five_steps(own, own_trained), five_steps(theirs, their_trained)
steps_apart = max(abs(one - other) for one, other in zip(own_losses, their_losses, strict=True))
with torch.no_grad():
    logits_apart = float((logits(own) - logits(theirs)).abs().max())
touched = [name for name, weight in own.named_parameters() if weight.grad is not None and name not in own_trained]
print(f"losses {own_losses[0]:.3f} to {own_losses[-1]:.3f}, {steps_apart:.1e} apart; logits after five steps {logits_apart:.1e} apart")
print(f"before training {start_apart:.1e} from the base model; frozen weights with a gradient: {len(touched)}")

# %% [markdown]
# ## 3. Merging
#
# After training the product can be added to the weight, and nothing is left to pay when the model is used. Sums are rounded, so the merged
# model is not bit for bit the adapted one; taken out again, the base model comes back up to rounding.

# %%
merged = copy.deepcopy(own)
replace_linears(merged, LinearWithLoRA.merged, LinearWithLoRA)
with torch.no_grad():
    own_merge_apart = float((logits(merged) - logits(own)).abs().max())
their_merged = merge(theirs)
merge_table = Table(
    [
        {"what": "merged beside adapted, written out", "largest difference of a logit": own_merge_apart},
        {"what": "merged beside adapted, Isinglass", "largest difference of a logit": drift(their_merged, theirs, batch.ids)},
        {"what": "merged and taken out again, beside the base",
         "largest difference of a logit": drift(unmerge(their_merged, theirs), base, batch.ids)},
        {"what": "adapted beside the base", "largest difference of a logit": drift(theirs, base, batch.ids)},
    ],
    title="What merging changes",
)  # fmt: skip
del own, theirs, merged, their_merged
display(merge_table)

# %% [markdown]
# ## 4. Full fine-tuning beside LoRA
#
# Everything once, LoRA once, on the same texts, in the same order, for as many epochs; each at a learning rate that suits it (LoRA's is
# about ten times higher). Memory is the most that tensors of a first step hold at once, the frozen weights not counted.

# %%
EPOCHS = 1 if quick else 2
FULL = {  # name: strategy, adapter, learning rate
    "full fine-tuning": ("all", None, 1e-3 if quick else 5e-5),
    f"LoRA, rank {RANK}": ("all", f"lora(rank={RANK})", 5e-3 if quick else 5e-4),
}


def config(rate: float, epochs: float) -> dict:
    every = max(1, round(epochs * len(sides["train"]) / 16 / 4))  # steps; four looks at the validation set in a run
    return {"batch_size": 16, "optimizer": f"adamw(lr={rate}, weight_decay=0.0)", "batching": "by_length",
            "validation": "validation.csv", "evaluate_every": every}  # fmt: skip


Table([{"label": record["label"], "text": record.text} for record in sides["validation"]], title="validation").save("validation.csv")


def fit(strategy: str, adapter: str | None, rate: float, epochs: float, objective=goal) -> dict:
    """One run: what trains, how long it takes, what a step holds, how good it gets."""
    options = {"objective": objective, "strategy": strategy, "adapter": adapter, "seed": seed, "config": config(rate, epochs)}
    first = ig.training(lm, sides["train"], steps=1, **options)
    started = next(first)
    peak = peak_bytes(lambda: next(first))
    first.close()
    run = ig.train(lm, sides["train"], epochs=epochs, **options)
    found = measured(objective, run.lm, sides["test"])
    changes = {}
    if adapter is None and strategy == "last_two_blocks":
        changes = {path: run.lm.model.body.get_parameter(path) - lm.model.get_parameter(path) for path in WATCHED}
    run = replace(run, lm=lm)  # its weights are let go: the numbers are enough
    return {
        "run": run, "changes": changes, "parameters": started.n_trained, "seconds": sum(row["seconds"] for row in run.rows),
        "peak MB": peak / 1e6, "file kB": started.n_trained * 4 / 1e3,
        "validation": run.evaluations[-1]["validation_accuracy"], "test": found.accuracy,
    }  # fmt: skip


WATCHED = [name for name, weight in lm.model.named_parameters() if name.startswith(f"layers.{n_layers - 1}.") and weight.dim() == 2]
whole = {}
for name, (strategy, adapter, rate) in FULL.items():
    whole[name] = fit(strategy, adapter, rate, EPOCHS)
    print(f"{name}: {whole[name]['parameters']:,} weights, {whole[name]['seconds']:.0f} s, {percent(whole[name]['test'])}")

UNITS = {"parameters": "count", "of all": "ratio", "validation": "ratio", "test": "ratio"}
COLUMNS = ("parameters", "of all", "seconds", "peak MB", "file kB", "validation", "test")


def table(found: dict[str, dict], first: str, title: str) -> Table:
    rows = [{first: name, **row, "of all": row["parameters"] / n_all} for name, row in found.items()]
    return Table([{column: row[column] for column in (first, *COLUMNS)} for row in rows], title=title, units=UNITS,
                 notes=["peak: tensors of a first step, frozen weights not counted; file: the trained weights in fp32"])  # fmt: skip


whole_table = table(whole, "what trains", "Full fine-tuning beside LoRA")
display(whole_table)
kept(
    lines({name: ([row["step"] for row in found["run"].rows], [row["loss"] for row in found["run"].rows]) for name, found in whole.items()},
          title="Training loss", x="step", y="loss (nats per text)"), "loss",
)  # fmt: skip

# %% [markdown]
# ## 5. Which rank?
#
# The last two blocks, with adapters of growing rank in them, beside training these blocks whole. What the frozen blocks below say is
# computed once for all these runs, so each is a matter of seconds.

# %%
shared = Shared(lm, goal, goal.examples(lm, records, lm.config.context_length))
from_block = n_layers - 2
known, shared_seconds = shared.at(from_block)
top = Reused(goal, from_block, known)
RANK_EPOCHS = 2 if quick else 4
by_rank = {f"rank {rank}": fit("last_two_blocks", f"lora(rank={rank})", 2e-3, RANK_EPOCHS, top) for rank in RANKS}
by_rank["whole blocks"] = fit("last_two_blocks", None, 1e-3, RANK_EPOCHS, top)
rank_table = table(by_rank, "adapter", f"Ranks, in the last two of {n_layers} blocks")
display(rank_table)
display(
    kept(lines({**{side: (list(RANKS), [by_rank[f"rank {rank}"][side] for rank in RANKS]) for side in ("validation", "test")},
                "test, whole blocks": ([RANKS[0], RANKS[-1]], [by_rank["whole blocks"]["test"]] * 2)},
               title="Accuracy by rank", x="rank", y="accuracy", x_scale="log"), "ranks")
)  # fmt: skip
kept(
    lines({name: ([row["step"] for row in found["run"].evaluations], [row["validation_loss"] for row in found["run"].evaluations])
           for name, found in by_rank.items()}, title="Validation loss by rank", x="step", y="loss (nats per text)"), "rank_loss",
)  # fmt: skip

# %% [markdown]
# ## 6. Alpha, and where the adapters are
#
# `alpha` is a learning rate in disguise: it scales what the adapter says. And: attention alone, the feed-forward network alone, or both?

# %%
MIDDLE = RANKS[len(RANKS) // 2]
choices = {
    "alpha = rank": f"lora(rank={MIDDLE})",
    "alpha = 4 x rank": f"lora(rank={MIDDLE}, alpha={4 * MIDDLE})",
    "alpha = rank / 4": f"lora(rank={MIDDLE}, alpha={MIDDLE / 4})",
    "attention alone": f"lora(rank={MIDDLE}, targets='attention')",
    "feed-forward alone": f"lora(rank={MIDDLE}, targets='mlp')",
}
tried = {name: fit("last_two_blocks", adapter, 2e-3, RANK_EPOCHS, top) for name, adapter in choices.items()}
choice_table = table(tried, "adapter", f"Settings of an adapter of rank {MIDDLE}")
display(choice_table)

# %% [markdown]
# ## 7. Is the change of low rank?
#
# LoRA bets that what fine-tuning adds to a matrix needs few directions. Whether that is so can be seen in what *full* training of the last
# two blocks changed: the share of the squared change that its `r` strongest directions (singular values) hold.

# %%
energy = {}
for path, change in by_rank["whole blocks"]["changes"].items():
    squared = torch.linalg.svdvals(change.detach().float()).square()
    energy[path.removeprefix(f"layers.{n_layers - 1}.").removesuffix(".weight")] = (squared.cumsum(0) / squared.sum()).tolist()
DIRECTIONS = [rank for rank in (1, 2, 4, 8, 16, 32, 64, 128, 256) if rank <= min(map(len, energy.values()))]
held = {name: [shares[rank - 1] for rank in DIRECTIONS] for name, shares in energy.items()}
kept(
    lines({name: (DIRECTIONS, shares) for name, shares in held.items()}, title="How much of a change few directions hold",
          x="directions", y="share of the squared change", x_scale="log"), "directions",
)  # fmt: skip

# %% [markdown]
# ## 8. Performance against efficiency

# %%
truth = [record["label"] for record in sides["test"]]
beside = baselines(sides["train"], [record.text for record in sides["test"]], truth)
tfidf, majority = (found.accuracy for found in beside.values())
everything = {**whole, **by_rank}
display(
    kept(scatter([math.log10(found["parameters"]) for found in everything.values()], [found["test"] for found in everything.values()],
                 labels=list(everything), groups=["all blocks"] * len(whole) + ["last two blocks"] * len(by_rank),
                 title="Test accuracy against trained weights", x="trained weights (log10)", y="test accuracy",
                 notes=[f"TF-IDF with logistic regression: {percent(tfidf)}; majority: {percent(majority)}"]), "efficiency")
)  # fmt: skip
kept(
    bars(list(whole), {"activations, gradients, optimizer (MB)": [found["peak MB"] for found in whole.values()],
                       "to be saved (MB)": [found["file kB"] / 1e3 for found in whole.values()]},
         title="Memory of a step, and of what is saved", axis="MB"), "memory",
)  # fmt: skip

# %% [markdown]
# ## 9. The report

# %%
minutes = (time.perf_counter() - began) / 60
full, lora = whole.values()
one_text = 100 / len(sides["test"])
ranks_test = {rank: by_rank[f"rank {rank}"]["test"] for rank in RANKS}
best_rank = max(RANKS, key=lambda rank: (ranks_test[rank], -rank))
enough = min(rank for rank in RANKS if ranks_test[best_rank] - ranks_test[rank] <= one_text / 100 + 1e-9)
blocks = by_rank["whole blocks"]
top_directions = {name: shares[min(len(DIRECTIONS), 4) - 1] for name, shares in held.items()}
points = 100 * (lora["test"] - full["test"])
cheaper = [what for what, less in {"weights": lora["parameters"] < full["parameters"], "time": lora["seconds"] < full["seconds"],
                                   "memory": lora["peak MB"] < full["peak MB"]}.items() if less]  # fmt: skip
verdict = "LoRA and full fine-tuning are equal within one test text" if abs(points) <= one_text + 1e-9 else (
    f"LoRA is {abs(points):.1f} points {'above' if points > 0 else 'below'} full fine-tuning")  # fmt: skip
third_way = by_rank[f"rank {enough}"]["seconds"] + shared_seconds * len(sides["train"]) / len(records)
settings = {name: found["test"] for name, found in tried.items()}
where_best = max(("attention alone", "feed-forward alone"), key=settings.__getitem__)
Document(
    "Assignment 5, option C: LoRA",
    [
        f"Written by `assignment_5_lora.py` from what it measured{' (quick mode: too small to say anything)' if quick else ''}; data: "
        f"`{Path(data).name}` ({len(sides['train'])} texts to learn from, {len(sides['test'])} to test, so that one is {one_text:.1f} "
        f"points), model: {pretrained}, seed {seed}. The run took {minutes:.1f} minutes on {torch.get_num_threads()} threads.",
        Heading("Does it do what it should?"),
        f"The layer written out here and Isinglass's, begun with the same numbers, differ by {steps_apart:.0e} in the losses of five steps "
        f"and by {logits_apart:.0e} in the logits after them. Before training the adapted model is {start_apart:.0e} from the base model, "
        f"and {len(touched)} frozen weights got a gradient.",
        merge_table,
        Heading("How LoRA reduces trainable parameters"),
        f"Beside a matrix of `d_out x d_in` LoRA trains `rank x (d_in + d_out)` weights. Over the {len(adapted_layers)} linear layers of "
        f"this model that makes {n_own:,} at rank {RANK} ({'as' if n_own == formula == n_theirs else 'not as'} the formula and Isinglass "
        f"say): {n_own / n_all:.2%} of {n_all:,}, {n_all / n_own:.0f} times fewer. The optimizer keeps two numbers for each trained "
        f"weight, so its memory falls by the same factor, and what has to be saved for a task is {lora['file kB'] / 1e3:.1f} MB instead of "
        f"{full['file kB'] / 1e3:.1f} MB.",
        Table(
            [{"what trains": name, "weights": found["parameters"], "of all": found["parameters"] / n_all}
             for name, found in everything.items()], title="Parameter counts", units={"weights": "count", "of all": "ratio"},
        ),
        Heading("Trade-offs between rank and performance"),
        rank_table,
        f"The best of the ranks on the test texts is {best_rank} ({percent(ranks_test[best_rank])}); rank {enough} with "
        f"{by_rank[f'rank {enough}']['parameters']:,} weights is the smallest within one text of it. The two blocks trained whole reach "
        f"{percent(blocks['test'])} with {blocks['parameters'] / by_rank[f'rank {enough}']['parameters']:.0f} times as many. Weights grow "
        f"in proportion to the rank; seconds go from {by_rank[f'rank {RANKS[0]}']['seconds']:.1f} to "
        f"{by_rank[f'rank {RANKS[-1]}']['seconds']:.1f}.",
        "![Accuracy by rank](figures/ranks.svg)\n\n![Validation loss by rank](figures/rank_loss.svg)",
        "Why few directions can be enough: of what training the blocks whole changed in their last one, the "
        f"{DIRECTIONS[min(len(DIRECTIONS), 4) - 1]} "
        "strongest directions hold " + ", ".join(f"{percent(share)} in {name}" for name, share in top_directions.items()) + ".",
        "![How much of a change few directions hold](figures/directions.svg)",
        choice_table,
        f"Attention alone reaches {percent(settings['attention alone'])}, the feed-forward network alone "
        f"{percent(settings['feed-forward alone'])}"
        + (", the same" if settings["attention alone"] == settings["feed-forward alone"] else f"; {where_best} does better here")
        + f". With alpha at a quarter of the rank, at the rank and at four times it: {percent(settings['alpha = rank / 4'])}, "
        f"{percent(settings['alpha = rank'])}, {percent(settings['alpha = 4 x rank'])}.",
        Heading("When to use LoRA, and when full fine-tuning"),
        whole_table,
        f"On all blocks and at {EPOCHS} {'epoch' if EPOCHS == 1 else 'epochs'}, {verdict}: {percent(lora['test'])} against "
        f"{percent(full['test'])}. "
        + (f"LoRA needs less {', '.join(cheaper)}. " if cheaper else "LoRA is cheaper in nothing here. ")
        + f"A step takes {lora['seconds'] / full['seconds']:.2f} times as long as full fine-tuning's: the frozen weights are still passed, "
           f"forward "
        f"and back, and only their own gradients and their update are saved; a step holds {lora['peak MB'] / full['peak MB']:.2f} times "
        "the memory. So LoRA is for where memory is short, or many tasks share one model and each is to be a small file that can be "
        "merged or taken out again. Full fine-tuning is for where the task is far from what the model has read and memory is no question. "
        f"A third way is LoRA in the last two blocks alone: at rank {enough} and {RANK_EPOCHS} epochs it reached "
        f"{percent(by_rank[f'rank {enough}']['test'])} in {third_way:.1f} s, the one pass through the frozen blocks included; LoRA in all "
        f"blocks took {lora['seconds']:.1f} s, full fine-tuning {full['seconds']:.1f} s.",
        "![Training loss](figures/loss.svg)\n\n![Memory](figures/memory.svg)",
        Heading("Results and insights"),
        f"TF-IDF with logistic regression, which trains in no time at all, reaches {percent(tfidf)} on the same texts; always answering "
        f"the most frequent class {percent(majority)}. "
        + f"{sum(found['test'] > max(tfidf, majority) for found in everything.values())} of the {len(everything)} runs above are better "
        "than both. "
        + f"The runs lie between {percent(min(found['test'] for found in everything.values()))} and "
        f"{percent(max(found['test'] for found in everything.values()))}, from "
        f"{min(found['parameters'] for found in everything.values()):,} to {max(found['parameters'] for found in everything.values()):,} "
        "trained weights.",
        "![Accuracy against trained weights](figures/efficiency.svg)",
    ],
).save("README.md")  # fmt: skip
print(f"README.md and {len(list(Path('figures').glob('*.svg')))} figures after {minutes:.1f} minutes")
