# %% [markdown]
# # Assignment 2: attention
#
# Attention lets each token of a text take something over from others. This notebook builds it up in plain torch: without weights,
# scaled, causal, with trained projections, with many heads, with shared heads. Each step is compared with Isinglass's part that does the
# same and with torch's own. Then small models are trained to see what heads and masks are worth, and a trained model is looked into.
#
# It took eleven minutes on one thread of a busy machine. `README.md` beside this notebook says what was found, with figures of this run.

# %%
import inspect
import time
from pathlib import Path
from statistics import mean

import torch
from IPython.display import display
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

import isinglass as ig
from isinglass.data.sources import read
from isinglass.generation.lm import LM
from isinglass.nn.attention import kernels, masks, positions
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.kernels import reference
from isinglass.nn.attention.layer import Attention, Parts
from isinglass.nn.attention.slots import Slots
from isinglass.report.document import Document, Heading
from isinglass.show.marks.heatmap import heatmap
from isinglass.show.marks.lines import lines
from isinglass.show.table import Table

# %% tags=["parameters"]
quick = False  # True: the same cells with small counts
data = "kjv"  # what the small models are trained on: a corpus by name, or the path of a text file
model = "smollm2"  # the trained model that is looked into: an asset or a folder
seed = 0

# %%
Path("figures").mkdir(exist_ok=True)
torch.manual_seed(seed)
lm = ig.load(model)
sentence = "The cat sat on the mat because it was warm"
tokens = [token.strip() for token in ig.trace(lm, sentence).tokens[0]]
weight = lm.decoder.get_parameter("embed_tokens.weight")
x = F.layer_norm(weight[lm.encode(sentence)], [weight.shape[1]])  # features of size 1, as a norm makes them
time_steps, d_model = x.shape
print(time_steps, "tokens of", d_model, "features:", tokens)

# %% [markdown]
# ## 1. Attention without weights
#
# How alike are two tokens? Their dot product says so. A softmax turns the scores of one token into shares that add up to one, and the
# shares mix the tokens. First as loops, the way one would explain it, with the six vectors of the book's example; then as two matrix
# products.


# %%
def attend_in_loops(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, attention weights and mixed vectors of (time, features), one number after the other."""
    scores = torch.zeros(len(x), len(x))
    for query, one in enumerate(x):
        for key, other in enumerate(x):
            scores[query, key] = sum(a * b for a, b in zip(one, other, strict=True))
    weights = torch.stack([row.exp() / row.exp().sum() for row in scores])
    mixed = torch.stack([sum((share * other for share, other in zip(row, x, strict=True)), torch.zeros(x.shape[1])) for row in weights])
    return scores, weights, mixed


journey = torch.tensor(
    [[0.43, 0.15, 0.89], [0.55, 0.87, 0.66], [0.57, 0.85, 0.64], [0.22, 0.58, 0.33], [0.77, 0.25, 0.10], [0.05, 0.80, 0.55]]
)
scores, weights, mixed = attend_in_loops(journey)
assert_close(journey @ journey.T, scores)
assert_close((journey @ journey.T).softmax(dim=-1) @ journey, mixed)

printed_in_the_book = {
    "scores of the second token": (scores[1], [0.9544, 1.4950, 1.4754, 0.8434, 0.7070, 1.0865]),
    "its attention weights": (weights[1], [0.1385, 0.2379, 0.2333, 0.1240, 0.1082, 0.1581]),
    "its context vector": (mixed[1], [0.4419, 0.6515, 0.5683]),
}
beside_the_book = [
    {"what": what, "here": [round(float(value), 4) for value in here], "book": book} for what, (here, book) in printed_in_the_book.items()
]
names = ["Your", "journey", "starts", "with", "one", "step"]
simple = heatmap(
    weights, title="Attention without weights", rows=names, columns=names, row_axis="query", column_axis="key", value="attention weight"
)
simple.save("figures/attention-without-weights.svg")
display(simple)

# %% [markdown]
# ## 2. Scaled and causal
#
# A product of two vectors of `d` independent features of size 1 has variance `d`. Without a scale the largest score takes all of the
# softmax, and then hardly any gradient passes: a share `p` moves with its own score by `p (1 - p)`.

# %%
widths = [16, 32, 64, 128, 256, 512, 1024]
rows_of_scaling = []
for width in widths:
    a, b = torch.randn(2, 200 if quick else 1_000, width, generator=torch.Generator().manual_seed(seed))
    measured: dict[str, float] = {"width": width, "score_deviation": float((a * b).sum(-1).std())}
    for name, factor in (("unscaled", 1.0), ("scaled", width**-0.5)):
        shares = (a[:50] @ b[:50].T * factor).softmax(dim=-1)
        measured |= {
            f"{name}_largest_share": float(shares.max(-1).values.mean()),
            f"{name}_slope": float((shares * (1 - shares)).sum(-1).mean()),
        }
    rows_of_scaling.append(measured)
scaling = Table(rows_of_scaling, title="Random tokens: scores with and without 1/sqrt(width)")
display(scaling)
growth = lines(
    {"measured": (widths, [row["score_deviation"] for row in rows_of_scaling])},
    theory={"sqrt(width)": (widths, [width**0.5 for width in widths])},
    title="How large scores become", x="width", y="standard deviation of a score", x_scale="log", y_scale="log",
)  # fmt: skip
growth.save("figures/score-size.svg")
display(growth)

# %% [markdown]
# A model that writes must not see what it has yet to write. Hidden scores become minus infinity, so that their share is exactly zero. Keys
# that are only padding are hidden in the same way, so that texts of different lengths can share a batch.


# %%
def attend(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = True, is_text: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention: mixed values (..., query, d) and weights (..., query, key). `is_text` (..., key): no padding."""
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), float("-inf"))
    if is_text is not None:
        scores = scores.masked_fill(~is_text[..., None, :], float("-inf"))
    weights = scores.softmax(dim=-1)
    return weights @ v, weights


def isinglass(q: Tensor, k: Tensor, v: Tensor, mask: str) -> Tensor:
    """The same by Isinglass's reference kernel: (batch, heads, time, d)."""
    dims = Dims(d_model=q.shape[1] * q.shape[-1], n_heads=q.shape[1], n_kv_heads=k.shape[1], d_head=q.shape[-1], context_length=q.shape[2])
    slots = Slots(torch.arange(q.shape[2])[None])
    kernel, rule = kernels.family.resolve("reference", dims), masks.family.resolve(mask, dims)
    nowhere = positions.family.resolve("none", dims)
    return kernel.attend(q, k, v, q_slots=slots, k_slots=slots, mask=rule, bias=nowhere.bias, scale=q.shape[-1] ** -0.5)


for length in (1, 2, 7, 33):  # any length
    q, k, v = torch.randn(3, 2, 4, length, 16)
    assert_close(attend(q, k, v)[0], isinglass(q, k, v, "causal"), atol=1e-6, rtol=1e-5)
    assert_close(attend(q, k, v, causal=False)[0], isinglass(q, k, v, "full"), atol=1e-6, rtol=1e-5)
    assert_close(attend(q, k, v)[0], F.scaled_dot_product_attention(q, k, v, is_causal=True), atol=1e-6, rtol=1e-5)

lengths = torch.tensor([3, 7])  # two texts, padded to the longer one
q, k, v = torch.randn(3, 2, 7, 16)
together = attend(q, k, v, is_text=torch.arange(7) < lengths[:, None])[0]
assert_close(together[0, :3], attend(q[0, :3], k[0, :3], v[0, :3])[0])
print(inspect.getsource(reference.attention_weights))

# %% [markdown]
# What is hidden must not leak: with another last token, nothing before it may change.

# %%
other = journey.clone()
other[-1] = journey[0]
leak = {}
for name, causal in (("causal", True), ("full", False)):
    before, after = attend(journey, journey, journey, causal=causal)[0], attend(other, other, other, causal=causal)[0]
    leak[name] = float((before - after)[:-1].abs().max())
assert leak["causal"] == 0.0
print(f"largest change before the last token: {leak}")

# %% [markdown]
# ## 3. Trainable attention
#
# What a token looks for (query), what it offers (key) and what it hands over (value) are three different things, so each gets a matrix.


# %%
class SelfAttention(nn.Module):
    """One head, causal: (batch, time, d_in) -> (batch, time, d_out)."""

    def __init__(self, d_in: int, d_out: int, deviation: float | None = None) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(d_in, d_out, bias=False) for _ in range(3))
        for part in (self.query, self.key, self.value):
            # 1/sqrt(d_in) keeps features of size 1 at size 1
            nn.init.normal_(part.weight, std=d_in**-0.5 if deviation is None else deviation)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mixed values and attention weights."""
        return attend(self.query(x), self.key(x), self.value(x))


def spread(weights: Tensor) -> Tensor:
    """Entropy of each row of causal weights: 0 when one key has all, 1 when all that are in sight have the same."""
    rows = weights[..., 1:, :]  # the first token has no choice
    return -(rows * rows.clamp(min=1e-12).log()).sum(-1) / torch.arange(2, rows.shape[-1] + 1).log()


initial = []
for name, deviation in (("0.02", 0.02), ("1/sqrt(d)", d_model**-0.5), ("1", 1.0)):
    torch.manual_seed(seed)
    head = SelfAttention(d_model, d_model, deviation)
    with torch.no_grad():
        z, shares = head(x[None])
    initial.append(
        {
            "std of weights": name,
            "std of q": float(head.query(x).std()),
            "std of output": float(z.std()),
            "spread": float(spread(shares).mean()),
        }
    )
initialised = Table(initial, title="One head before training, by its initialisation")
display(initialised)

# %% [markdown]
# ## 4. Many heads
#
# One softmax gives one answer: what matters most. With several heads, each on its own slice of the features, several questions are asked
# at once. The plain form is a list of heads; the parallel form projects once and cuts the result, so that all heads are one product.


# %%
class MultiHeadAttention(nn.Module):
    """Causal attention with `n_heads` heads, of which `n_heads / n_kv_heads` share their keys and values."""

    def __init__(self, d_in: int, d_out: int, n_heads: int, n_kv_heads: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.n_heads, self.n_kv_heads, self.d_head = n_heads, n_kv_heads or n_heads, d_out // n_heads
        self.query = nn.Linear(d_in, d_out, bias=False)
        self.key = nn.Linear(d_in, self.n_kv_heads * self.d_head, bias=False)
        self.value = nn.Linear(d_in, self.n_kv_heads * self.d_head, bias=False)
        self.out = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)

    def heads(self, x: Tensor) -> Tensor:
        """(batch, time, heads * d_head) -> (batch, heads, time, d_head)."""
        return x.unflatten(-1, (-1, self.d_head)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, d_in) -> (batch, time, d_out)."""
        q, k, v = self.heads(self.query(x)), self.heads(self.key(x)), self.heads(self.value(x))
        shared = self.n_heads // self.n_kv_heads
        k, v = k.repeat_interleave(shared, dim=1), v.repeat_interleave(shared, dim=1)
        _, weights = attend(q, k, v)
        mixed = self.dropout(weights) @ v
        return self.out(mixed.transpose(1, 2).flatten(2))


def one_head_after_the_other(layer: MultiHeadAttention, x: Tensor) -> Tensor:
    """The same with a loop: each head has rows of the matrices to itself, and what they give is put side by side."""
    mixed = []
    for head in range(layer.n_heads):
        rows = slice(head * layer.d_head, (head + 1) * layer.d_head)
        mixed.append(attend(*(x @ part.weight[rows].T for part in (layer.query, layer.key, layer.value)))[0])
    return layer.out(torch.cat(mixed, dim=-1))


torch.manual_seed(123)  # the book's seed and sizes
small = MultiHeadAttention(3, 2, n_heads=2)
with torch.no_grad():
    found = small(torch.stack([journey, journey]))
beside_the_book += [
    {"what": f"two heads, token {place + 1}", "here": [round(float(value), 4) for value in found[0, place]], "book": book}
    for place, book in enumerate([[0.3190, 0.4858], [0.2943, 0.3897]])
]
furthest = max(abs(a - b) for row in beside_the_book for a, b in zip(row["here"], row["book"], strict=True))
display(Table(beside_the_book, title="Beside the book's chapter 3"))
print(f"largest difference: {furthest:.4f} of figures printed with four digits")

# %% [markdown]
# The same weights in Isinglass's layer and in torch's must give the same.


# %%
def as_isinglass(ours: MultiHeadAttention, length: int) -> Attention:
    """Isinglass's layer with our weights."""
    d_model = ours.query.in_features
    dims = Dims(d_model=d_model, n_heads=ours.n_heads, n_kv_heads=ours.n_kv_heads, d_head=ours.d_head, context_length=length)
    families = ((positions.family, "none"), (masks.family, "causal"), (kernels.family, "sdpa"))
    theirs = Attention(dims, Parts(*(family.resolve(name, dims) for family, name in families)), bias="all")
    for target, source in ((theirs.q_proj, ours.query), (theirs.k_proj, ours.key), (theirs.v_proj, ours.value), (theirs.o_proj, ours.out)):
        nn.init.zeros_(target.bias)
        target.load_state_dict(source.state_dict(), strict=False)
    return theirs


def as_torch(ours: MultiHeadAttention) -> nn.MultiheadAttention:
    """torch's layer with our weights."""
    theirs = nn.MultiheadAttention(ours.query.in_features, ours.n_heads, batch_first=True)
    nn.init.zeros_(theirs.in_proj_bias)
    theirs.in_proj_weight.data = torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]).detach()
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    return theirs


shapes = []
for batch, length, width, n_heads in ((1, 1, 8, 1), (2, 5, 8, 2), (3, 7, 32, 4), (4, 16, 64, 8)):
    torch.manual_seed(seed)
    ours, some = MultiHeadAttention(width, width, n_heads), torch.randn(batch, length, width)
    slots, hidden = Slots(torch.arange(length)[None].expand(batch, -1)), torch.ones(length, length, dtype=torch.bool).triu(1)
    with torch.no_grad():
        z = ours(some)
        others = {
            "a loop over heads": one_head_after_the_other(ours, some),
            "Isinglass": as_isinglass(ours, length)(some, layer=0, slots=slots, k_slots=slots),
            "torch": as_torch(ours)(some, some, some, attn_mask=hidden, need_weights=False)[0],
        }
    assert z.shape == some.shape
    apart = {name: float((z - other).abs().max()) for name, other in others.items()}
    assert max(apart.values()) < 1e-6, apart
    shapes.append({"input": " x ".join(map(str, some.shape)), "heads": n_heads, "output": " x ".join(map(str, z.shape)), **apart})
equal = Table(shapes, title="Shapes, and the largest difference from other forms with the same weights")
display(equal)

dropping = MultiHeadAttention(8, 8, 2, dropout=0.5)
some = torch.randn(1, 6, 8)
assert not torch.equal(dropping(some), dropping(some)) and torch.equal(dropping.eval()(some), dropping(some))  # only in training

# %% [markdown]
# ## Exercise 3.1: 1, 2, 4 and 8 heads
#
# Cut into more heads, a layer has the same parameters and the same products; only the softmaxes become more. Is that worth anything? The
# same small model is trained with each number of heads on the characters of the text, and judged by text that it has not seen.
#
# ## Exercise 3.3: grouped-query attention
#
# Query heads that share keys and values need a smaller cache when the model writes, and fewer parameters. `n_kv_heads` says how many are
# left. The two exercises share their runs.

# %%
grouped = MultiHeadAttention(32, 32, n_heads=8, n_kv_heads=2)
some, slots = torch.randn(2, 9, 32), Slots(torch.arange(9)[None].expand(2, -1))
with torch.no_grad():
    assert_close(grouped(some), as_isinglass(grouped, 9)(some, layer=0, slots=slots, k_slots=slots), atol=1e-6, rtol=1e-5)

context, steps, seeds = 64, *((12, [seed]) if quick else (400, [seed, seed + 1]))
text = "\n".join(record.text for record in read(data))[: 60_000 if quick else 1_000_000]
settings = {
    "context_length": context, "batch_size": 16, "optimizer": "adamw(lr=0.003)",
    "evaluate_every": steps, "evaluation_batches": 4 if quick else 40,
}  # fmt: skip


def trained(n_heads: int, n_kv_heads: int, seed: int, mask: str = "causal") -> tuple[LM, float, float]:
    """A small model of bytes after its training: (model, validation loss in nats per byte, seconds)."""
    began = time.perf_counter()
    made = ig.create(f"tiny(n_heads={n_heads}, n_kv_heads={n_kv_heads}, context_length={context}, mask={mask!r})", seed=seed)
    run = ig.train(made, [text], steps=steps, seed=seed, config=settings)
    return run.lm, run.evaluations[-1]["validation_loss"], time.perf_counter() - began


compared, models = [], {}
for n_heads, n_kv_heads in ((1, 1), (2, 2), (4, 4), (8, 8), (8, 2), (8, 1)):
    runs = [trained(n_heads, n_kv_heads, one) for one in seeds]
    models[n_heads, n_kv_heads] = runs[0][0]
    config, losses = runs[0][0].config, [loss for _, loss, _ in runs]
    numbers_per_token = 2 * config.n_layers * n_kv_heads * config.d_model // n_heads
    compared.append(
        {"heads": n_heads, "kv_heads": n_kv_heads, "d_head": config.d_model // n_heads}
        | {"parameters": sum(part.numel() for part in runs[0][0].model.parameters()), "softmaxes_per_token": n_heads * config.n_layers}
        | {"cache_per_token_bytes": 4 * numbers_per_token, "validation_loss": mean(losses), "between_seeds": max(losses) - min(losses)}
        | {"train_seconds": mean(seconds for _, _, seconds in runs)}
    )
multi = [row for row in compared if row["heads"] == row["kv_heads"]]
shared = [row for row in compared if row["heads"] == 8]
by_heads = Table(compared, title=f"{steps} steps, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}: heads, and key heads they share")
display(by_heads)
assert len({row["parameters"] for row in multi}) == 1  # cutting costs no parameters
figure = lines(
    {
        "each its own keys": ([row["heads"] for row in multi], [row["validation_loss"] for row in multi]),
        "8 heads, shared keys": ([row["kv_heads"] for row in shared], [row["validation_loss"] for row in shared]),
    },
    title="What heads are worth", x="key heads", y="validation loss (nats per byte)", x_scale="log",
)  # fmt: skip
figure.save("figures/heads.svg")
display(figure)

# %% [markdown]
# One head and eight, side by side: the same weights at the start, and what they look at after training.

# %%
line = text[-2 * context :].strip()[:24]
maps = {n_heads: ig.trace(models[n_heads, n_heads], line).attention_weights()[-1] for n_heads in (1, 8)}
single_or_multi = [
    {"heads": n_heads, "head": number, "spread": float(spread(shares).mean()), "on_the_token_before": float(shares.diagonal(-1).mean())}
    for n_heads, layer in maps.items()
    for number, shares in enumerate(layer)
]
display(Table(single_or_multi, title=f"The last layer on {line!r}", units={"on_the_token_before": "ratio"}))
eight = [row["on_the_token_before"] for row in single_or_multi if row["heads"] == 8]
for n_heads, layer in maps.items():
    heatmap(
        layer[int(layer.diagonal(-1, 1, 2).mean(-1).argmax())].numpy(), title=f"Last layer, heads: {n_heads}. The one that looks back most",
        rows=list(line), columns=list(line), row_axis="query", column_axis="key", value="attention weight", limits=(0.0, 1.0),
    ).save(f"figures/trained-{n_heads}.svg")  # fmt: skip

# %% [markdown]
# ## Why the mask is needed
#
# Without it the model may look at the very token it is to predict. Its training loss then says nothing: what counts is the loss when the
# future is really not there, as when it writes. Both are measured on the same places of held-out text.

# %%
without, _, _ = trained(4, 4, seed, mask="full")
pieces = [text[-(number + 2) * context :][:context] for number in range(8 if quick else 60)]


def middle_loss(lm: LM) -> tuple[float, float]:
    """Loss at the middle of each piece, (with the rest of the piece in sight, without it)."""
    middle, batch = context // 2, [lm.encode(piece)[:context] for piece in pieces]
    targets = torch.tensor([ids[middle] for ids in batch])
    seen = ig.trace(lm, batch).logits[:, middle - 1]
    unseen = ig.trace(lm, [ids[:middle] for ids in batch]).logits[:, -1]
    return float(F.cross_entropy(seen, targets)), float(F.cross_entropy(unseen, targets))


cheating = [
    {"mask": name, "future_in_sight": seen, "future_absent": unseen}
    for name, (seen, unseen) in (("causal", middle_loss(models[4, 4])), ("none", middle_loss(without)))
]
display(Table(cheating, title="Loss at the same places (nats per byte)"))
assert abs(cheating[0]["future_in_sight"] - cheating[0]["future_absent"]) < 1e-4  # a causal model cannot tell

# %% [markdown]
# ## What a trained model looks at
#
# The trained model, all layers and heads. Some heads have one plain rule; we find them by measuring it: the share of attention that goes
# to the first token, to the token before, and, in a text that is repeated, to the token that came next the last time (induction).

# %%
trace = ig.trace(lm, sentence)
everything = trace.attention_weights()  # layers, heads, query, key
trace.attention(layer=lm.config.n_layers // 2).save("figures/all-heads.svg")
once = lm.encode("The stove glows red, an owl calls twice, a letter lies unread.")
twice = ig.trace(lm, [once + once]).attention_weights()
n = len(once)
rules = {
    "first token": everything[:, :, 1:, 0].mean(-1),
    "token before": everything[:, :, 1:].diagonal(0, 2, 3).mean(-1),
    "what followed the last time": twice[:, :, n:, 1 : n + 1].diagonal(0, 2, 3).mean(-1),
}
specialists = []
for rule, shares in rules.items():
    layer, number = divmod(int(shares.argmax()), shares.shape[1])
    specialists.append(
        {"rule": rule, "mean of all heads": float(shares.mean()), "strongest": float(shares.max()), "layer": layer, "head": number}
    )
units = {"mean of all heads": "ratio", "strongest": "ratio"}
display(Table(specialists, title="Heads with a rule", units=units))
before = specialists[1]
heatmap(
    everything[before["layer"], before["head"]].numpy(), title=f"Layer {before['layer']}, head {before['head']}: the token before",
    rows=tokens, columns=tokens, row_axis="query", column_axis="key", value="attention weight",
).save("figures/token-before.svg")  # fmt: skip

# %% [markdown]
# And what is "it"? The shares that the token "it" gives to "cat" and to "mat".


# %%
def places(word: str) -> list[int]:
    """The tokens that cover a word of the sentence."""
    start = sentence.index(f" {word} ") + 1
    return [place for place, token in enumerate(lm.tokenizer.tokens(sentence)) if token.end > start and token.start < start + len(word)]


it = everything[:, :, places("it")[-1]]
cat, mat = it[:, :, places("cat")].sum(-1), it[:, :, places("mat")].sum(-1)
on_cat, on_mat, on_first = float(cat.mean()), float(mat.mean()), float(it[:, :, 0].mean())
cat_heads, all_heads = int((cat > mat).sum()), cat.numel()
print(f"'it' gives {on_cat:.1%} to 'cat', {on_mat:.1%} to 'mat', {on_first:.1%} to the first token")
print(f"{cat_heads} of {all_heads} heads prefer 'cat'")

# %% [markdown]
# ## Exercise 3.2: narrative, code and poetry
#
# Spread is 0 when a token looks at one other, and 1 when it looks at all alike. Rows must be of one length to be compared, so that every
# text is cut to the same number of tokens.

# %%
TEXTS = {
    "narrative": [
        "Mara shut the stove door and watched the fire through the mica. Her brother had left before the snow came, and no letter had "
        "reached the valley since. She set a second cup on the table, out of habit, and listened to the wind.",
        "The ferry was late again. An old man with a cello case told everyone who would listen that it had been late in his father's "
        "time, too, and that the river did not care. By noon the queue had reached the bakery on the corner.",
    ],
    "code": [
        "def area(shapes):\n    total = 0\n    for shape in shapes:\n        if shape.kind == 'circle':\n            total += 3.14159 * "
        "shape.radius ** 2\n        else:\n            total += shape.width * shape.height\n    return total\n",
        "class Queue:\n    def __init__(self):\n        self.items = []\n\n    def push(self, item):\n        self.items.append(item)\n\n"
        "    def pop(self):\n        return self.items.pop(0)\n\n    def empty(self):\n        return len(self.items) == 0\n",
    ],
    "poetry": [
        "The ember keeps a window small,\na pane of stone, a pane of light,\nand shows the shadows on the wall\nhow little it will take of "
        "night.\nO glass that never was a glass,\nlet one more winter evening pass.",
        "I asked the river where it went;\nit said the word I could not keep.\nI asked the hill what patience meant;\nit gave the "
        "answer in its sleep.\nSo walk with me, and ask no more,\nand leave your shoes beside the door.",
    ],
}  # fmt: skip
n_tokens = min(40, *(len(lm.encode(one)) for texts in TEXTS.values() for one in texts))
kinds, by_layer = [], {}
for kind, texts in TEXTS.items():
    batch = ig.trace(lm, [lm.encode(one)[:n_tokens] for one in texts])
    entropies = []
    for number in range(len(texts)):
        shares = batch.attention_weights(number)
        entropies.append(spread(shares))
        steps_back = torch.arange(n_tokens)[:, None] - torch.arange(n_tokens)
        means = {"spread": entropies[-1], "tokens_back": (shares * steps_back).sum(-1)[..., 1:], "on_the_first_token": shares[:, :, 1:, 0]}
        kinds.append({"kind": kind, "text": number + 1, **{name: float(values.mean()) for name, values in means.items()}})
        if number == 0:
            seen, shown = shares.mean((0, 1))[1:, 1:], batch.tokens[number][1:]
            heatmap(
                seen.numpy(), title=f"{kind}: mean of all heads", rows=shown, columns=shown,
                row_axis="query", column_axis="key", value="attention weight",
                notes=[f"without the first token, to which {means['on_the_first_token'].mean():.0%} go"],
            ).save(f"figures/attention-{kind}.svg")  # fmt: skip
    by_layer[kind] = torch.stack(entropies).mean((0, 2, 3)).tolist()
by_kind = Table(kinds, title=f"Two texts of each kind, {n_tokens} tokens each", units={"on_the_first_token": "ratio"})
display(by_kind)
layers = list(range(lm.config.n_layers))
spreads = lines(
    {kind: (layers, values) for kind, values in by_layer.items()}, title="How widely attention is spread", x="layer", y="spread (0 to 1)"
)
spreads.save("figures/spread-by-layer.svg")
display(spreads)

# %% [markdown]
# ## The README
#
# Every figure in it is one that was measured above, and what is said about two figures depends on which is larger.

# %%
best, worst = min(multi, key=lambda row: row["validation_loss"]), max(multi, key=lambda row: row["validation_loss"])
chance = max(row["between_seeds"] for row in multi)
gain = worst["validation_loss"] - best["validation_loss"]
if len(seeds) == 1:
    told = "one seed cannot tell whether that is chance"
else:
    told = f"a difference of {gain:.3f}, {'more' if gain > chance else 'not more'} than two seeds differ ({chance:.3f})"
one_key_head, all_key_heads = shared[-1], next(row for row in shared if row["kv_heads"] == 8)
open_mask = cheating[1]
harm = open_mask["future_absent"] - cheating[0]["future_absent"]
between_kinds = {kind: mean(row["spread"] for row in kinds if row["kind"] == kind) for kind in TEXTS}
within = max(abs(a["spread"] - b["spread"]) for a, b in zip(kinds[::2], kinds[1::2], strict=True))
narrowest, widest = min(between_kinds, key=lambda kind: between_kinds[kind]), max(between_kinds, key=lambda kind: between_kinds[kind])
apart = between_kinds[widest] - between_kinds[narrowest]
looks_ahead = open_mask["future_in_sight"] < open_mask["future_absent"]
questions = max(eight) - min(eight) > 0.1
first, rows_scaled = specialists[0], [row["scaled_slope"] for row in rows_of_scaling]
induction, wide = specialists[2], rows_of_scaling[-1]
furthest_layer = max(value for row in shapes for value in row.values() if isinstance(value, float))
parts = [
    f"""Every step was written out in plain torch and compared: with Isinglass's and torch's layers of the same weights the largest
difference is {furthest_layer:.1e}, with the book's printed figures {furthest:.4f}. The small models were trained on `{data}`; the trained
model is `{model}`.""",
    Heading("Why causal masking is necessary"),
    f"""A language model is to predict what comes next, and when it writes, that is not there yet. With the mask, another last token
changes nothing before it (by {leak["causal"]:g}); without, it changes what stands before by up to {leak["full"]:.2f}. A small model that
was trained without a mask has a loss of {open_mask["future_in_sight"]:.3f} nats per byte while it may see the next byte, and of
{open_mask["future_absent"]:.3f} when that byte is really absent; the causal one has {cheating[0]["future_absent"]:.3f} in both cases.
Where it counts, the open model is {abs(harm):.3f} nats {"worse" if harm > 0 else "better"}.
{"Its loss in training does not show this." if looks_ahead else "So few steps have not taught it to look ahead."}""",
    Table(cheating, title="Loss at the same places (nats per byte)"),
    Heading("The purpose of multiple heads"),
    f"""A softmax gives one distribution: one question per token. Cut into 1, 2, 4 or 8 heads the model has the same
{multi[0]["parameters"]:,} parameters and asks {multi[0]["softmaxes_per_token"]} to {multi[-1]["softmaxes_per_token"]} questions per token.
After {steps} steps the lowest validation loss is that of {best["heads"]} ({best["validation_loss"]:.3f} nats per byte), the highest that of
{worst["heads"]} ({worst["validation_loss"]:.3f}): {told}. In the last layer of the model with eight heads, {min(eight):.0%} to
{max(eight):.0%} of a head's attention is on the token before, so its heads ask {"different" if questions else "much the same"} questions;
the model with one head has one answer, {single_or_multi[0]["on_the_token_before"]:.0%}.""",
    by_heads,
    "![What heads are worth](figures/heads.svg)",
    "![One head](figures/trained-1.svg)",
    "![One of eight heads](figures/trained-8.svg)",
    Heading("Scaling and initialisation"),
    f"""Scores of random tokens have a standard deviation of {wide["score_deviation"]:.1f} at width {wide["width"]}. The largest share of a
row is then {wide["unscaled_largest_share"]:.2f} on average, and the softmax passes on a slope of {wide["unscaled_slope"]:.3f}. Divided by
the root of the width, the slope is {min(rows_scaled):.2f} to {max(rows_scaled):.2f} at every width. Weights of size 1/sqrt(d) give
queries of size {initial[1]["std of q"]:.2f}, weights of size 1 of {initial[2]["std of q"]:.1f}; the spread of attention is
{initial[1]["spread"]:.2f} with the first and {initial[2]["spread"]:.2f} with the second, before anything is learned.""",
    scaling,
    "![How large scores become](figures/score-size.svg)",
    initialised,
    Heading("How attention weights reveal the model's focus"),
    f"""A row of weights says from where a token takes something over. In `{model}` {first["mean of all heads"]:.0%} of the attention goes
to the first token, whatever it is: such a place serves heads that have nothing to say, so a large weight need not mean that something was
found. Other heads follow plain rules: layer {before["layer"]}, head {before["head"]} gives {before["strongest"]:.0%} to the token before
(mean of all heads {before["mean of all heads"]:.0%}); when a text is repeated, layer {induction["layer"]}, head {induction["head"]} gives
{induction["strongest"]:.0%} to what followed the last time. In "{sentence}", the token "it" gives {on_cat:.1%} to "cat", {on_mat:.1%} to
"mat" and {on_first:.1%} to the first token; {cat_heads} of {all_heads} heads prefer "cat" to "mat". Weights show where a head looks, not
what the model does with it; only changing them can show that.""",
    Table(specialists, title="Heads with a rule", units=units),
    "![The token before](figures/token-before.svg)",
    "![All layers and heads](figures/all-heads.svg)",
    Heading("Narrative, code and poetry"),
    f"""Attention is spread most widely over {widest} ({between_kinds[widest]:.2f}) and least over {narrowest}
({between_kinds[narrowest]:.2f}). These kinds differ by {apart:.2f}, two texts of one kind by up to {within:.2f}.
{"That is more, but of six texts." if apart > within else "So these six texts prove nothing about kinds."}""",
    by_kind,
    "![How widely attention is spread](figures/spread-by-layer.svg)",
    *(f"![{kind}](figures/attention-{kind}.svg)" for kind in TEXTS),
    Heading("Grouped-query attention"),
    f"""With one key head for eight query heads the cache takes {one_key_head["cache_per_token_bytes"]} bytes per token in place of
{all_key_heads["cache_per_token_bytes"]}, and the model has {all_key_heads["parameters"] - one_key_head["parameters"]:,} parameters fewer.
Its validation loss is {one_key_head["validation_loss"]:.3f} in place of {all_key_heads["validation_loss"]:.3f}.""",
    Heading("Beside the book"),
    Table([{key: str(value).strip("[]") for key, value in row.items()} for row in beside_the_book], title="Chapter 3"),
    "![Attention without weights](figures/attention-without-weights.svg)",
    Heading("Shapes"),
    equal,
]
Document("Assignment 2: attention", parts).save("README.md")
