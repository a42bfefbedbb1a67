"""`isinglass task`: from a text to an answer, over any model; the parts of the verb stand in files of their own."""

from __future__ import annotations

import shlex
from typing import Annotated

from cyclopts import Parameter

from isinglass.cli.verb import verb

EXAMPLES = (
    'isinglass task classify "The goalkeeper saved a penalty." --labels sports,food,weather',
    'isinglass task answer "How old is the bridge?" "The bridge was built in 1901. It is 123 years old."',
    "isinglass task summarize --file report.txt --sentences 2",
    'isinglass task complete "The capital of France is"',
    'isinglass task fill-mask "The king sat on his [MASK]." --model runs/fill',
    'isinglass task translate "Whither goest thou?" --model runs/translate',
    "isinglass task evaluate",
)
app = verb("task", EXAMPLES, notes=["Some tasks need a model that a recipe in examples/ trains in minutes; the error names it."])
app.command("isinglass.cli.task_classify:app", name="classify", help="Sentiment, topic, or any labels: trained, or by their names alone.")
app.command("isinglass.cli.task_fill_mask:app", name="fill-mask", help="What stands in the gaps of a text.")
app.command("isinglass.cli.task_answer:app", name="answer", help="The words of a passage that answer a question.")
app.command("isinglass.cli.task_summarize:app", name="summarize", help="A long text in a few sentences.")
app.command("isinglass.cli.task_translate:app", name="translate", help="A text in other words: an encoder-decoder's.")
app.command("isinglass.cli.task_complete:app", name="complete", help="Several ways in which a text goes on.")
app.command("isinglass.cli.task_evaluate:app", name="evaluate", help="How good each task is, beside a baseline.")

Texts = Annotated[str, Parameter(help="Texts, each in quotes.")]


def typed(*words: str, **options: object) -> str:
    """The command that was given, as it would be typed again; options that are None are left out."""
    named = [part for name, value in options.items() if value is not None for part in (f"--{name.replace('_', '-')}", str(value))]
    return shlex.join(["isinglass", "task", *words, *named])
