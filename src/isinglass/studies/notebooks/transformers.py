# %% [markdown]
# # From n-grams to Transformers, built and run
#
# The class notebook of week 2 sketches language models from n-grams to GPT-4. Here each kind is built and run, on one text and with one
# budget; the notebook's layers are held beside those of this package, its exercises are solved, and its claims are checked.
# Beside this notebook: `figures/` and `README.md`. All numbers in them are of this run.

# %%
import math
import time

import torch
from IPython.display import display

import isinglass as ig
from isinglass.data.sources import read
from isinglass.evaluation.classification import evaluate, sample, stratified_split
from isinglass.inspection.surprisal import surprisal
from isinglass.models import presets
from isinglass.models.transformer import fresh
from isinglass.nn.attention.slots import Slots
from isinglass.nn.block import Block, PostNormBlock
from isinglass.report.document import Document, Heading
from isinglass.show.marks.bars import bars
from isinglass.show.marks.heatmap import heatmap
from isinglass.show.marks.lines import lines
from isinglass.show.table import Table
from isinglass.studies.prose import origin
from isinglass.studies.transformers_notebook import claims, experiments, findings, notes, older, pairs
from isinglass.tasks.answer import answer
from isinglass.tasks.classify import classify
from isinglass.tasks.complete import complete
from isinglass.tasks.fill_mask import fill_mask

# %% tags=["parameters"]
quick = False  # True: the same cells with small counts
data = "kjv"  # what all the small models read: kjv or web, which name book, chapter and verse
model = "smollm2"  # the pretrained decoder
encoder = "minilm"  # the pretrained encoder
seed = 0

# %%
COMMAND = "isinglass study transformers"
STEPS, BATCH, CONTEXT, VOCABULARY = (6, 8, 32, 300) if quick else (200, 16, 64, 512)
torch.manual_seed(seed)
pictures = {}


def shown(name, figure):
    """Display a figure and keep it for the README."""
    figure.save(f"figures/{name}.png")
    pictures[name] = figure
    display(figure)


def square(values, title, names, command=COMMAND, **more):
    """Who reads whom: rows and columns are the same tokens."""
    axes = {"row_axis": "query", "column_axis": "key", "value": "attention weight", "limits": (0, 1)}
    return heatmap(values, title=title, rows=names, columns=names, command=command, **axes | more)


# %% [markdown]
# ## 1. Evolution: one text, every kind of model
#
# Everything reads the same tokens (byte-pair encoding, learned here) and is judged by the tokens of the last tenth of the text. Bits per
# byte compare models whatever their vocabulary: 8 is knowing nothing. The three networks get the same number of steps and tokens.

# %%
records = list(read(data))
text = "\n".join(record.text for record in records)[: 60_000 if quick else 1_500_000]
cut = int(len(text) * 0.9)
tok = ig.train_tokenizer("bpe(special=['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'])", [text[:cut]], vocab_size=VOCABULARY)
learned, held = (torch.tensor(tok.encode(part)) for part in (text[:cut], text[cut:]))
rows, held_rows = (stream.unfold(0, CONTEXT + 1, CONTEXT) for stream in (learned, held))
held_rows = held_rows[:: max(1, len(held_rows) // (20 if quick else 200))]
held_texts = [tok.decode(row.tolist()) for row in held_rows]
n_bytes = sum(len(tok.decode(row[1:].tolist()).encode()) for row in held_rows)
print(f"{len(learned):,} tokens to learn from; {len(held_rows)} held-out passages of {CONTEXT} tokens, {n_bytes:,} bytes")

# %%
language_models = []


def judged(kind, year, surprise, weights, seconds, reads, once=None):
    language_models.append({"model": kind, "year": year, "bits_per_byte": experiments.bits_per_byte(surprise, held_rows, n_bytes),
                            "numbers kept": weights, "to learn_seconds": seconds, "tokens read": reads, "seen once": once})  # fmt: skip


def count(module):
    return sum(weight.numel() for weight in module.parameters())


for order in range(1, 6):
    began = time.perf_counter()
    grams = older.NGram(learned.tolist(), order, tok.vocab_size)
    judged(f"{order}-gram", "1948", grams.nats, grams.n_counts, time.perf_counter() - began, len(learned), grams.once)
for kind, year, network in (("LSTM", "1997", older.RecurrentLM), ("feed-forward network", "2003", older.FeedForwardLM)):
    torch.manual_seed(seed)
    began = time.perf_counter()
    small = older.learn(network(tok.vocab_size), rows, steps=STEPS, batch_size=BATCH, seed=seed)
    judged(kind, year, older.nats(small), count(small), time.perf_counter() - began, STEPS * BATCH * CONTEXT)

# %%
SHAPE = f"n_layers=2, d_model={32 if quick else 128}, n_heads=4, context_length={CONTEXT})"
SETTINGS = {"batch_size": BATCH, "optimizer": "muon(lr=0.01)", "schedule": "cosine(warmup=0.1, floor=0.05)", "validation": 0}
began = time.perf_counter()
gpt_run = ig.train(ig.create(f"gpt2({SHAPE}", tokenizer=tok, seed=seed), [text[:cut]], steps=STEPS, seed=seed, config=SETTINGS)
gpt = gpt_run.lm
judged("Transformer (decoder)", "2017", older.nats(gpt.model), count(gpt.model), time.perf_counter() - began, STEPS * BATCH * CONTEXT)
lm = ig.load(model)
few = [surprisal(lm, passage) for passage in held_texts[: 4 if quick else 24]]
pretrained_bits = sum(one.total for one in few) / sum(one.n_bytes for one in few) / math.log(2)
timeline = Table(language_models, title="Language models of seven decades on one text", command=COMMAND,
                 units={"numbers kept": "count", "tokens read": "count", "seen once": "ratio"})  # fmt: skip
display(timeline)
shown("evolution", bars([row["model"] for row in language_models] + [f"{model}, pretrained"],
      [row["bits_per_byte"] for row in language_models] + [pretrained_bits], title="How well each kind predicts held-out text",
      axis="bits per byte", command=COMMAND))  # fmt: skip

# %% [markdown]
# Sequence to sequence: an LSTM that reads letters and writes them from the end, through one vector (2014) and with attention (2014/2015),
# and a tiny T5 of ours (2019) that learns the same from pairs of texts. Lengths 4 to 12 are trained, 16 is new.

# %%
LENGTHS = [4, 8, 12, 16]
by_length = {}
for name, attends in (("LSTM, one vector", False), ("LSTM with attention", True)):
    torch.manual_seed(seed)
    writer = pairs.learn(pairs.Pairs(attention=attends), steps=10 if quick else 400, lengths=range(4, 13), seed=seed)
    by_length[name] = [pairs.right(writer, length) for length in LENGTHS]
source = pairs.reversals(1, 10, 5)[0]
with torch.inference_mode():
    aligned = writer(source, torch.nn.functional.pad(source.flip(1)[:, :-1], (1, 0)))[1][0]
letters = [chr(96 + id) for id in source[0].tolist()]
shown("alignment", heatmap(aligned, title="Where the LSTM looks while it writes a row from its end", rows=letters[::-1], columns=letters,
      row_axis="written", column_axis="read", value="attention weight", limits=(0, 1), command=COMMAND))  # fmt: skip
t5 = experiments.tiny_t5(range(4, 13), per_length=20 if quick else 600, steps=5 if quick else 250, seed=seed)
by_length["tiny T5"] = [experiments.letters_right(t5, length, 5 if quick else 40) for length in LENGTHS]
shown("sequences", lines({name: (LENGTHS, share) for name, share in by_length.items()}, title="Rows written from their end: letters right",
      x="letters in the row", y="share right", command=COMMAND))  # fmt: skip
grown = claims.sizes()
display(grown)

# %% [markdown]
# ## 2. Attention
#
# The notes' `SimpleAttention` is one head of our layer: no biases, no positions, the full mask, and the identity after it. It divides by
# the root of the hidden size, which is the root of the head's size because there is one head.


# %%
def places(n, batch=1):
    return Slots(torch.arange(n)[None].expand(batch, -1))


@torch.no_grad()
def apart(ours, theirs, x):
    """The largest difference of our layer or block from theirs, with the same weights."""
    given = theirs(x, x, x)[0] if isinstance(theirs, notes.NotesAttention) else theirs(x)
    at = places(x.shape[1], x.shape[0])
    return float((ours(x, layer=0, slots=at, k_slots=at) - given).abs().max())


torch.manual_seed(42)
simple, many, post = notes.NotesAttention(64, simple=True), notes.NotesAttention(512, 8), notes.NotesBlock(512, 8, 2048)
equal = {
    "SimpleAttention": apart(notes.take_attention(notes.attention(64, 1, bias="none"), simple), simple, torch.randn(2, 10, 64)),
    "MultiHeadAttention": apart(notes.take_attention(notes.attention(512, 8), many), many, torch.randn(2, 20, 512)),
    "TransformerBlock": apart(notes.take_block(notes.block(512, 8, 2048), post), post, torch.randn(2, 20, 512)),
}
SENTENCE = "The quick brown fox jumps over the lazy dog."
reader = ig.load(encoder)
traces = {name: ig.trace(one, SENTENCE) for name, one in ((encoder, reader), (model, lm))}
noise = torch.randn(1, 10, 64)
shown(
    "untrained", square(simple(noise, noise, noise)[1][0, 0].detach(), "SimpleAttention untrained: what the notes draw", list("0123456789"))
)


# %%
def attention_figure(name, layer, head):
    """One head of a real model."""
    words = [token.strip() for token in traces[name].tokens[0]]
    command = f'isinglass inspect attention {name} "{SENTENCE}" --layer {layer} --head {head}'
    return square(traces[name].attention_weights()[layer, head], f"{name}, layer {layer}, head {head}", words, command)


spread = {name: experiments.evenness(traces[name].attention_weights()) for name in traces}
sharpest = {}
for name in traces:
    weights = traces[name].attention_weights()
    before = weights.diagonal(offset=-1, dim1=-2, dim2=-1).mean(-1)  # of the token before
    sharpest[name] = divmod(int(before.argmax()), weights.shape[1])
    shown(f"attention_{name}", attention_figure(name, *sharpest[name]))

# %% [markdown]
# ## 3. Multi-head attention
#
# Eight heads of 64 have the weights of one head of 512; what differs is that eight distributions are computed instead of one. Do heads of
# a trained model look at different places? For each layer: the mean overlap of two heads (1: the same weights, 0: nothing in common).

# %%
views = {}
for name in traces:
    views[name] = experiments.overlap(traces[name].attention_weights())
    shown(f"heads_{name}", traces[name].attention(command=f'isinglass inspect attention {name} "{SENTENCE}"'))
shown("heads", lines({name: (list(range(len(v))), v) for name, v in views.items()}, title="How alike the heads of a layer are", x="layer",
      y="mean overlap of two heads", command=COMMAND))  # fmt: skip

# %% [markdown]
# ## 4. Positions
#
# The notes' table of sines and cosines beside ours; then what a model without positions cannot see.

# %%
sinusoid = ig.create("sequence_classifier(n_labels=3, n_layers=1, d_model=64, n_heads=4)").model.body.positions[0].embed(places(50))[0]
table_apart = float((sinusoid - notes.encoding(50, 64)).abs().max())
shown("positions", heatmap(sinusoid.T[:32], title="Sinusoidal positions", rows=list(map(str, range(32))), columns=list(map(str, range(50))),
      row_axis="feature", column_axis="position", value="added", scale="diverging", command="isinglass explain sinusoidal"))  # fmt: skip
order = experiments.order_noticed(["none", "sinusoidal", "learned", "rotary", "alibi", "relative_t5"])
shown("order", bars(list(order), list(order.values()), title="'dog bites man.' and 'man bites dog.': does the model see a difference?",
      axis="largest change of a score", command=COMMAND))  # fmt: skip

# %% [markdown]
# ## 5. The block
#
# The notes have the norm after each sum (2017, BERT); most models since GPT-2 have it before each half. What it changes in a stack that was
# not trained yet: how large the gradient is at its last block, and whether that depends on how many blocks there are.

# %%
DEPTHS = [2, 4, 8] if quick else [2, 4, 8, 16, 32]
two = {"post-norm": PostNormBlock, "pre-norm": Block}
gradients = {name: [experiments.last_gradient(kind, depth, seed) for depth in DEPTHS] for name, kind in two.items()}
shown("norms", lines({name: (DEPTHS, norms) for name, norms in gradients.items()}, title="Gradient at the last block of an untrained stack",
      x="blocks", y="norm of the gradient", x_scale="log", command=COMMAND))  # fmt: skip

# %% [markdown]
# ## 6. Encoder, decoder, both
#
# Three masks, three kinds of model. Which tokens of a text notice that its last word is another?

# %%
drawn = {"encoder": ("full", 0), "decoder": ("causal", 0), "prefix": ("prefix", 3)}
for name, (mask, length) in drawn.items():
    seen = experiments.seen(mask, prefix=length)
    shown(f"mask_{name}", square(seen, f"Who reads whom: {mask}", list("01234567"), f"isinglass explain masks.{mask}", value="may read"))
BANKS = ("the bank of the river", "the bank of the state")
notice = {encoder: experiments.noticed(reader, *BANKS), model: experiments.noticed(lm, *BANKS)}
kinds = []
SAID = {"encoder": (encoder, "tell texts of like meaning"), "decoder": (model, "say the next token"),
        "encoder-decoder": ("tiny T5, made here", "write a text anew")}  # fmt: skip
shown("cross", experiments.cross_attention(t5, letters, COMMAND))
three = {"encoder": reader, "decoder": lm, "encoder-decoder": t5}
for kind, one in three.items():
    name, trained_to = SAID[kind]
    kinds.append({"kind": kind, "model": name, "parameters": count(one.model), "layers": one.config.n_layers, "width": one.config.d_model,
                  "tokens of the sentence": len(one.encode(SENTENCE)), "trained to": trained_to})  # fmt: skip
compared = Table(kinds, title="Three kinds of model", units={"parameters": "count"}, notes=["the tiny T5 knows letters alone"],
                 command=f"isinglass model show {model}")  # fmt: skip
print([token.strip() for token in traces[encoder].tokens[0]], [token.strip() for token in traces[model].tokens[0]], sep="\n")
can, refusals = experiments.abilities(three)
print(*refusals, sep="\n")
able = Table(can, title="What each kind can do, as it stands")
display(compared, able)

# %% [markdown]
# ## 7. The components of a system
#
# The notes list five with considerations. Each has a quantity that can be measured.

# %%
cut_into = {name: len(ig.tokenizer(name).encode(" ".join(held_texts[:4]))) for name in ("gpt2", "bert-base-uncased", "t5", "o200k_base")}
n_tokens = 8 if quick else 48
prompt = "Once upon a time there was a king, and the king had a daughter. Once upon a time there was"
plain = ig.generate(lm, prompt, max_tokens=n_tokens)
drafted = ig.generate(lm, prompt, max_tokens=n_tokens, strategy="speculative(draft='prompt_lookup')")
quote = ig.price(models=["gpt-4o-mini"], requests=1000, tokens_in=len(plain.prompt_ids), tokens_out=n_tokens, on="2025-03-01").lines.rows[0]
system = findings.components(lm, " ".join(held_texts[:4]), cut_into, gpt_run, plain, drafted, quote, COMMAND)
display(system)

# %% [markdown]
# ## 8. Tasks
#
# What the notes do with `pipeline`: classify, continue, answer. Labels are given by name, so nothing is trained for them.

# %%
OPINIONS = ["I love this new technology!", "This is terrible and disappointing.", "The weather is okay today."]
felt = classify(
    reader,
    OPINIONS,
    labels=["positive", "negative", "neutral"],
    command=f'isinglass task classify "{OPINIONS[0]}" --labels positive,negative,neutral',
)
display(felt.table)
DRAWN = {"n": 3, "strategy": "sample(temperature=0.7)", "seed": seed}
continued = complete(lm, "The future of artificial intelligence is", max_tokens=6 if quick else 20, **DRAWN)
display(continued.table)
CONTEXT_TEXT = (
    "The Transformer is a deep learning model introduced in 2017, used primarily in natural language processing. Unlike recurrent "
    "networks, Transformers do not require that the data be processed in order. Since they process data in parallel, they train faster."
)
ASKED = {"When was the Transformer introduced?": "2017", "What field primarily uses Transformers?": "natural language processing"}
answered = {}
for question in list(ASKED)[: 1 if quick else 2]:
    answered[question] = answer(lm, question, CONTEXT_TEXT, finder=reader, max_words=3 if quick else 4)
    display(answered[question].table)

# %% [markdown]
# ## Exercise 1: a Transformer that classifies texts
#
# The preset `sequence_classifier` is the exercise's model; with the exercise's weights it gives the exercise's answer. Then a smaller one
# learns a real task with three classes: is a verse from the law, the poetry or the gospels?

# %%
theirs = notes.NotesClassifier(10_000, 256, 8, 6, 3).eval()
ours = fresh(presets.family.resolve("sequence_classifier(n_labels=3)"), seed).eval()
notes.take_classifier(ours.body, ours.heads["classification"].out_proj, theirs)
sample_input = torch.randint(0, 10_000, (4, 50))
with torch.no_grad():
    equal["SimpleTransformerClassifier"] = float((ours(sample_input)["classification"] - theirs(sample_input)).abs().max())
agreement = Table([{"layer of the notes": name, "largest difference": f"{value:.0e}"} for name, value in equal.items()],
                  title="The notes' layers with our parts, same weights", command=COMMAND)  # fmt: skip

# %%
verses = sample(experiments.by_kind(records), 60 if quick else 1500, seed=seed)
sides = stratified_split(verses, seed=seed)
WIDTH = 32 if quick else 64
small = ig.create(f"sequence_classifier(n_labels=3, n_layers=2, d_model={WIDTH}, n_heads=4, context_length=64)", tokenizer=tok, seed=seed)
learned_classifier = ig.train(small, sides["train"], objective="classification(pooling='mean')", steps=4 if quick else 250, seed=seed,
    config={"batch_size": 16 if quick else 32, "optimizer": "adamw(lr=1e-3)", "validation": 0, "context_length": 64}).lm  # fmt: skip
judgement = evaluate(learned_classifier, sides["test"], sides["train"])
display(agreement, judgement.summary)
shown("confusion", judgement.model.figure(command=COMMAND))

# %% [markdown]
# ## Exercise 2: a gap and a continuation
#
# MiniLM lost the head that names words, so a small BERT learns one here, on the text, tokens and number of steps of the small GPT. Who
# names a hidden token better: the one that reads both sides, or the one that reads what stands before?

# %%
bert = ig.create(f"bert({SHAPE}", tokenizer=tok, seed=seed)
bert = ig.train(bert, [text[:cut]], objective="masked_lm(share=0.15)", steps=STEPS, seed=seed, config=SETTINGS).lm
gaps = experiments.gaps_filled(bert, gpt, held_rows[:, :CONTEXT], seed)
GAP = "And the king sat on the [MASK] of his father."
filled = fill_mask(bert, GAP, top=3)
cat = complete(lm, "The cat sat on the", max_tokens=5, **DRAWN)
small_cat = complete(gpt, GAP.partition(" [MASK]")[0], max_tokens=5, **DRAWN)
display(filled.table, cat.table, small_cat.table)

# %% [markdown]
# ## Exercise 3: patterns of attention
#
# The notes look at one head of the last layer. Here are all: how much goes to the special tokens, to the token itself, to its neighbours.

# %%
looked = {}
for name in traces:
    looked[name] = experiments.goes(traces[name].attention_weights(), both_ends=name == encoder)
    shares = {what: (list(range(len(v))), v) for what, v in looked[name].items()}
    shown(f"goes_{name}", lines(shares, title=f"Where attention goes in {name}",
          x="layer", y="share of the weight", command=COMMAND))  # fmt: skip
shown("exercise_3", attention_figure(encoder, reader.config.n_layers - 1, 0))

# %% [markdown]
# ## The claims of the notes

# %%
checked = [(claim, claim.check()) for claim in claims.claims()]
verdicts = [{"the notes": one.says, "it is so": found.truth, "verdict": found.verdict, "command": one.command} for one, found in checked]
ledger = Table(verdicts, title="What the notes say", command=COMMAND)
display(ledger)

# %% [markdown]
# ## What was found

# %%
made = origin("transformers", f"text {data}, models {model} and {encoder}, seed {seed}{', quick' if quick else ''}")
said = {
    "1. Evolution": [findings.evolution(language_models, model, pretrained_bits, len(learned)), findings.sequences(by_length, LENGTHS),
                     findings.timeline(), timeline, pictures["evolution"], pictures["sequences"], pictures["alignment"], grown],
    "2. Attention": [findings.attention(equal, spread, sharpest), pictures["untrained"],
                     *(pictures[f"attention_{name}"] for name in traces)],
    "3. Multi-head attention": [findings.many_heads(equal, views), pictures["heads"], *(pictures[f"heads_{name}"] for name in traces)],
    "4. Positions": [findings.positions(table_apart, order), pictures["positions"], pictures["order"]],
    "5. The block": [findings.block(equal, gradients, DEPTHS), pictures["norms"]],
    "6. Encoder, decoder, both": [findings.kinds(notice, kinds, can), *(pictures[f"mask_{name}"] for name in drawn), pictures["cross"],
                                  compared, able],
    "7. Components of a system": [findings.system(cut_into, plain, drafted), system],
    "8. Tasks": [findings.tasks(felt, answered, ASKED), felt.table, continued.table, *(one.table for one in answered.values())],
    "Exercise 1": [findings.exercise_1(equal, count(theirs), judgement, len(sides["train"])), agreement, judgement.summary,
                   pictures["confusion"]],
    "Exercise 2": [findings.exercise_2(gaps, len(held_rows), filled), filled.table, cat.table, small_cat.table],
    "Exercise 3": [findings.exercise_3(looked), *(pictures[f"goes_{name}"] for name in traces), pictures["exercise_3"]],
    "The claims of the notes": [findings.ledger(checked), ledger],
    "What of the notes is where": [findings.where()],
}  # fmt: skip
body = [part for heading, parts in said.items() for part in (Heading(heading), *parts)]
Document("From n-grams to Transformers, built and run", [made, *body]).save("README.md")
