# Run by `isinglass study book-3`; never imported.

# %% [markdown]
# # Assignment 3: a GPT from scratch
#
# After chapter 4 of *Build a Large Language Model (From Scratch)*. Layer normalisation, GELU, the feed-forward network, attention and the
# block are written here in plain PyTorch, put together to a GPT, and held beside two others at every step: PyTorch's own layers and
# Isinglass's. Then the four exercises: sizes, dropout, a cache of keys and values, memory. `README.md` is written by the last cell, from
# the values this run measured.

# %%
import itertools
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from IPython.display import display
from torch import Tensor, nn

import isinglass as ig
from isinglass.data.sources import read
from isinglass.generation.lm import LM
from isinglass.models.cost import step_memory
from isinglass.models.measure import measured_memory
from isinglass.models.presets import gpt2
from isinglass.models.summary import kv_bytes_per_token, parameters_by_part
from isinglass.models.transformer import Decoder, on_meta
from isinglass.nn import activations, norms
from isinglass.report.document import Document, Heading
from isinglass.show.figure import Figure
from isinglass.show.marks.bars import bars
from isinglass.show.marks.lines import lines
from isinglass.show.table import Table

# %% tags=["parameters"]
quick = False  # True: the same cells, with small models and few steps
data = "kjv"  # what the short trainings read: a text file, or the name of a corpus (kjv, web)
seed = 0

# %%
began = time.perf_counter()
START = "Hello, I am"
gpt2_tokenizer = ig.tokenizer("gpt2")


def apart(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference of two tensors."""
    return float((ours - theirs).detach().abs().max())


def kept(figure: Figure, name: str) -> Figure:
    """The figure, which is also saved for the report."""
    Path("figures").mkdir(exist_ok=True)
    figure.save(f"figures/{name}.svg")
    return figure


# %% [markdown]
# ## 1. Layer normalisation
#
# Each token's features get mean 0 and variance 1, then a learned scale and shift. The variance is divided by the number of features, not by
# one less: that is how GPT-2 was trained.


# %%
class LayerNorm(nn.Module):
    def __init__(self, d_model: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias


torch.manual_seed(seed)
x = 3 * torch.randn(2, 5, 768) + 1
own_norm, torch_norm, our_norm = LayerNorm(768), nn.LayerNorm(768), norms.LayerNorm(768, 1e-5)
for each in (own_norm, torch_norm, our_norm):
    nn.init.normal_(each.weight, 1, 0.1, generator=torch.Generator().manual_seed(seed))
    nn.init.normal_(each.bias, 0, 0.1, generator=torch.Generator().manual_seed(seed + 1))
norm_apart = {"torch": apart(own_norm(x), torch_norm(x)), "isinglass": apart(own_norm(x), our_norm(x))}

plain = LayerNorm(768)(x)  # scale 1 and shift 0, so that what it does can be seen
Table(
    [
        {"features of token": n, "mean before": x[0, n].mean().item(), "variance before": x[0, n].var(unbiased=False).item(),
         "mean after": plain[0, n].mean().item(), "variance after": plain[0, n].var(unbiased=False).item()}
        for n in range(3)
    ],
    title="What layer normalisation does to a token",
    notes=[f"largest difference beside torch's: {norm_apart['torch']:.1e}, beside Isinglass's: {norm_apart['isinglass']:.1e}"],
)  # fmt: skip

# %% [markdown]
# ## 2. GELU
#
# `x * Phi(x)`: the input times the share of a normal distribution that lies below it. GPT-2 was trained with a form made of a tanh. Beside
# ReLU it is smooth, and below zero it is small instead of nothing, so a unit that is off still has a gradient.


# %%
def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


grid = torch.linspace(-4, 4, 161, requires_grad=True)
gelu_apart = {
    "torch": apart(gelu(grid), nn.functional.gelu(grid, approximate="tanh")),
    "isinglass": apart(gelu(grid), activations.gelu_tanh(grid)),
    "the exact form": apart(gelu(grid), nn.functional.gelu(grid)),
}


def slope(function) -> Tensor:
    return torch.autograd.grad(function(grid).sum(), grid)[0]


points = grid.tolist()
gelu_figure = kept(
    lines(
        {"GELU": (points, gelu(grid).tolist()), "ReLU": (points, grid.relu().tolist()), "slope of GELU": (points, slope(gelu).tolist())},
        title="GELU and ReLU", x="input", y="output",
    ),
    "gelu",
)  # fmt: skip
display(gelu_figure)

drawn = torch.randn(100_000, generator=torch.Generator().manual_seed(seed), requires_grad=True)
silent = {
    name: float((torch.autograd.grad(function(drawn).sum(), drawn)[0] == 0).float().mean())
    for name, function in {"GELU": gelu, "ReLU": torch.relu}.items()
}
lowest = float(grid[gelu(grid).argmin()].detach())
Table(
    [{"function": name, "inputs without any gradient": share} for name, share in silent.items()],
    title="Of 100,000 normally distributed inputs", units={"inputs without any gradient": "ratio"},
    notes=[f"beside {name}: {difference:.1e}" for name, difference in gelu_apart.items()],
)  # fmt: skip

# %% [markdown]
# ## 3. The feed-forward network
#
# Two layers with GELU between them, applied to each token by itself. The layer in the middle is four times as wide: room to test many
# conditions at once before it is narrowed again.


# %%
@dataclass(frozen=True)
class Sizes:
    """All that a GPT's shape depends on; the defaults are the 124M model of the book."""

    vocab_size: int = 50_257
    context_length: int = 1024
    d_model: int = 768
    n_heads: int = 12
    n_layers: int = 12
    expansion: int = 4
    dropout: float = 0.1
    qkv_bias: bool = False  # the book leaves them out, GPT-2 has them


class Dropout(nn.Module):
    """While training each number is zero with probability p, and the others grow by 1 / (1 - p)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        return x * (torch.rand_like(x) >= self.p) / (1 - self.p)


class FeedForward(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.up_proj = nn.Linear(sizes.d_model, sizes.expansion * sizes.d_model)
        self.down_proj = nn.Linear(sizes.expansion * sizes.d_model, sizes.d_model)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(gelu(self.up_proj(x)))


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


BOOK = Sizes()
with torch.device("meta"):  # shapes without memory
    widths = {ratio: count(FeedForward(replace(BOOK, expansion=ratio))) for ratio in (1, 2, 4, 8)}
Table(
    [{"expansion": ratio, "width inside": 768 * ratio, "parameters": n, "share of expansion 4": n / widths[4]}
     for ratio, n in widths.items()],
    title="The feed-forward network of one block", units={"parameters": "count", "share of expansion 4": "ratio"},
)  # fmt: skip

# %% [markdown]
# ## 4. The block
#
# Attention is that of assignment 2, with one thing more: `past`, the keys and values of earlier tokens, which exercise 4.3 uses. The mask
# follows from two lengths; it is no weight, so it is made when needed (a *buffer* would keep it beside the weights: an n x n triangle in
# every layer).
#
# The block adds what attention and the feed-forward network say to what came in. In this **pre-norm** form the sum itself is never
# normalised: one straight line from the first embedding to the last layer. **Post-norm**, the form of 2017, normalises the sum.


# %%
class Past:
    """The keys and values one layer has made so far."""

    def __init__(self) -> None:
        self.k: Tensor | None = None
        self.v: Tensor | None = None

    def extended(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        self.k = k if self.k is None else torch.cat([self.k, k], dim=2)
        self.v = v if self.v is None else torch.cat([self.v, v], dim=2)
        return self.k, self.v


class Attention(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        d, self.d_head = sizes.d_model, sizes.d_model // sizes.n_heads
        self.q_proj = nn.Linear(d, d, bias=sizes.qkv_bias)
        self.k_proj = nn.Linear(d, d, bias=sizes.qkv_bias)
        self.v_proj = nn.Linear(d, d, bias=sizes.qkv_bias)
        self.o_proj = nn.Linear(d, d)
        self.dropout = Dropout(sizes.dropout)

    def heads(self, x: Tensor) -> Tensor:
        """(batch, time, d_model) -> (batch, heads, time, d_head)"""
        return x.unflatten(-1, (-1, self.d_head)).transpose(1, 2)

    def forward(self, x: Tensor, past: Past | None = None) -> Tensor:
        q, k, v = self.heads(self.q_proj(x)), self.heads(self.k_proj(x)), self.heads(self.v_proj(x))
        if past is not None:
            k, v = past.extended(k, v)
        scores = q @ k.transpose(2, 3) / math.sqrt(self.d_head)
        n_queries, n_keys = scores.shape[-2:]
        future = torch.ones(n_queries, n_keys, dtype=torch.bool).triu(1 + n_keys - n_queries)
        weights = self.dropout(scores.masked_fill(future, -math.inf).softmax(-1))
        return self.o_proj((weights @ v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Pre-norm: normalise, work, add."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.attention = Attention(sizes)
        self.mlp = FeedForward(sizes)
        self.attention_norm = LayerNorm(sizes.d_model)
        self.mlp_norm = LayerNorm(sizes.d_model)
        self.dropout = Dropout(sizes.dropout)

    def forward(self, x: Tensor, past: Past | None = None) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x), past))
        return x + self.dropout(self.mlp(self.mlp_norm(x)))


class PostNormBlock(Block):
    """Work, add, normalise."""

    def forward(self, x: Tensor, past: Past | None = None) -> Tensor:
        x = self.attention_norm(x + self.dropout(self.attention(x, past)))
        return self.mlp_norm(x + self.dropout(self.mlp(x)))


class BlockWithoutShortcuts(Block):
    """Normalise, work; what came in is lost."""

    def forward(self, x: Tensor, past: Past | None = None) -> Tensor:
        x = self.dropout(self.attention(self.attention_norm(x), past))
        return self.dropout(self.mlp(self.mlp_norm(x)))


# %% [markdown]
# The same block from PyTorch, with the same weights. `norm_first` is its name for pre-norm.


# %%
def torch_block(block: Block, sizes: Sizes) -> nn.TransformerEncoderLayer:
    """PyTorch's layer with this block's weights: q, k and v are one matrix there."""
    theirs = nn.TransformerEncoderLayer(
        sizes.d_model, sizes.n_heads, sizes.expansion * sizes.d_model, dropout=0.0, batch_first=True,
        activation=gelu, norm_first=not isinstance(block, PostNormBlock),
    )  # fmt: skip
    ours = block.state_dict()
    projections = [f"attention.{name}_proj" for name in "qkv"]
    theirs.load_state_dict(
        {
            "self_attn.in_proj_weight": torch.cat([ours[f"{name}.weight"] for name in projections]),
            "self_attn.in_proj_bias": torch.cat([ours[f"{name}.bias"] for name in projections]),
            **{f"self_attn.out_proj.{kind}": ours[f"attention.o_proj.{kind}"] for kind in ("weight", "bias")},
            **{f"linear1.{kind}": ours[f"mlp.up_proj.{kind}"] for kind in ("weight", "bias")},
            **{f"linear2.{kind}": ours[f"mlp.down_proj.{kind}"] for kind in ("weight", "bias")},
            **{f"norm1.{kind}": ours[f"attention_norm.{kind}"] for kind in ("weight", "bias")},
            **{f"norm2.{kind}": ours[f"mlp_norm.{kind}"] for kind in ("weight", "bias")},
        }
    )
    return theirs.eval()


small = Sizes(vocab_size=500, context_length=64, d_model=64, n_heads=4, n_layers=3, dropout=0.1, qkv_bias=True)
x = torch.randn(2, 12, small.d_model, generator=torch.Generator().manual_seed(seed))
triangle = torch.ones(12, 12, dtype=torch.bool).triu(1)
block_apart = {}
for name, kind in {"pre-norm": Block, "post-norm": PostNormBlock}.items():
    torch.manual_seed(seed)
    block = kind(small).eval()
    block_apart[name] = apart(block(x), torch_block(block, small)(x, src_mask=triangle))
Table(
    [{"block": name, "largest difference beside torch.nn.TransformerEncoderLayer": f"{value:.1e}"} for name, value in block_apart.items()],
    title="A block beside PyTorch's",
)


# %% [markdown]
# ## 5. The GPT
#
# Token embedding plus position embedding, the blocks, a last norm, and a matrix from the features to one number for each token of the
# vocabulary. `block` is passed in, so that the variants above can be tried.


# %%
class GPT(nn.Module):
    def __init__(self, sizes: Sizes, block: type[Block] = Block) -> None:
        super().__init__()
        self.sizes = sizes
        self.embed_tokens = nn.Embedding(sizes.vocab_size, sizes.d_model)
        self.positions = nn.Embedding(sizes.context_length, sizes.d_model)
        self.dropout = Dropout(sizes.dropout)
        self.layers = nn.ModuleList(block(sizes) for _ in range(sizes.n_layers))
        self.norm = LayerNorm(sizes.d_model)
        self.lm_head = nn.Linear(sizes.d_model, sizes.vocab_size, bias=False)

    def forward(self, ids: Tensor, pasts: list[Past] | None = None, start: int = 0) -> Tensor:
        """Logits for each token; with `pasts` the ids stand at `start`, behind what those hold."""
        places = torch.arange(start, start + ids.shape[1])
        x = self.dropout(self.embed_tokens(ids) + self.positions(places))
        for number, layer in enumerate(self.layers):
            x = layer(x, None if pasts is None else pasts[number])
        return self.lm_head(self.norm(x))


def as_in_isinglass(model: GPT) -> Decoder:
    """Isinglass's decoder with this model's weights: the names are the same but one."""
    sizes = model.sizes
    config = gpt2.build(
        vocab_size=sizes.vocab_size, context_length=sizes.context_length, d_model=sizes.d_model, n_heads=sizes.n_heads,
        n_layers=sizes.n_layers, d_ff=sizes.expansion * sizes.d_model, embeddings="untied",
    )  # fmt: skip
    decoder = Decoder(config)
    decoder.load_state_dict({name.replace("positions.", "positions.0."): weight for name, weight in model.state_dict().items()})
    return decoder.requires_grad_(False).eval()


torch.manual_seed(seed)
beside = GPT(replace(small, vocab_size=gpt2_tokenizer.vocab_size)).eval()
decoder = as_in_isinglass(beside)
ids = torch.tensor([gpt2_tokenizer.encode("Every effort moves you"), gpt2_tokenizer.encode("Every day holds a")])
with torch.no_grad():
    logits_apart = apart(beside(ids), decoder(ids))
print(f"logits of {tuple(beside(ids).shape)}: largest difference beside Isinglass's decoder {logits_apart:.1e}")

# %% [markdown]
# ### A forward pass, station by station, and the book's numbers
#
# The book makes its model after `torch.manual_seed(123)`. Made in the same order, ours must hold the same random numbers, and so write the
# same nonsense.

# %%
torch.manual_seed(123)
gpt = GPT(BOOK).eval()
ids = torch.tensor([gpt2_tokenizer.encode(START)])
with torch.no_grad():
    tokens, places = gpt.embed_tokens(ids), gpt.positions(torch.arange(ids.shape[1]))
    x = tokens + places
    after = [x := layer(x) for layer in gpt.layers]
    stations = {
        "token ids": ids, "token embeddings": tokens, "position embeddings": places, "their sum": tokens + places,
        "after block 1": after[0], f"after block {len(after)}": after[-1], "after the last norm": gpt.norm(x), "logits": gpt(ids),
    }  # fmt: skip
Table(
    [{"station": name, "shape": " x ".join(map(str, value.shape)), "standard deviation": None if value is ids else float(value.std())}
     for name, value in stations.items()],
    title=f"“{START}” on its way through the model",
)  # fmt: skip


# %%
def written(model: GPT, ids: Tensor, n: int) -> list[int]:
    """Greedy: the most likely token, `n` times; the whole text is read again for each."""
    with torch.no_grad():
        for _ in range(n):
            ids = torch.cat([ids, model(ids[:, -model.sizes.context_length :])[:, -1:].argmax(-1)], dim=1)
    return ids[0].tolist()


def parts_of(model: nn.Module) -> dict[str, int]:
    """Parameters by component, from their names."""
    components = {
        "token embedding": "embed_tokens", "position embedding": "positions", "attention": ".attention.", "feed-forward": ".mlp.",
        "norms": "norm", "output head": "lm_head",
    }  # fmt: skip
    found = dict.fromkeys(components, 0)
    for name, weight in model.named_parameters():
        found[next(part for part, word in components.items() if word in name)] += weight.numel()
    return found


book_text = written(gpt, ids, 6)
untied = parts_of(gpt)
n_untied = sum(untied.values())
n_tied = n_untied - untied["output head"]
block_parts = {"attention": count(gpt.layers[0].attention), "feed-forward": count(gpt.layers[0].mlp)}

# values printed in the book (chapter 4) and in its exercise solutions
book = [
    {"quantity": "parameters, output head of its own", "book": "163,009,536", "here": f"{n_untied:,}"},
    {"quantity": "parameters, output head tied", "book": "124,412,160", "here": f"{n_tied:,}"},
    {"quantity": "attention of one block", "book": "2,360,064", "here": f"{block_parts['attention']:,}"},
    {"quantity": "feed-forward network of one block", "book": "4,722,432", "here": f"{block_parts['feed-forward']:,}"},
    {"quantity": "size in fp32", "book": "621.83 MB", "here": f"{n_untied * 4 / 2**20:.2f} MB"},
    {"quantity": f"greedy ids after “{START}”", "book": "27018, 24086, 47843, 30961, 42348, 7267",
     "here": ", ".join(map(str, book_text[ids.shape[1] :]))},
]  # fmt: skip
book = [{**row, "equal": "yes" if row["book"] == row["here"] else "no"} for row in book]
Table(book, title="Beside the book's numbers", notes=["the book's MB are 2^20 bytes"])

# %% [markdown]
# ### Parameters by component
#
# GPT-2 as it was published has biases on q, k and v, which the book leaves out, and ties its output head to the token embedding.
# Isinglass counts from the config alone; both counts must agree.

# %%
with torch.device("meta"):
    published = GPT(replace(BOOK, qkv_bias=True))
published_parts = parts_of(published)
counted = {name: parameters_by_part(on_meta(gpt2.build(embeddings=name))) for name in ("untied", "tied")}
rows = [
    {
        "component": part, "the book's": n, "share": n / n_untied, "GPT-2's, untied": published_parts[part],
        "Isinglass, untied": counted["untied"].get(part, 0), "Isinglass, tied": counted["tied"].get(part, 0),
    }
    for part, n in untied.items()
]  # fmt: skip
total = {name: sum(row[name] for row in rows) for name in list(rows[0])[1:]}
count_units = dict.fromkeys(("the book's", "GPT-2's, untied", "Isinglass, untied", "Isinglass, tied"), "count")
parts_table = Table(
    [*rows, {"component": "all", **total}], title="Where the parameters of the 124M model are", units={"share": "ratio", **count_units}
)
parts_figure = kept(
    bars(list(untied), [n / n_untied for n in untied.values()], title=f"Where the {n_untied:,} parameters are", axis="share", unit="ratio"),
    "parameters",
)
display(parts_figure)
display(parts_table)

# %% [markdown]
# ### What an untrained model writes
#
# Greedy decoding is deterministic and soon repeats itself. Drawing from the distribution shows what the model knows: next to nothing, when
# its doubt (the entropy, in nats) is near that of a choice among all tokens, ln(vocabulary).

# %%
with torch.no_grad():
    log_probs = gpt(ids)[0, -1].log_softmax(-1)
untrained = {
    "entropy": float(-(log_probs.exp() * log_probs).sum()),
    "uniform": math.log(BOOK.vocab_size),
    "most likely": float(log_probs.max().exp()),
    "greedy": gpt2_tokenizer.decode(book_text[ids.shape[1] :]),
}


def drawn_text(model: GPT, ids: Tensor, n: int, seed: int) -> str:
    """`n` tokens drawn from the model's distribution."""
    start, generator = ids.shape[1], torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _ in range(n):
            probabilities = model(ids)[:, -1].softmax(-1)
            ids = torch.cat([ids, torch.multinomial(probabilities, 1, generator=generator)], dim=1)
    return gpt2_tokenizer.decode(ids[0, start:].tolist())


n_samples = 1 if quick else 3
samples = [drawn_text(gpt, ids, 8, seed + number) for number in range(n_samples)]
Table(
    [{"decoding": "greedy", "text": START + untrained["greedy"]},
     *({"decoding": f"sampled, {number + 1}", "text": START + text} for number, text in enumerate(samples))],
    title="Before training",
    notes=[f"entropy {untrained['entropy']:.2f} of at most {untrained['uniform']:.2f} nats",
           f"the most likely token has probability {untrained['most likely']:.2%}"],
)  # fmt: skip

# %% [markdown]
# ## 6. Why shortcuts, why pre-norm
#
# First the book's demonstration: five narrow layers, and the mean size of the gradient of each, with and without shortcuts.


# %%
class Narrow(nn.Module):
    """Five layers of GELU; a shortcut where the shapes allow one."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))

    def forward(self, x: Tensor, shortcut: float) -> Tensor:
        for layer in self.layers:
            out = gelu(layer(x))
            x = x * shortcut + out if x.shape == out.shape else out
        return x


def mean_gradients(shortcut: float) -> list[float]:
    torch.manual_seed(123)
    model = Narrow([3, 3, 3, 3, 3, 1])
    nn.functional.mse_loss(model(torch.tensor([[1.0, 0.0, -1.0]]), shortcut), torch.tensor([[0.0]])).backward()
    return [float(layer.weight.grad.abs().mean()) for layer in model.layers]


narrow = {"without shortcuts": mean_gradients(0.0), "with shortcuts": mean_gradients(1.0)}
Table(
    [{"layer": number + 1, **{name: values[number] for name, values in narrow.items()}} for number in range(5)],
    title="Mean size of the gradient",
    notes=["the book prints 0.000202 and 0.2217 for layer 1"],
)

# %% [markdown]
# The same question put to twelve blocks of this GPT, freshly initialised as GPT-2 was (Radford et al. 2019: normal, 0.02, and less for what
# is added to the sum), from one batch of text. The text is read by characters.

# %%
text = "\n".join(record.text for record in read(data))[: 60_000 if quick else 1_000_000]
alphabet = sorted(set(text))
number_of = {character: number for number, character in enumerate(alphabet)}
stream = torch.tensor([number_of[character] for character in text])
SHAPE = Sizes(len(alphabet), 64, 32 if quick else 96, 4, 2 if quick else 6, dropout=0.0, qkv_bias=True)
BATCH = 8 if quick else 16
cut = int(0.9 * len(stream))
learned, held_out = stream[:cut], stream[cut:]


def batch(ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Windows from random places, and the same one token later."""
    starts = torch.randint(len(ids) - SHAPE.context_length - 1, (BATCH,), generator=generator)
    rows = torch.stack([ids[at : at + SHAPE.context_length + 1] for at in starts.tolist()])
    return rows[:, :-1], rows[:, 1:]


def loss_of(model: GPT, ids: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(model(ids).flatten(0, 1), targets.flatten())


def initialised(model: GPT, seed: int) -> GPT:
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.dim() > 1:
            into_sum = name.endswith(("o_proj.weight", "down_proj.weight"))
            nn.init.normal_(weight, 0, 0.02 / math.sqrt(2 * model.sizes.n_layers) if into_sum else 0.02, generator=generator)
        elif name.endswith("bias"):
            nn.init.zeros_(weight)
    return model


VARIANTS = {"pre-norm": Block, "post-norm": PostNormBlock, "without shortcuts": BlockWithoutShortcuts}
deep = replace(SHAPE, n_layers=12)
gradients = {}
for name, kind in VARIANTS.items():
    model = initialised(GPT(deep, kind), seed)
    loss_of(model, *batch(learned, torch.Generator().manual_seed(seed))).backward()
    gradients[name] = [float(layer.mlp.up_proj.weight.grad.norm()) for layer in model.layers]
depth = list(range(1, deep.n_layers + 1))
gradient_figure = kept(
    lines(
        {name: (depth, values) for name, values in gradients.items()},
        title="What reaches each block", x="block", y="norm of the gradient of its feed-forward network", y_scale="log",
    ),
    "gradients",
)  # fmt: skip
display(gradient_figure)

# %% [markdown]
# ### The role of each component, measured
#
# Take one part away, train for a moment, look at the loss of text that was held out. No warm-up, and the same learning rate for all.


# %%
class Nothing(nn.Module):
    """Adds nothing to the sum."""

    def forward(self, x: Tensor, past: Past | None = None) -> Tensor:
        return torch.zeros_like(x)


def without(part: str) -> GPT:
    """The small model without one of its components."""
    model = initialised(GPT(SHAPE, VARIANTS.get(part, Block)), seed)
    if part == "without positions":
        nn.init.zeros_(model.positions.weight).requires_grad_(False)
    if part == "without norms":
        model.norm = nn.Identity()
    for block in model.layers:
        if part == "without norms":
            block.attention_norm = block.mlp_norm = nn.Identity()
        elif part == "without attention":
            block.attention = Nothing()
        elif part == "without feed-forward":
            block.mlp = Nothing()
    return model


@torch.no_grad()
def held_out_loss(model: GPT) -> float:
    generator = torch.Generator().manual_seed(seed)
    return sum(float(loss_of(model, *batch(held_out, generator))) for _ in range(8)) / 8


def trained(model: GPT, steps: int) -> list[float]:
    """A few lines of training; assignment 4 does it properly."""
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=2e-3)
    generator, losses = torch.Generator().manual_seed(seed), []
    for _ in range(steps):
        loss = loss_of(model, *batch(learned, generator))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


STEPS = 6 if quick else 200
NAMES = ["pre-norm", "post-norm", "without shortcuts", "without norms", "without attention", "without feed-forward", "without positions"]
models, curves, roles = {}, {}, {}
for name in NAMES:
    models[name] = without(name)
    curves[name] = trained(models[name], STEPS)
    roles[name] = held_out_loss(models[name])
every = max(1, STEPS // 25)
roles_figure = kept(
    lines(
        {name: (list(range(every, STEPS + 1, every)), [sum(losses[at - every : at]) / every for at in range(every, STEPS + 1, every)])
         for name, losses in curves.items()},
        title="One component taken away", x="step", y="loss (nats per character)",
    ),
    "roles",
)  # fmt: skip
display(roles_figure)
roles_table = Table(
    [{"model": name, "held-out loss": loss, "more than pre-norm": loss - roles["pre-norm"],
      "parameters": count(models[name])} for name, loss in sorted(roles.items(), key=lambda item: item[1])],
    title=f"After {STEPS} steps of {BATCH} x {SHAPE.context_length} characters",
    units={"held-out loss": "nats", "parameters": "count"},
    notes=[f"knowing nothing costs ln({len(alphabet)}) = {math.log(len(alphabet)):.2f} nats"],
)  # fmt: skip
display(roles_table)

# %% [markdown]
# ## Exercise 4.1: sizes
#
# Small with 6 layers, medium with 12, and the four sizes of GPT-2. All are counted; the first two are also run.

# %%
LADDER = {
    "small: 6 layers": replace(BOOK, n_layers=6),
    "medium: 12 layers": BOOK,
    "GPT-2 355M": replace(BOOK, d_model=1024, n_heads=16, n_layers=24),
    "GPT-2 774M": replace(BOOK, d_model=1280, n_heads=20, n_layers=36),
    "GPT-2 1558M": replace(BOOK, d_model=1600, n_heads=25, n_layers=48),
}
read_ids = torch.randint(0, BOOK.vocab_size, (1, 16 if quick else 128), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def forward_seconds(model: GPT) -> float:
    times = []
    for _ in range(2 if quick else 5):
        start = time.perf_counter()
        model(read_ids)
        times.append(time.perf_counter() - start)
    return min(times)


def first_layers(model: GPT, sizes: Sizes) -> GPT:
    """The first blocks of a model over the same weights, so that no second set must be made."""
    with torch.device("meta"):
        part = GPT(sizes)
    part.load_state_dict({name: model.state_dict()[name] for name in part.state_dict()}, assign=True)
    return part.eval()


sizes_rows = []
for name, sizes in LADDER.items():
    with torch.device("meta"):
        n = parts_of(GPT(sizes))
    row = {"size": name, "d_model": sizes.d_model, "layers": sizes.n_layers, "untied": sum(n.values()),
           "tied": sum(n.values()) - n["output head"], "in the blocks": (n["attention"] + n["feed-forward"]) / sum(n.values())}  # fmt: skip
    if sizes.n_layers <= 12:
        row["forward_seconds"] = forward_seconds(first_layers(gpt, sizes))
    sizes_rows.append(row)
sizes_table = Table(
    sizes_rows, title="Sizes", units={"untied": "count", "tied": "count", "in the blocks": "ratio"},
    notes=["medium is GPT-2's smallest, 124M", f"one pass over {read_ids.shape[1]} tokens, the best of several"],
)  # fmt: skip
display(sizes_table)

# %% [markdown]
# ## Exercise 4.2: dropout in the forward pass
#
# The small model that was just trained without dropout, run with dropout at different rates: how far its answers scatter from pass to pass,
# and what that does to the loss. In eval mode the rate changes nothing.

# %%
RATES = [0.0, 0.1, 0.3, 0.5, 0.8]
subject = models["pre-norm"]
some_ids, some_targets = batch(held_out, torch.Generator().manual_seed(seed + 1))
with torch.no_grad():
    calm = subject.eval()(some_ids)
dropout_rows = []
for rate in RATES:
    for module in subject.modules():
        if isinstance(module, Dropout):
            module.p = rate
    torch.manual_seed(seed)
    with torch.no_grad():
        evaluated = apart(subject.eval()(some_ids), calm)
        passes = torch.stack([subject.train()(some_ids) for _ in range(4 if quick else 20)])
    losses = [float(nn.functional.cross_entropy(each.flatten(0, 1), some_targets.flatten())) for each in passes]
    ones = Dropout(rate).train()(torch.ones(10_000))
    dropout_rows.append(
        {
            "rate": rate, "zeros": float((ones == 0).float().mean()), "mean of ones": float(ones.mean()),
            "spread of a logit": float(passes.std(0).mean()), "loss": sum(losses) / len(losses),
            "same top token as without": float((passes.argmax(-1) == calm.argmax(-1)).float().mean()),
            "change in eval mode": evaluated,
        }
    )  # fmt: skip
subject.eval()
dropout_figure = kept(
    lines({"training mode": (RATES, [row["loss"] for row in dropout_rows])}, title="Loss of one forward pass with dropout",
          x="dropout rate", y="loss (nats per character)"),
    "dropout",
)  # fmt: skip
display(dropout_figure)
dropout_table = Table(
    dropout_rows, title=f"{len(passes)} passes over the same text at each rate",
    units={"zeros": "ratio", "same top token as without": "ratio", "loss": "nats"},
)  # fmt: skip
display(dropout_table)

# %% [markdown]
# ## Exercise 4.3: a cache of keys and values
#
# To write token n, attention needs the keys and values of all tokens before it, and these do not change. With `Past` each step reads one
# token; without, all of them.


# %%
@torch.no_grad()
def written_with_cache(model: GPT, ids: Tensor, n: int) -> tuple[list[int], list[float], list[Past]]:
    """Greedy with a cache: the ids, the seconds of each step, and the cache."""
    pasts, found, start, seconds = [Past() for _ in model.layers], ids[0].tolist(), 0, []
    for _ in range(n):
        begin = time.perf_counter()
        logits = model(ids, pasts, start)
        start += ids.shape[1]
        ids = logits[:, -1:].argmax(-1)
        found.append(int(ids))
        seconds.append(time.perf_counter() - begin)
    return found, seconds, pasts


@torch.no_grad()
def written_without_cache(model: GPT, ids: Tensor, n: int) -> tuple[list[int], list[float]]:
    seconds = []
    for _ in range(n):
        begin = time.perf_counter()
        ids = torch.cat([ids, model(ids)[:, -1:].argmax(-1)], dim=1)
        seconds.append(time.perf_counter() - begin)
    return ids[0].tolist(), seconds


writer, n_new = (beside, 40) if quick else (gpt, 96)
ids = torch.tensor([gpt2_tokenizer.encode(START)])
slow_ids, slow_seconds = written_without_cache(writer, ids, n_new)
fast_ids, fast_seconds, pasts = written_with_cache(writer, ids, n_new)
by_isinglass = ig.generate(LM(decoder, gpt2_tokenizer), ids[0].tolist(), strategy="greedy", max_tokens=min(n_new, 40), ignore_end=True).ids
by_hand, _, _ = written_with_cache(beside, ids, min(n_new, 40))
cache = {
    "same tokens": slow_ids == fast_ids,
    "same tokens as Isinglass": by_hand[ids.shape[1] :] == by_isinglass,
    "without": n_new / sum(slow_seconds),
    "with": n_new / sum(fast_seconds),
    "held": sum(tensor.numel() * tensor.element_size() for past in pasts for tensor in (past.k, past.v)),
}
cache["predicted"] = (len(fast_ids) - 1) * kv_bytes_per_token(
    gpt2.build(d_model=writer.sizes.d_model, n_heads=writer.sizes.n_heads, n_layers=writer.sizes.n_layers), 4
)
stretch = max(1, n_new // 12)
cache_figure = kept(
    lines(
        {name: ([len(ids[0]) + at for at in range(stretch, n_new + 1, stretch)],
                [1000 * sorted(values[at - stretch : at])[stretch // 2] for at in range(stretch, n_new + 1, stretch)])
         for name, values in {"without a cache": slow_seconds, "with a cache": fast_seconds}.items()},
        title="Time for one more token", x="tokens so far", y="milliseconds", notes=[f"median of {stretch} steps"],
    ),
    "cache",
)  # fmt: skip
display(cache_figure)
Table(
    [{"what": "tokens per second, without", "value": round(cache["without"], 1)},
     {"what": "tokens per second, with", "value": round(cache["with"], 1)},
     {"what": "the same tokens", "value": cache["same tokens"]},
     {"what": "the same tokens as ig.generate on the same weights", "value": cache["same tokens as Isinglass"]},
     {"what": f"bytes held after {len(fast_ids) - 1} tokens", "value": cache["held"]},
     {"what": "bytes predicted: 2 x layers x d_model x 4 x tokens", "value": cache["predicted"]}],
    title="Writing with and without a cache",
)  # fmt: skip

# %% [markdown]
# ## Exercise 4.4: memory
#
# What a training step needs: weights, their gradients, two numbers of AdamW for each weight, and what the backward pass needs of the
# forward pass. Isinglass predicts the last from its modules; for the smallest size prediction and measurement stand side by side.

# %%
TIME = 1024
memory = {}
for name, sizes in LADDER.items():
    model = on_meta(gpt2.build(d_model=sizes.d_model, n_heads=sizes.n_heads, n_layers=sizes.n_layers, embeddings="tied"))
    memory[name] = {**step_memory(model, 1, TIME).rows(), "KV cache": TIME * kv_bytes_per_token(model.config, 4)}
kinds = ["weights", "gradients", "AdamW states", "activations"]
memory_figure = kept(
    bars(list(memory), {kind: [row[kind] for row in memory.values()] for kind in kinds},
         title=f"One training step on 1 x {TIME} tokens, fp32", axis="memory", unit="bytes"),
    "memory",
)  # fmt: skip
display(memory_figure)
memory_table = Table(
    [{"size": name, **row, "a training step": sum(row[kind] for kind in kinds)} for name, row in memory.items()],
    title="Memory", units=dict.fromkeys([*kinds, "KV cache", "a training step"], "bytes"),
    notes=[f"KV cache: when {TIME} tokens are written, weights alone beside it"],
)  # fmt: skip
display(memory_table)

probe = gpt2.build(vocab_size=500, context_length=64, d_model=64, n_heads=4, n_layers=2) if quick else gpt2.build(n_layers=6)
probe_shape = (2, 32) if quick else (1, 128)
predicted, measured = step_memory(on_meta(probe), *probe_shape).rows(), measured_memory(probe, *probe_shape, seed=seed).rows()
checked = [{"what": kind, "predicted": predicted[kind], "measured": measured[kind], "ratio": predicted[kind] / measured[kind]}
           for kind in predicted]  # fmt: skip
Table(
    checked, title=f"Predicted and measured: {probe.n_layers} layers, {probe_shape[0]} x {probe_shape[1]} tokens",
    units={"predicted": "bytes", "measured": "bytes"},
)  # fmt: skip

# %% [markdown]
# Activations are the part that grows with the text. Attention written out, as above, keeps a table of scores of every layer and head: it
# grows with the square of the length. Isinglass's default kernel never holds that table.


# %%
def kept_bytes(model: nn.Module, n: int) -> int:
    """Bytes that the backward pass needs of a forward pass over n tokens, weights not counted."""
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    found: dict[int, Tensor] = {}

    def keep(x: Tensor) -> Tensor:
        if x.untyped_storage().data_ptr() not in own:
            found[x.untyped_storage().data_ptr()] = x
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        model(torch.zeros(1, n, dtype=torch.long))
    return sum(x.untyped_storage().nbytes() for x in found.values())


long = replace(small, context_length=1024, dropout=0.0, n_layers=2)
torch.manual_seed(seed)
written_out = GPT(long)
fused = as_in_isinglass(written_out).requires_grad_(True)
LENGTHS = [64, 128, 256] if quick else [64, 128, 256, 512, 1024]
OURS, THEIRS = "attention written out", "Isinglass's kernel"
growth = {OURS: [kept_bytes(written_out, n) for n in LENGTHS], THEIRS: [kept_bytes(fused, n) for n in LENGTHS]}
growth_figure = kept(
    lines({name: (LENGTHS, [value / 2**20 for value in values]) for name, values in growth.items()},
          title="Activations of one forward pass", x="tokens", y="MiB"),
    "activations",
)  # fmt: skip
display(growth_figure)


# %% [markdown]
# ## The report


# %%
def by_role(name: str) -> str:
    """What taking a component away did, in words that fit the number."""
    more = roles[name] - roles["pre-norm"]
    if abs(more) < 0.01:
        return f"{roles[name]:.3f}, within a hundredth of the whole model"
    return f"{roles[name]:.3f}, {abs(more):.3f} {'more' if more > 0 else 'less'} than the whole model"


def fall(values: list[float]) -> str:
    """How the gradient changes from the last block to the first."""
    return f"{values[0] / values[-1]:.2g} times that of the last block"


six, twelve = sizes_rows[0], sizes_rows[1]
agree = sum(row["equal"] == "yes" for row in book)
best, worst = min(roles, key=roles.__getitem__), max(roles, key=roles.__getitem__)
speed = cache["with"] / cache["without"]
doubled = {name: values[-1] / values[-2] for name, values in growth.items()}  # each length is twice the one before
step_16 = memory["medium: 12 layers"]
minutes = (time.perf_counter() - began) / 60

report = Document(
    "Assignment 3: a GPT from scratch",
    [
        f"Written by `assignment_3.py` from what it measured{' (quick mode: small models, few steps)' if quick else ''}; text: `{data}`, "
        f"seed {seed}. The run took {minutes:.1f} minutes (PyTorch's threads: {torch.get_num_threads()}).",
        Heading("Does it do what it should?"),
        f"Beside PyTorch, with the same weights, the largest difference is {norm_apart['torch']:.0e} for layer normalisation, "
        f"{gelu_apart['torch']:.0e} for GELU, {block_apart['pre-norm']:.0e} for the pre-norm block and {block_apart['post-norm']:.0e} for "
        f"the post-norm block. The logits of the whole model differ by at most {logits_apart:.0e} from those of Isinglass's decoder. "
        f"Of {len(book)} numbers that the book prints, {agree} are met exactly, random weights of the same seed included.",
        Table(book, title="Beside the book's numbers", notes=["the book's MB are 2^20 bytes"]),
        Heading("The role of each component"),
        "- **Token embedding and position embedding** turn an id and its place into one vector. Without positions the held-out loss "
        f"after {STEPS} steps is {by_role('without positions')}.\n"
        "- **Attention** is the only part in which tokens see each other. Without it the model has just the last character to go by: "
        f"{by_role('without attention')}.\n"
        "- **The feed-forward network** works on each token alone; it holds "
        f"{untied['feed-forward'] / (untied['attention'] + untied['feed-forward']):.0%} of the weights of the blocks. Without it: "
        f"{by_role('without feed-forward')}.\n"
        f"- **GELU** keeps it from being one linear map. Of normally distributed inputs {silent['ReLU']:.0%} have no gradient under ReLU "
        f"and {silent['GELU']:.0%} under GELU; GELU's lowest output lies at x = {lowest:.2f}.\n"
        f"- **Layer normalisation** keeps sums at one scale. Without any: {by_role('without norms')}. Placed after the sum (post-norm) "
        f"instead of before the work: {by_role('post-norm')}.\n"
        f"- **Dropout** does its work while training alone; see exercise 4.2.\n"
        "- **The output head** turns features into a number for each token of the vocabulary. It may be the token embedding used the other "
        f"way round, which saves {untied['output head']:,} weights.\n\n"
        f"The lowest loss of the seven is that of “{best}” ({roles[best]:.3f}), the highest that of “{worst}” ({roles[worst]:.3f}).",
        "![One component taken away](figures/roles.svg)",
        roles_table,
        Heading("Why residual connections are critical"),
        "Without a shortcut a gradient is multiplied by every layer on its way down; with one it has a way past each. In the book's net of "
        f"five layers the gradient of the first is {narrow['with shortcuts'][0]:.4f} on average with shortcuts and "
        f"{narrow['without shortcuts'][0]:.6f} without. In {deep.n_layers} blocks of this GPT, before training, the gradient of the first "
        f"block is {fall(gradients['pre-norm'])} with pre-norm, {fall(gradients['post-norm'])} with post-norm, and "
        f"{fall(gradients['without shortcuts'])} without shortcuts, where the first block gets a gradient of norm "
        f"{gradients['without shortcuts'][0]:.1e} ({gradients['pre-norm'][0]:.1e} with pre-norm). After {STEPS} steps the held-out loss "
        f"without shortcuts is {by_role('without shortcuts')}.",
        "![What reaches each block](figures/gradients.svg)",
        Heading("Parameters by component"),
        f"The book's 124M model has {n_untied:,} weights when its head is its own and {n_tied:,} when it is tied to the token embedding. "
        f"Attention takes {untied['attention'] / n_untied:.1%}, the feed-forward networks {untied['feed-forward'] / n_untied:.1%}, the "
        f"token embedding {untied['token embedding'] / n_untied:.1%}. With the biases on q, k and v that GPT-2 was published with "
        f"there are {sum(published_parts.values()) - published_parts['output head']:,} tied.",
        "![Where the parameters are](figures/parameters.svg)",
        parts_table,
        Heading("What it writes before training"),
        f"Greedily, “{START}” goes on with “{untrained['greedy']}”: pieces of words that have nothing to do with each other. "
        f"The doubt about the next token is {untrained['entropy']:.2f} nats where guessing among all {BOOK.vocab_size:,} tokens would be "
        f"{untrained['uniform']:.2f}, and the most likely token has a probability of {untrained['most likely']:.2%}. "
        f"A draw gives “{samples[0]}”. The mechanism works; there is nothing in it yet.",
        Heading("Exercise 4.1: sizes"),
        f"From {six['layers']} to {twelve['layers']} layers the weights grow {twelve['untied'] / six['untied']:.2f}-fold, not twofold, "
        f"since the embeddings stay; one pass over {read_ids.shape[1]} tokens takes {six['forward_seconds'] * 1000:.0f} and "
        f"{twelve['forward_seconds'] * 1000:.0f} ms. The blocks hold {six['in the blocks']:.0%} of the weights of the smallest and "
        f"{sizes_rows[-1]['in the blocks']:.0%} of those of the largest model.",
        sizes_table,
        Heading("Exercise 4.2: dropout"),
        f"At a rate of {RATES[1]} a logit scatters by {dropout_rows[1]['spread of a logit']:.2f} from pass to pass and "
        f"{dropout_rows[1]['same top token as without']:.0%} of the predictions stay what they were; at {RATES[-1]} it scatters by "
        f"{dropout_rows[-1]['spread of a logit']:.2f} and {dropout_rows[-1]['same top token as without']:.0%} stay. The loss of a pass "
        f"goes from {dropout_rows[0]['loss']:.3f} to {dropout_rows[-1]['loss']:.3f}. In eval mode the largest change is "
        f"{max(row['change in eval mode'] for row in dropout_rows):.0e}. Since what remains is scaled up, the mean of ones stays near 1.",
        "![Loss with dropout](figures/dropout.svg)",
        dropout_table,
        Heading("Exercise 4.3: the cache"),
        f"With a cache of keys and values the model of {count(writer):,} weights writes {cache['with']:.1f} tokens per second, without "
        f"{cache['without']:.1f}: {speed:.1f} times the speed over {n_new} tokens. The tokens are "
        f"{'the same' if cache['same tokens'] else 'not all the same'}, and on the same weights "
        f"{'the same as' if cache['same tokens as Isinglass'] else 'not all those of'} `ig.generate`. The price is memory: "
        f"{cache['held']:,} bytes after {len(fast_ids) - 1} tokens; predicted were {cache['predicted']:,}.",
        "![Time for one more token](figures/cache.svg)",
        Heading("Exercise 4.4: memory"),
        f"A training step in fp32 needs 16 bytes for each weight before it has read a token. For the 12 layers with a tied head and "
        f"1 x {TIME} tokens that is {sum(step_16[kind] for kind in kinds[:3]) / 1e9:.2f} GB, and {step_16['activations'] / 1e9:.2f} GB of "
        f"activations beside it. Writing {TIME} tokens needs the weights and a cache of {step_16['KV cache'] / 1e6:.0f} MB. Measured on a "
        f"smaller case, the predicted activations were {checked[-1]['ratio']:.2f} times what a real step kept. When the text doubles, the "
        f"activations of attention as written out here grow {doubled[OURS]:.1f}-fold, those with Isinglass's kernel "
        f"{doubled[THEIRS]:.1f}-fold.",
        "![Memory of a training step](figures/memory.svg)",
        memory_table,
        "![Activations against length](figures/activations.svg)",
    ],
)
report.save("README.md")
print(f"README.md and {len(list(Path('figures').glob('*.svg')))} figures after {minutes:.1f} minutes")
