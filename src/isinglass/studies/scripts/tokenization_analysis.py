"""Compare how GPT-4, BERT and T5 cut a text into tokens, and what the tokens would cost.

    python tokenization_analysis.py "GPT-4 costs $30 per million tokens"
    python tokenization_analysis.py                     # the seven samples below
    python tokenization_analysis.py --out results       # results.csv and results.md as well

It needs the package isinglass and its assets (isinglass assets get --default), nothing from the network.
"""

import argparse
from decimal import Decimal
from pathlib import Path

import isinglass as ig
from isinglass.show.table import Table

TOKENIZERS = {"GPT-4": "cl100k_base", "BERT": "bert-base-uncased", "T5": "t5"}  # byte-level BPE, WordPiece, SentencePiece (Unigram)
MODELS = {"GPT-4o": "gpt-4o", "Groq": "groq/llama-70b"}
DAY = "2025-03-01"  # both models were sold on that day

SAMPLES = {
    "English": "The lighthouse keeper wrote a letter every evening, although nobody had answered for years.",
    "Numbers": "On 2025-03-14 at 15:09:26 the meter read 1,234,567.89 kWh, 3.5% more than the 1192821.63 of 2024.",
    "Code": "def mean(values: list[float]) -> float:\n    return sum(values) / len(values) if values else 0.0",
    "Special characters": "E-mail: anna+test@example.org #42 (50% off!) -> https://example.org/a?b=1&c=2 <<~^_^~>>",
    "German": "Die Donaudampfschifffahrtsgesellschaft verschob die Überfahrt wegen außergewöhnlich dichten Nebels.",
    "Chinese": "灯塔看守人每天晚上都写一封信，虽然多年没有人回信。",
    "Emoji": "Great work! 🎉🚀 The family 👨‍👩‍👧‍👦 says thank you 🙏🏽",
}


def usd_per_token(model: str) -> Decimal:
    """What one token of input costs: a million requests of one token each, divided by a million."""
    return ig.price(models=[model], requests=1_000_000, tokens_in=1, tokens_out=0, on=DAY).total(model) / 1_000_000


def analyse(name: str, text: str) -> list[dict]:
    """One row for each tokenizer: how many tokens, which, how much text each holds, and what they cost as input."""
    rows = []
    for label, vocabulary in TOKENIZERS.items():
        tokenizer = ig.tokenizer(vocabulary)
        ids = tokenizer.encode(text)
        rows.append(
            {
                "sample": name,
                "tokenizer": label,
                "tokens": len(ids),
                "characters per token": len(text) / max(len(ids), 1),
                "unknown": sum(id in tokenizer.algorithm.unknown_ids for id in ids),
                "text comes back": "yes" if tokenizer.decode(ids) == text else "no",
                **{f"USD, {model}": float(usd_per_token(named) * len(ids)) for model, named in MODELS.items()},
                "pieces": " ".join(tokenizer.piece(id) for id in ids),
            }
        )
    return rows


def analyse_all(samples: dict[str, str] = SAMPLES) -> Table:
    """The rows of every sample in one table."""
    rows = [row for name, text in samples.items() for row in analyse(name, text)]
    notes = [f"cost of the tokens as input at the prices of {DAY}; each count is priced with both models, whatever they cut texts with"]
    return Table(rows, title="Three tokenizers", notes=notes)


def main() -> None:
    """Read the command line, print the table, and write it where --out says."""
    parser = argparse.ArgumentParser(description="Compare how GPT-4, BERT and T5 cut a text into tokens, and what the tokens would cost.")
    parser.add_argument("text", nargs="*", help="texts to compare; without any, seven samples")
    parser.add_argument("--out", type=Path, help="a folder for results.csv and results.md")
    given = parser.parse_args()
    samples = {f"text {number}": text for number, text in enumerate(given.text, start=1)} or SAMPLES
    table = analyse_all(samples)
    for row in table.rows:
        print(f"{row['sample']}, {row['tokenizer']}: {row['tokens']} tokens, {row['characters per token']:.2f} characters each")
        print(f"  {row['pieces']}")
        print("  " + ", ".join(f"{name}: ${row[f'USD, {name}']:.8f}" for name in MODELS))
    if given.out:
        for suffix in ("csv", "md"):
            print("written:", table.save(given.out / f"results.{suffix}"))


if __name__ == "__main__":
    main()
