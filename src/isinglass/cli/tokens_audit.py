"""`isinglass tokens audit`: one question for each part; without a part, all that need no text and no model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.texts import File, OptionalText, one_text
from isinglass.cli.tokens_compare import COMPARED, With, load_all
from isinglass.cli.verb import at_least, option, verb
from isinglass.core.errors import CheckpointError
from isinglass.text.audit.report import Audit
from isinglass.text.samples import SAMPLES
from isinglass.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import nn

EXAMPLES = (
    "isinglass tokens audit --with gpt2,t5",
    "isinglass tokens audit languages --with gpt2,o200k_base",
    "isinglass tokens audit glitches --with bert-base-uncased",
    "isinglass tokens audit glitches --model smollm2 --most 20",
    "isinglass tokens audit frequencies --file README.md --with gpt2",
)
app = verb("audit", EXAMPLES, notes=["frequencies and sizes look at a text: give a long one. Without it they take the built-in set."])
Ask = Callable[[list[Tokenizer]], Audit]
_NO_OUTPUT = Output()


def _run(names: tuple[str, ...], ask: Ask, output: Output) -> None:
    with output.working("asking"):
        found = ask(load_all(names))
    _emit(found.to_dict(), [found], output)


def _emit(data: object, found: list[Audit], output: Output) -> None:
    for one in found:
        output.say(f"{one.question} {one.finding}")
    output.emit(Result(data, parts=[part for one in found for part in (*one.tables, *one.figures)]))


@app.default
def everything(*, tokenizers: With = COMPARED, output: Output = _NO_OUTPUT) -> None:
    """Numbers, code, case and languages, one after the other."""
    from isinglass.text.audit import case, code, languages, numbers

    asks: dict[str, Ask] = {"numbers": numbers.audit, "code": code.audit, "case": case.audit, "languages": languages.audit}
    with output.working("asking"):
        loaded = load_all(tokenizers)
        found = {name: ask(loaded) for name, ask in asks.items()}
    _emit({name: one.to_dict() for name, one in found.items()}, list(found.values()), output)


@app.command(name="numbers")
def numbers_(*, tokenizers: With = COMPARED, output: Output = _NO_OUTPUT) -> None:
    """How digits split."""
    from isinglass.text.audit.numbers import audit

    _run(tokenizers, audit, output)


@app.command(name="code")
def code_(*, tokenizers: With = COMPARED, output: Output = _NO_OUTPUT) -> None:
    """What indentation costs, and whether code comes back."""
    from isinglass.text.audit.code import audit

    _run(tokenizers, audit, output)


@app.command(name="case")
def case_(
    *,
    words: Annotated[tuple[str, ...], option("Words to write in every form.", consume_multiple=True)] = (),
    tokenizers: With = COMPARED,
    output: Output = _NO_OUTPUT,
) -> None:
    """Whether "The", "the" and " the" are one token or several."""
    from isinglass.text.audit.case import WORDS, audit

    _run(tokenizers, lambda loaded: audit(loaded, words=words or WORDS), output)


@app.command(name="languages")
def languages_(*, tokenizers: With = COMPARED, output: Output = _NO_OUTPUT) -> None:
    """What the same notice costs in fourteen languages, and what is lost of it."""
    from isinglass.text.audit.languages import audit

    _run(tokenizers, audit, output)


@app.command(name="glitches")
def glitches_(
    *,
    model: Annotated[str | None, option("Look at the embeddings of this model, with its own tokenizer, as well.")] = None,
    most: Annotated[int, option("How many tokens to list.", validator=at_least(1))] = 30,
    tokenizers: With = COMPARED,
    output: Output = _NO_OUTPUT,
) -> None:
    """Tokens that no text gives; with --model, those with unusually small embeddings."""
    from isinglass.text.audit.glitches import audit, audit_embeddings

    if model is None:
        _run(tokenizers, lambda loaded: audit(loaded, most=most), output)
        return
    from isinglass.generation.lm import load

    with output.working("reading the model"):
        lm = load(model)
        norms = embedding_norms(lm.model)
        found = {"vocabulary": audit([lm.tokenizer], most=most), "embeddings": audit_embeddings(lm.tokenizer, norms, most=most)}
    _emit({name: one.to_dict() for name, one in found.items()}, [found["embeddings"], found["vocabulary"]], output)


@app.command(name="frequencies")
def frequencies_(text: OptionalText = None, /, *, file: File = None, tokenizers: With = COMPARED, output: Output = _NO_OUTPUT) -> None:
    """How often each token of a text occurs, with a fit of Zipf's law."""
    from isinglass.text.audit.frequencies import audit

    whole = _text(text, file)
    _run(tokenizers, lambda loaded: audit(loaded, whole), output)


@app.command(name="sizes")
def sizes_(text: OptionalText = None, /, *, file: File = None, tokenizers: With = COMPARED, output: Output = _NO_OUTPUT) -> None:
    """The size of a vocabulary of characters, of subwords and of words, against the length of the text."""
    from isinglass.text.audit.sizes import audit

    whole = _text(text, file)
    _run(tokenizers, lambda loaded: audit(loaded, whole), output)


def embedding_norms(model: nn.Module) -> list[float]:
    """The length of each token's embedding. Raises CheckpointError for a model that has none."""
    for name, weight in model.named_parameters():
        if name.endswith("embed_tokens.weight"):
            return weight.detach().float().norm(dim=1).tolist()
    raise CheckpointError(f"a {type(model).__name__} has no embed_tokens.weight to look at")


def _text(text: str | None, file: Path | None) -> str:
    return "\n".join(SAMPLES.values()) if text is None and file is None else one_text(text, file)
