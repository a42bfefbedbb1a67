# %% [markdown]
# # Three tokenizers on the same texts
#
# GPT-4 cuts texts with byte-level BPE, BERT with WordPiece, T5 with SentencePiece. What does each make of plain English, numbers, code,
# special characters, and of other scripts, and what does that cost?
#
# Beside this notebook: `tokenization_analysis.py`, which does it all and runs by itself, `results.csv`, `results.md`, `analysis.pdf` and
# `README.md`.

# %%
import runpy
import subprocess
import sys
from pathlib import Path

from IPython.display import display

import isinglass.studies
from isinglass.report.document import Document, Heading
from isinglass.show.marks.bars import bars
from isinglass.show.table import Table
from isinglass.studies.prose import in_words, origin, sections, words

# %% tags=["parameters"]
quick = False  # the cells take seconds as they are
data = ""  # texts of your own, one on each line of a file
seed = 0

# %% [markdown]
# ## The script
#
# It stands beside this notebook and is run here as anybody would run it.

# %%
script = Path("tokenization_analysis.py")
source = Path(isinglass.studies.__path__[0]) / "scripts" / script.name
script.write_text(source.read_text("utf-8"), "utf-8")
print(script.read_text("utf-8"))

# %%
texts = [line for line in Path(data).read_text("utf-8").splitlines() if line.strip()] if data else []
ran = subprocess.run([sys.executable, script, "--out", ".", *texts], capture_output=True, text=True, check=True)
print(ran.stdout)

# %% [markdown]
# ## The results

# %%
analysis = runpy.run_path(str(script))
samples = {f"text {number}": text for number, text in enumerate(texts, start=1)} or analysis["SAMPLES"]
results = analysis["analyse_all"](samples)
columns = [name for name in results.columns if name != "pieces"]
shown = Table(
    [{name: row[name] for name in columns} for row in results.rows], title="Three tokenizers on the same texts", notes=results.notes
)
display(shown)

# %%
counts = {(row["sample"], row["tokenizer"]): row["tokens"] for row in results.rows}
labels = list(analysis["TOKENIZERS"])
figure = bars(
    list(samples),
    {label: [counts[name, label] for name in samples] for label in labels},
    title="Tokens of each text",
    axis="tokens",
    command="python tokenization_analysis.py",
)
display(figure)

# %% [markdown]
# ## What is seen in them

# %%
per_text = {name: {row["tokenizer"]: row for row in results.rows if row["sample"] == name} for name in samples}
lost = {label: [name for name in samples if per_text[name][label]["unknown"]] for label in labels}
back = {label: [name for name in samples if per_text[name][label]["text comes back"] == "yes"] for label in labels}
density = {label: sum(map(len, samples.values())) / sum(counts[name, label] for name in samples) for label in labels}


def how_much_text() -> str:
    """Which tokenizer needs fewest tokens where nothing is lost, and what a token holds."""
    whole = [name for name in samples if not any(per_text[name][label]["unknown"] for label in labels)]
    fewest = {name: min(labels, key=lambda label: counts[name, label]) for name in whole}
    won = {label: [name for name in whole if fewest[name] == label] for label in labels}
    told = [f"{label} for {in_words(won[label])}" for label in labels if won[label]]
    ends = sorted((row["characters per token"], row["sample"]) for row in results.rows if row["tokenizer"] == "GPT-4")
    said = f"On texts that all three can write down, fewest tokens are needed by {'; '.join(told)}. " if told else ""
    return said + (
        f"What a token holds depends on the text more than on the tokenizer: with GPT-4's vocabulary {ends[-1][0]:.1f} characters in "
        f"{ends[-1][1]}, {ends[0][0]:.1f} in {ends[0][1]}. So the rule of four characters for a token is a rule for English prose."
    )


def what_is_lost() -> str:
    """Unknown tokens make counts small, and texts unreadable."""
    losing = [label for label in labels if lost[label]]
    if not losing:
        return "Nothing became an unknown token here, so the counts can be compared as they are."
    worst = min(((counts[name, label], name, label) for label in losing for name in lost[label]), default=None)
    keeps = [label for label in labels if label not in losing]
    told = [f"{label} in {in_words(lost[label])}" for label in losing]
    return (
        "A small count may mean that text was thrown away: unknown tokens stand for what a vocabulary does not have, with "
        f"{'; '.join(told)}. "
        f"The {worst[0]} tokens of {worst[2]} for {worst[1]} are a loss, not a saving. "
        + (f"Nothing is lost with {in_words(keeps)}: bytes are always in its vocabulary. " if keeps else "")
        + f"The exact text comes back in {in_words([f'{len(back[label])} of {len(samples)} cases with {label}' for label in labels])}; "
        "BERT lower-cases and splits, so it was never meant to."
    )


def what_it_costs() -> str:
    """Money follows the tokens; the price per token matters more."""
    dearest = max(samples, key=lambda name: counts[name, "GPT-4"] / len(samples[name]))
    cheapest = min(samples, key=lambda name: counts[name, "GPT-4"] / len(samples[name]))
    ratio = (counts[dearest, "GPT-4"] / len(samples[dearest])) / (counts[cheapest, "GPT-4"] / len(samples[cheapest]))
    rates = {name: float(analysis["usd_per_token"](model)) for name, model in analysis["MODELS"].items()}
    apart = rates["GPT-4o"] / rates["Groq"]
    if len(samples) == 1:
        return f"A token costs {apart:.1f} times as much with GPT-4o as with Groq."
    larger = "more than the choice of model" if ratio > apart else "less than the choice of model"
    return (
        f"Money follows tokens: with GPT-4's vocabulary a character of {dearest} costs {ratio:.1f} times as much as one of {cheapest}. A "
        f"token costs {apart:.1f} times as much with GPT-4o as with Groq. So what is written, and in which script, can move the bill "
        f"{larger}; both are worth a look before prompts are shortened word by word."
    )


answers = {"How much text a token holds": how_much_text(), "What is lost": what_is_lost(), "What it costs": what_it_costs()}
text = sections(answers)
print(f"{words(text)} words")

# %% [markdown]
# ## What is written

# %%
made = origin("tokenization", f"prices of {analysis['DAY']}")
Document("Three tokenizers on the same texts", [*text, figure, shown, made]).save("analysis.pdf")
Document(
    "Three tokenizers on the same texts",
    [
        made,
        '`tokenization_analysis.py` compares texts and runs by itself: `python tokenization_analysis.py "a text"`. `results.csv` and '
        "`results.md` hold its rows with every token, `analysis.pdf` what they say. Run it all again: `isinglass study tokenization --out "
        "FOLDER`; with texts of your own: `--data texts.txt`.",
        *text,
        Heading("The results"),
        figure,
        shown,
    ],
).save("README.md")
