"""`isinglass VERB ...`: finds the verb, runs it, and turns every error into lines a person can act on.

Exit codes: 0 done, 1 the work failed, 2 wrong usage, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cyclopts import App, CycloptsError

import isinglass
from isinglass.cli.verb import examples_text
from isinglass.core.errors import ConfigError, IsinglassError

# In the order of use. `cli/NAME.py` holds `app`, made by `verb(NAME, EXAMPLES)`, and is imported only when it is used.
VERBS = {
    "tour": "One real model, end to end: a story here and a report to open.",
    "tokens": "Cut a text into tokens, with one vocabulary or several.",
    "predict": "What a model expects next, at several temperatures.",
    "generate": "Continue a prompt.",
    "chat": "Talk with a model.",
    "inspect": "Look inside: architecture, attention, heads, layers, patching, calibration.",
    "lab": "The web lab: look inside a model in the browser.",
    "train": "Train a model as a recipe says: pretraining, fine-tuning, alignment.",
    "data": "Look at a corpus, and prepare one for training.",
    "model": "What a model is made of: its tree, its parameters, its costs.",
    "assets": "Vocabularies, weights and texts: what is here, and fetching the rest.",
    "export": "Write a model to a folder that others can read.",
    "eject": "A model as one readable Python file that needs torch alone.",
    "explain": "What each part is, why it is, and what it costs.",
    "walk": "A forward pass as the source lines that ran, beside the live shapes and values.",
    "diverge": "The first place where two models differ, and by how much.",
    "bench": "Measure speed.",
    "rag": "Ask your documents: an index, answers with their sources.",
    "embed": "Texts and words as vectors: maps, groups, senses, likeness.",
    "task": "Classify, fill gaps, answer, summarise, translate, complete.",
    "price": "What requests cost with each model, and what a text costs.",
    "study": "An assignment of the book, carried out: a notebook, figures, and what was found.",
    "verify": "What the class notes claim, beside what is true.",
    "doctor": "Check this machine: packages, processor, memory, assets.",
}
EXAMPLES = (
    "isinglass tour",
    'isinglass predict smollm2 "The capital of France is" --top 10 --temperatures 0.1,1,2',
    'isinglass tokens compare "GPT-4 costs $10/M tokens" --with cl100k_base,bert-base-uncased,t5',
    "isinglass explain sliding_window",
)


def build_app() -> App:
    """The parser with every verb registered by its import path."""
    app = App(
        name="isinglass",
        help="A language-model stack you can see through.",
        help_epilogue=f"{examples_text(EXAMPLES)}\n\nEvery verb: isinglass VERB --help",
        help_format="plaintext",
        version=f"isinglass {isinglass.__version__}",
        suppress_keyboard_interrupt=False,
    )
    for place, (name, line) in enumerate(VERBS.items()):
        app.command(f"isinglass.cli.{name}:app", name=name, help=line, sort_key=place)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (None: of this process); returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # no character may stop the output
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        with _log_level(logging.ERROR if "--quiet" in given else logging.WARNING):
            code = _run(given)
        sys.stdout.flush()
        return code
    except IsinglassError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader has what it wanted (| head); Python must not complain when it closes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


@contextmanager
def _log_level(level: int) -> Iterator[None]:
    """What the package logs along the way (that it builds something for 10 s) goes to stderr as Python does it, from this level on."""
    log = logging.getLogger("isinglass")
    before = log.level
    log.setLevel(level)
    try:
        yield
    finally:
        log.setLevel(before)


def _run(arguments: list[str]) -> int:
    try:
        code = build_app()(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as fault:
        from isinglass.cli.usage import usage_error

        raise usage_error(fault, list(VERBS)) from None
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
