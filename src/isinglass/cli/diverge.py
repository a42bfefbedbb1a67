"""`isinglass diverge`: the first place where two models differ."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.texts import Text, read_text
from isinglass.cli.verb import at_least, option, verb
from isinglass.core.errors import ConfigError

EXAMPLES = (
    'isinglass diverge smollm2 ./my_finetuned_folder "The capital of France is"',
    'isinglass diverge ./gpt2_folder ./my_gpt.py:GPTModel "Every effort moves you" --tolerance 1e-4',
    'isinglass diverge ./gpt2_folder my_module:MyGPT "Hello" --map map.toml --save where.html',
)
app = verb(
    "diverge",
    EXAMPLES,
    notes=[
        "A class of yours is imported, and so executed, with your rights: give only files you trust. Our weights are copied into it,",
        'unless --weights own. A map is a TOML file: [taps] and lines such as "blocks.{}.attn" = "layers.{}.attention.out".',
    ],
)
_EITHER = Parameter(help="An asset, a folder, a checkpoint or a .gguf file; or one's own MODULE:CLASS or ./my.py:MyGPT.")


@app.default
def diverge(
    a: Annotated[str, _EITHER],
    b: Annotated[str, _EITHER],
    text: Text,
    /,
    *,
    map_: Annotated[Path | None, option("TOML file: which module of your class is which tap.", "--map")] = None,
    args: Annotated[str, option("Arguments of your constructor: NAME=VALUE,...")] = "",
    weights: Annotated[Literal["copied", "own"], option("copied: your class gets our weights first; own: it keeps its own.")] = "copied",
    target: Annotated[str | None, option("What encoder-decoders have written so far.")] = None,
    tolerance: Annotated[float, option("Differences up to this are rounding.", validator=at_least(0))] = 1e-5,
    scores: Annotated[bool, option("Compare attention scores and weights too, by the reference kernel.")] = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """The first place (tap) where two models differ, and by how much, as table and picture."""
    prompt = read_text(text)
    with output.working(f"comparing {a} and {b}"):
        from isinglass.generation.lm import load
        from isinglass.inspection import diverge as comparing
        from isinglass.inspection.student import is_student, parse_arguments

        command = f"isinglass diverge {shlex.quote(a)} {shlex.quote(b)} {shlex.quote(prompt)} --tolerance {tolerance:g}"
        students = [name for name in (a, b) if is_student(name)]
        if len(students) == 2:
            raise ConfigError(f"{a} and {b} are both classes of yours, expected one of our models beside it")
        if not students:
            for name, given in (("--map", map_), ("--args", args)):
                if given:
                    raise ConfigError(f"{name} was given, but neither {a} nor {b} is a class of yours", hint="for example ./my.py:MyGPT")
            found = comparing.diverge(
                load(a), load(b), prompt, target=target, tolerance=tolerance, scores=scores, names=(a, b), command=command
            )
        else:
            ours = next(name for name in (a, b) if name not in students)
            found = comparing.diverge_from_student(
                load(ours), students[0], prompt, map_file=map_, arguments=parse_arguments(args), weights=weights, tolerance=tolerance,
                names=(ours, students[0]), command=command,
            )  # fmt: skip
    output.emit(Result.of(found))
