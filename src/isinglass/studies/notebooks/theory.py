# %% [markdown]
# # Transformers in eleven questions
#
# The questions of part 1, each with an experiment: what is claimed is computed here, on real models where they are needed. Facts of the
# literature are named as such.
#
# Beside this notebook: `theory.pdf` with the answers, `visualizations/` and `README.md`.

# %%
import math
import time

import numpy as np
import torch
from IPython.display import display

import isinglass as ig
from isinglass.data.sources import read
from isinglass.embedding.collections import senses
from isinglass.embedding.senses import senses_of
from isinglass.models import presets
from isinglass.models.summary import kv_bytes_per_token
from isinglass.report.document import Document, Heading
from isinglass.show.marks.heatmap import heatmap
from isinglass.show.marks.lines import lines
from isinglass.show.table import Table
from isinglass.studies import theory_answers as said
from isinglass.studies.prose import origin, words

# %% tags=["parameters"]
quick = False  # True: fewer verses and shorter texts
seed = 0

# %% [markdown]
# ## Q1.1 BERT and GPT
#
# The last word of a sentence is changed. What becomes of the vectors of the words before it?

# %%
torch.manual_seed(seed)
smollm2, minilm = ig.load("smollm2"), ig.load("minilm")
ONE, OTHER = "He sat on the bank of the river", "He sat on the bank of the city"


def change_before(lm, last: str) -> float:
    """The largest change of any earlier word's vector when the last word is another, relative to the size of the vectors."""
    first, second = (ig.trace(lm, text)[last][0] for text in (ONE, OTHER))
    same = next(n for n, (a, b) in enumerate(zip(lm.encode(ONE), lm.encode(OTHER), strict=True)) if a != b)
    return float((first[:same] - second[:same]).norm(dim=-1).max() / first[:same].norm(dim=-1).mean())


causal, both_ways = change_before(smollm2, "layers.29.resid_post"), change_before(minilm, "layers.5.resid_post")
sentence = "He sat on the bank"
masks = {}
for name, lm in (("GPT: SmolLM2", smollm2), ("BERT: MiniLM", minilm)):
    trace = ig.trace(lm, sentence)
    weights = torch.stack([trace[f"layers.{layer}.attention.weights"][0].mean(dim=0) for layer in range(lm.config.n_layers)]).mean(dim=0)
    tokens = [f"{n} {lm.tokenizer.piece(id)}" for n, id in enumerate(lm.encode(sentence))]
    masks[name] = heatmap(
        weights.numpy(), title=f"Where tokens look, mean over all heads ({name})", rows=tokens, columns=tokens, row_axis="query",
        column_axis="key", value="weight", limits=(0, 1), command=f'isinglass inspect attention {name.split()[1].lower()} "{sentence}"',
    )  # fmt: skip
    display(masks[name])
print(f"change of earlier vectors: {causal:.1e} in SmolLM2, {both_ways:.2f} in MiniLM")

# %% [markdown]
# ## Q1.2 Why the square root
#
# Queries and keys of independent numbers with variance 1: how large are their products, and what does softmax make of them?

# %%
widths = [4, 16, 64, 256] if quick else [4, 16, 64, 256, 1024]
rows = []
for d in widths:
    q, k = torch.randn(2000, d), torch.randn(32, d)
    products = q @ k.T
    for name, scores in (("no", products), ("yes", products / math.sqrt(d))):
        p = scores.softmax(dim=-1)
        entropy = float(-(p * p.clamp(min=1e-30).log()).sum(dim=-1).mean())
        slope = float((p * (1 - p)).sum(dim=-1).mean())  # the trace of softmax's derivative
        rows.append(
            {
                "d_k": d,
                "scaled": name,
                "variance": float(scores.var()),
                "entropy": entropy,
                "largest": float(p.max(dim=-1).values.mean()),
                "slope": slope,
            }
        )
scaling = Table(
    rows,
    title="32 keys, drawn numbers",
    notes=[f"entropy in nats, at most {math.log(32):.2f}; slope: sum of p (1 - p), the size of softmax's derivative"],
)
display(scaling)
curves = {f"scaled: {name}": (widths, [row["entropy"] for row in rows if row["scaled"] == name]) for name in ("no", "yes")}
spread = lines(
    curves,
    title="Without the square root softmax looks at one key alone",
    x="d_k",
    y="entropy of the weights, nats",
    x_scale="log",
    command="isinglass study theory --out FOLDER",
)
display(spread)

# %% [markdown]
# ## Q1.3 Against recurrent networks
#
# One layer of each reads the same text, one at a time and all at once.

# %%
n, d = (256, 256) if quick else (512, 256)
x, ids = torch.randn(1, n, d), torch.zeros(1, n, dtype=torch.long)
cell = torch.nn.LSTM(d, d, batch_first=True)
decoder = ig.create(f"gpt2(n_layers=1, d_model={d}, n_heads=4, context_length={n})").decoder


def median_seconds(run, times: int = 7) -> float:
    """The median of several runs, after one that warms up."""
    run()
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        run()
        found.append(time.perf_counter() - begun)
    return float(np.median(found))


with torch.inference_mode():
    recurrent, parallel = median_seconds(lambda: cell(x)), median_seconds(lambda: decoder.hidden(ids))
speed = Table(
    [
        {"layer": "LSTM", "seconds": recurrent, "steps that wait for one another": n, "path between the ends": n},
        {"layer": "Transformer block", "seconds": parallel, "steps that wait for one another": 1, "path between the ends": 1},
    ],
    title=f"One layer reads {n} vectors of {d}", units={"seconds": "seconds"}, notes=["median of seven runs on this machine"],
)  # fmt: skip
display(speed)

# %% [markdown]
# ## Q2.1 Fewer keys and values
#
# The cache of Llama 3.1 8B as it is (8 key-value heads for 32 query heads), with as many as queries, and with one; and the speed of a small
# model of each kind behind a long prompt.

# %%
rows, prompt = [], list(range(100, 100 + (500 if quick else 1500)))
for name, heads, ours in (("Multi-Head", 32, 8), ("Grouped-Query", 8, 2), ("Multi-Query", 1, 1)):
    per_token = kv_bytes_per_token(presets.family.resolve(f"llama('llama3.1-8b', n_kv_heads={heads})"), 2)
    small = ig.create(
        f"llama('smollm2-135m', n_layers=4, d_model=512, n_heads=8, n_kv_heads={ours}, d_ff=1024, vocab_size=2000, context_length=2048)",
        tokenizer="bert-base-uncased",
    )
    written = ig.generate(small, prompt, max_tokens=24, ignore_end=True)
    rows.append(
        {
            "kind": name,
            "kv_heads": heads,
            "bytes_per_token": per_token,
            "cache_at_8192": per_token * 8192,
            "tokens_per_second": written.timings.tokens_per_second,
        }
    )
kinds = Table(
    rows,
    title="Keys and values of Llama 3.1 8B in bf16, and the speed of a small model",
    units={"bytes_per_token": "bytes", "cache_at_8192": "bytes"},
    notes=[f"tokens per second: 4 layers, 8, 2 and 1 key-value heads, behind {len(prompt)} tokens, on this machine"],
    command="isinglass model show \"llama('llama3.1-8b')\"",
)
display(kinds)

# %% [markdown]
# ## Q2.2 Pages
#
# 64 requests of different lengths, served with room for the longest possible text each, or with pages of 16 tokens.

# %%
lengths = np.random.default_rng(seed).integers(50, 1000, size=64)
LONGEST, PAGE = 2048, 16
bytes_each = rows[1]["bytes_per_token"]
used = int(lengths.sum()) * bytes_each
whole = len(lengths) * LONGEST * bytes_each
paged = int((np.ceil(lengths / PAGE) * PAGE).sum()) * bytes_each
pages = Table(
    [
        {"way": "room for the longest text", "reserved": whole, "used": used, "wasted": 1 - used / whole},
        {"way": f"pages of {PAGE} tokens", "reserved": paged, "used": used, "wasted": 1 - used / paged},
    ],
    title=f"{len(lengths)} requests of 50 to 999 tokens", units={"reserved": "bytes", "used": "bytes", "wasted": "ratio"},
)  # fmt: skip
display(pages)

# %% [markdown]
# ## Q2.3 Flash and paged
#
# The matrix of weights that FlashAttention never writes down, beside the cache that pages hold.

# %%
flash = Table(
    [{"tokens": t, "weights_of_one_layer": 32 * t * t * 2, "cache_of_all_layers": bytes_each * t} for t in (1024, 8192, 131_072)],
    title="Llama 3.1 8B, one text, bf16", units={"weights_of_one_layer": "bytes", "cache_of_all_layers": "bytes"},
)  # fmt: skip
display(flash)

# %% [markdown]
# ## Q3.1 One word, two senses

# %%
bank = senses_of(minilm, "bank", senses("bank"))
display(bank.table)
display(bank.figure)

# %% [markdown]
# ## Q3.2 What a month costs

# %%
asked = {"requests": 50_000, "tokens_in": 2000, "tokens_out": 500, "on": "2025-03-01"}
quote = ig.price(models=["gpt-4o", "groq/llama-70b"], **asked)
display(quote.lines)
MILLION = 1_000_000
rates = {
    model: [
        ig.price(models=[model], requests=MILLION, tokens_in=into, tokens_out=out, on=asked["on"]).total(model)
        for into, out in ((1, 0), (0, 1))
    ]
    for model in ("gpt-4o", "groq/llama-70b")
}
dear, cheap = quote.total("gpt-4o"), quote.total("groq/llama-70b")

# %% [markdown]
# ## Q3.3 BPE against whole words
#
# A vocabulary of the King James words reads another translation. How many words are unknown to it, and what does BPE of the same size do?

# %%
verses = 2000 if quick else 8000
kjv = [record.text for _, record in zip(range(verses), read("kjv"), strict=False)]
web = [record.text for _, record in zip(range(verses), read("web"), strict=False)]
vocab = 3000 if quick else 4000
word, bpe = ig.train_tokenizer("word", kjv, vocab_size=vocab), ig.train_tokenizer("bpe", kjv, vocab_size=vocab)
cuts = []
for tokenizer in (word, bpe):
    ids = [id for text in web for id in tokenizer.encode(text)]
    unknown = sum(id in tokenizer.algorithm.unknown_ids for id in ids)
    cuts.append({"vocabulary": tokenizer.name, "entries": tokenizer.vocab_size, "tokens": len(ids), "unknown": unknown / len(ids)})
vocabularies = Table(
    cuts, title="Learned from one translation, reading another", units={"unknown": "ratio"}, notes=[f"{verses:,} verses each"]
)
display(vocabularies)
NEW = ["tokenization", "Zuckerberg", "doomscrolling", "unhappiness"]
pieces = Table(
    [
        {"word": text, "BPE of GPT-4": " ".join(ig.tokenizer("cl100k_base").piece(id) for id in ig.tokenizer("cl100k_base").encode(text))}
        for text in NEW
    ],
    title="Words that no list has",
)
display(pieces)

# %% [markdown]
# ## Q4.1 What training takes
#
# Training a model of N weights on D tokens takes about 6 N D operations (Kaplan et al. 2020); an H100 does 989e12 a second in bf16, of
# which 40 %
# is a good share.

# %%
PEAK, SHARE = 989e12, 0.4
budgets = []
for name, n_weights, n_tokens in (("SmolLM2-135M", 135e6, 2e12), ("Llama 3.1 8B", 8.03e9, 15e12)):
    flops = 6 * n_weights * n_tokens
    budgets.append(
        {"model": name, "weights": n_weights, "tokens": n_tokens, "operations": flops, "h100_days": flops / (PEAK * SHARE) / 86_400}
    )
compute = Table(
    budgets, title="Operations of pretraining, estimated", notes=["weights and tokens as published; days of one H100 at 40 % of its peak"]
)
display(compute)

# %% [markdown]
# ## The answers

# %%
by_kind = {row["kind"]: row for row in kinds.rows}
last = bank.table.rows[-1]
first_layer = next((row for row in bank.table.rows if row["right"] == 1), None)
wide = {row["scaled"]: row for row in scaling.rows if row["d_k"] == widths[-1]}
lstm, block = (row["seconds"] for row in speed.rows)


answers = {
    "Q1.1 BERT and GPT": said.bert_and_gpt(causal, both_ways),
    "Q1.2 Attention and its square root": said.scaled_attention(widths, wide),
    "Q1.3 Advantages over RNNs": said.against_recurrence(n, block, lstm),
    "Q2.1 Multi-Head, Multi-Query, Grouped-Query": said.key_value_heads(by_kind),
    "Q2.2 Paged Attention": said.paged(pages, len(lengths), PAGE, LONGEST, bytes_each),
    "Q2.3 Flash and Paged Attention": said.flash_and_paged(flash),
    "Q3.1 Static and contextual embeddings": said.static_and_contextual(last, first_layer),
    "Q3.2 Tokenization economics": said.price_of_a_month(asked, rates, dear, cheap),
    "Q3.3 Why BPE": said.why_bpe(cuts, pieces),
    "Q4.1 The seven stages": said.seven_stages(compute),
    "Q4.2 Three roles": said.three_roles(),
}
shown = {
    "Q1.1": [*masks.values()], "Q1.2": [scaling, spread], "Q1.3": [speed], "Q2.1": [kinds], "Q2.2": [pages], "Q2.3": [flash],
    "Q3.1": [bank.figure], "Q3.2": [quote.lines], "Q3.3": [vocabularies, pieces], "Q4.1": [compute], "Q4.2": [],
}  # fmt: skip
text = [part for heading, prose in answers.items() for part in (Heading(heading), prose, *shown[heading.split()[0]])]
print(f"{words(text)} words")

# %% [markdown]
# ## What is written

# %%
for name, figure in {"mask_gpt": masks["GPT: SmolLM2"], "mask_bert": masks["BERT: MiniLM"], "scaling": spread, "bank": bank.figure}.items():
    figure.save(f"visualizations/{name}.png")
made = origin("theory", f"models smollm2 and minilm, seed {seed}", f"prices of {asked['on']}")
Document("Transformers in eleven questions", [*text, made]).save("theory.pdf")
Document("Transformers in eleven questions", [made, *text]).save("README.md")
