# %% [markdown]
# # Inside a language model, token by token
#
# A real chat model of 135 million weights (SmolLM2) is opened: what it is made of, how it cuts texts, what it expects next, how it writes,
# and where
# it fails. Each critical question is answered from the numbers of this run.

# %%
import itertools

from IPython.display import Markdown, display

import isinglass as ig
from isinglass.data.sources import read
from isinglass.evaluation.cache_study import figures as cache_figures
from isinglass.evaluation.cache_study import studying
from isinglass.evaluation.cache_study import tables as cache_tables
from isinglass.evaluation.strategies import comparing
from isinglass.evaluation.strategies import tables as strategy_tables
from isinglass.inspection.architecture import architecture
from isinglass.inspection.attention import attention
from isinglass.inspection.calibrate import calibrate_quiz, calibrate_text
from isinglass.inspection.compare import compare
from isinglass.inspection.layers import norms, similarity
from isinglass.inspection.lens import lens
from isinglass.inspection.norm_experiment import norm_experiment
from isinglass.inspection.normalizations import normalized
from isinglass.inspection.quiz import read_quiz
from isinglass.inspection.tokenizations import tokenizations
from isinglass.inspection.vocabulary_width import Embeddings
from isinglass.report.document import Document, Heading
from isinglass.show.table import Table
from isinglass.studies import internals_answers as said
from isinglass.studies import internals_reflections as reflected
from isinglass.studies.prose import origin

# %% tags=["parameters"]
quick = False  # True: shorter texts and fewer questions
model = "smollm2"
seed = 0

# %%
lm = ig.load(model)
answers: dict[str, list[str]] = {}
PROMPT = "The capital of France is"


def answer(question: str, paragraphs: list[str]) -> None:
    """Show a question with its answer, and keep it for README.md."""
    answers[question] = paragraphs
    display(Markdown(f"**{question}**\n\n" + "\n\n".join(paragraphs)))


# %% [markdown]
# ## 1. Architecture

# %%
print(lm.model)
made_of = architecture(lm, name=model, command=f"isinglass inspect architecture {model}")
for part in made_of.parts:
    display(part)

# %%
embeddings = Embeddings.of(lm.config)
answer("What are the key components and their dimensions?", said.components(lm.config, made_of.n_parameters, embeddings))
answer("What is the vocabulary size, and how does it compare to the hidden dimension?", said.vocabulary(lm.config, embeddings))

# %% [markdown]
# One token of a sentence is normalised in different company: alone, with other texts beside it, with padding. What changes for it?

# %%
normed = norm_experiment(lm, command=f"isinglass study internals --out FOLDER --set model={model}")
display(normed.table)
answer("Why do transformer models use layer normalization instead of batch normalization?", said.normalization(normed.table.rows))

# %% [markdown]
# ## 2. Tokens

# %%
SAMPLES = {
    "English": "The lighthouse keeper wrote a letter every evening.",
    "technical": "Backpropagation through self-attention needs O(n²) memory.",
    "unknown words": "The flumberwock doomscrolled antidisestablishmentarianistically.",
    "numbers": "In 2024, 1,234,567.89 is 3.5% more than 1192821.63.",
    "punctuation": "Wait... what?! (#42) -> [x] @home; e-mail: a_b@c.de",
    "German": "Die Donaudampfschifffahrt verschob die Überfahrt.",
    "Chinese": "灯塔看守人每天写一封信。",
}
rows = []
for name, text in SAMPLES.items():
    ids = lm.encode(text)
    rows.append(
        {
            "sample": name,
            "characters": len(text),
            "tokens": len(ids),
            "ids": " ".join(map(str, ids)),
            "decoded": " | ".join(lm.tokenizer.decode([id]) for id in ids),
            "back": "yes" if lm.tokenizer.decode(ids) == text else "no",
        }
    )
cuts = Table(rows, title="Text, ids, decoded tokens")
display(cuts)

# %%
forms = {text: lm.tokenizer.encode(text) for text in ("The", " The", "the", " the", "THE", " THE")}
vectors = lm.model.embed_tokens.weight
near = {
    text: float((vectors[forms["The"][0]] @ vectors[ids[0]]) / (vectors[forms["The"][0]].norm() * vectors[ids[0]].norm()))
    for text, ids in forms.items()
}
CONTEXTS = ["light", " light", "lighthouse", " lighthouse", "Light", "light.", "twilight"]
in_context = {text: lm.tokenizer.encode(text) for text in CONTEXTS}
shown = [
    {
        "text": text,
        "ids": " ".join(map(str, ids)),
        "tokens": " | ".join(lm.tokenizer.decode([id]) for id in ids),
        "cosine with The": near.get(text),
    }
    for text, ids in (forms | in_context).items()
]
display(Table(shown, title="One word in several forms and contexts"))

# %%
others = {
    "SmolLM2 (BPE)": lm.tokenizer,
    "BERT (WordPiece)": ig.tokenizer("bert-base-uncased"),
    "T5 (Unigram)": ig.tokenizer("t5"),
    "GPT-4 (BPE)": ig.tokenizer("cl100k_base"),
}
verses = [record.text for record in itertools.islice(read("web"), 2000)]
others["words of 2,000 verses"] = ig.train_tokenizer("word", verses)
compared = []
for name, tokenizer in others.items():
    every = [tokenizer.encode(text) for text in SAMPLES.values()]
    unknown = sum(id in tokenizer.algorithm.unknown_ids for ids in every for id in ids)
    compared.append(
        {
            "tokenizer": name,
            "vocabulary": tokenizer.vocab_size,
            "tokens": sum(map(len, every)),
            "unknown": unknown,
            "texts that come back": sum(tokenizer.decode(ids) == text for ids, text in zip(every, SAMPLES.values(), strict=True)),
        }
    )
vocabularies = Table(
    compared,
    title="The same seven texts with other tokenizers",
    command='isinglass tokens compare "TEXT" --with smollm2,bert-base-uncased,t5,cl100k_base',
)
display(vocabularies)
answer("How does the tokenizer handle out-of-vocabulary words, numbers, and special characters?", said.unusual(rows, compared))
answer('Why might "The" and "the" tokenize differently?', said.upper_and_lower(forms, near))
answer("What happens when you tokenize the same word in different contexts?", said.contexts(in_context, lm.tokenizer.decode))
answer("How does a different tokenizer handle the same text?", said.other_tokenizers(compared))

# %% [markdown]
# ## 3. Probabilities

# %%
trace = ig.trace(lm, PROMPT)
expected = trace.next_tokens(top=10, temperatures=[0.1, 1.0, 2.0])
for part in expected.parts:
    display(part)
logits = trace["logits"][0, -1].float()
ways = normalized(logits, lambda id: lm.tokenizer.decode([id]), PROMPT, names=("softmax", "sparsemax", "l1", "argmax"))
for part in ways.parts:
    display(part)
hot = {t: (logits.double() / t).softmax(dim=-1) for t in (0.1, 1.0, 2.0)}
heat = [
    {
        "temperature": t,
        "top": float(p.max()),
        "entropy": float(-(p * p.clamp(min=1e-300).log()).sum()),
        "tokens_for_90_percent": int((p.sort(descending=True).values.cumsum(dim=0) < 0.9).sum()) + 1,
    }
    for t, p in hot.items()
]
temperatures = Table(heat, title="One prompt at three temperatures", units={"top": "ratio"}, notes=["entropy in nats"])
display(temperatures)

# %%
PROMPTS = [PROMPT, "2 + 2 =", "Once upon a time", "She opened the door and saw a"]
prompts = []
for text in PROMPTS:
    p = ig.trace(lm, text)["logits"][0, -1].double().softmax(dim=-1)
    prompts.append(
        {
            "prompt": text,
            "likeliest": lm.tokenizer.decode([int(p.argmax())]),
            "top": float(p.max()),
            "entropy": float(-(p * p.clamp(min=1e-300).log()).sum()),
        }
    )
by_prompt = Table(prompts, title="How sure the model is of what comes next", units={"top": "ratio"}, notes=["entropy in nats"])
display(by_prompt)

# %%
book = " ".join(record.text for record in itertools.islice(read("web"), 200 if quick else 400))
calibrated = calibrate_text(lm, book, n_passages=4 if quick else 8)
for part in calibrated.parts[:2]:
    display(part)
questions = read_quiz()
quiz = calibrate_quiz(lm, questions[::3] if quick else questions)
display(quiz.kinds)
top10 = [(lm.tokenizer.decode([int(id)]), float(p)) for p, id in zip(*hot[1.0].topk(10), strict=True)]
answer("Why do models use softmax, and what would happen with other normalization methods?", said.softmax(ways, logits))
answer("How does temperature affect the probability distribution?", said.temperature(heat, top10))
answer(
    "What is the relationship between the model's confidence and the correctness of predictions?",
    said.confidence(calibrated.data["before"], quiz.data["known"]),
)

# %% [markdown]
# ## 4. Generation

# %%
lengths = [32, 64, 128] if quick else [32, 64, 128, 256, 512]
cached = list(studying(lm, lengths, seed=seed))
for part in (*cache_tables(cached), *cache_figures(cached)):
    display(part)
answer("Why does caching provide such dramatic speedup? What is being cached and why?", reflected.caching(cached, lm.config))
answer("How does the computational complexity of attention scale with sequence length?", reflected.complexity(cached, lm.config))
answer("What are the memory trade-offs between caching and recomputation?", reflected.memory(cached, lm.config))

# %%
STRATEGIES = ["greedy", "sample(top_k=40)", "sample(top_p=0.9)"]
written = strategy_tables(
    list(comparing(lm, "Once upon a time", STRATEGIES, n_samples=3, max_tokens=24 if quick else 48, seed=seed)), "Once upon a time"
)
for part in written:
    display(part)
answer("How do different sampling methods affect output diversity and quality?", reflected.sampling(written[0].rows))

# %% [markdown]
# ## 5. Behaviour and limits

# %%
FACT = "The capital of France is Paris."
artefacts = tokenizations(lm, FACT, seed=seed)
display(artefacts.table)
seen = lens(trace, token=" Paris")
display(seen.figure)
kinds = {row["kind"]: row for row in quiz.kinds.rows}
answer("How does the model handle uncertainty in ambiguous or trick questions?", reflected.uncertainty(kinds))
answer("How might unusual tokenization affect model performance?", reflected.artefacts(artefacts.table.rows))
answer(
    'Does the model "understand" language, or is it sophisticated pattern matching?', reflected.understanding(kinds, artefacts.table.rows)
)
answer("How do the model's internal representations relate to human understanding of language?", reflected.representations(seen.table.rows))
answer("What are the implications of the next-token prediction objective?", reflected.objective(kinds, calibrated.data["before"]))

# %% [markdown]
# ## Extensions: attention, layers, another model

# %%
view = attention(ig.trace(lm, "The cat did not cross the road because it was too tired."), layer=11, head=6)
display(view.picture)
display(view.of_layer)

# %%
grown = norms(trace)
alike = similarity(trace)
for part in (*grown.parts[:1], *alike.parts[:1]):
    display(part)

# %%
minilm = ig.load("minilm")
beside = compare(lm, minilm, FACT, names=(model, "minilm"))
display(beside.summary)
for figure in beside.similarity[:1]:
    display(figure)
sinks = [
    float(ig.trace(one, FACT)[f"layers.{layer}.attention.weights"][0, :, :, 0].mean())
    for one, layer in ((lm, lm.config.n_layers // 2), (minilm, minilm.config.n_layers // 2))
]
answer("What do attention, layers and another model show? (extensions)", reflected.extensions(view.heads.rows, grown.table.rows, sinks))

# %% [markdown]
# ## What is written

# %%
pictures = {
    "next_tokens": expected.parts[0],
    "normalizations": ways.figure,
    "cache": cache_figures(cached)[0],
    "lens": seen.figure,
    "attention": view.picture,
}
for name, figure in pictures.items():
    figure.save(f"figures/{name}.png")
text = [part for question, paragraphs in answers.items() for part in (Heading(question, 3), "\n\n".join(paragraphs))]
Document(
    "Inside a language model, token by token",
    [
        origin("internals", f"model {model}, seed {seed}"),
        "`internals.ipynb` is the executed notebook: all experiments with their outputs, and these answers where they belong. `figures/` "
        "holds the "
        "main pictures. Run it again: `isinglass study internals --out FOLDER`; another model: `--model`.",
        Heading("The critical questions"),
        *text,
        Heading("Main tables"),
        cuts,
        vocabularies,
        temperatures,
        by_prompt,
        quiz.kinds,
        *cache_tables(cached)[:1],
        written[0],
    ],
).save("README.md")
