"""`isinglass tokens`: a text as the tokens of one vocabulary or of several; and the parts of the verb, each in a file of its own."""

from __future__ import annotations

from isinglass.cli.output import Output
from isinglass.cli.texts import File, OptionalText, one_text
from isinglass.cli.tokens_compare import EXAMPLES as COMPARING
from isinglass.cli.tokens_compare import SpecialOption, With, show_cuts
from isinglass.cli.verb import verb

EXAMPLES = (
    'isinglass tokens "Hello, world!"',
    'isinglass tokens "naïve 🙂" --with bert-base-uncased --json',
    "isinglass tokens --file README.md --with gpt2,o200k_base",
    "isinglass tokens show cl100k_base",
    *COMPARING[:2],
    'isinglass tokens explain "unhappiness" --with gpt2',
    "isinglass tokens audit languages --with gpt2,o200k_base",
)
app = verb("tokens", EXAMPLES, notes=["--with takes names (isinglass assets list) and vocabulary files or folders. - as TEXT reads stdin."])
# imported only when they are used
app.command("isinglass.cli.tokens_show:app", name="show", help="What a tokenizer is made of.")
app.command("isinglass.cli.tokens_compare:app", name="compare", help="Texts through several vocabularies, beside each other.")
app.command("isinglass.cli.tokens_explain:app", name="explain", help="Why a text is cut as it is, step by step.")
app.command("isinglass.cli.tokens_audit:app", name="audit", help="Questions a vocabulary should be asked before it is used.")
app.command("isinglass.cli.tokens_train:app", name="train", help="Learn a tokenizer from text files.")


@app.default
def tokens(
    text: OptionalText = None,
    /,
    *,
    tokenizers: With = ("gpt2",),
    file: File = None,
    special: SpecialOption = "text",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Cut a text into tokens, with one vocabulary or several."""
    show_cuts(one_text(text, file), tokenizers, special, output)
