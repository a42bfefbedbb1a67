"""`isinglass verify class`: a class of one's own, checked against ours."""

from __future__ import annotations

import shlex
from typing import Annotated

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import option, verb

EXAMPLES = (
    "isinglass verify class ./my_attention.py:MyAttention",
    'isinglass verify class my_module:MyBlock --as block --args "d_model=32,n_heads=4"',
    "isinglass verify class ./my_gpt.py:GPTModel --save checks.html",
)
app = verb(
    "class",
    EXAMPLES,
    notes=["Your file is imported, and so executed, with your rights: give only files you trust. Exit code 1 when a check failed."],
)


@app.default
def verify_class(
    name: Annotated[str, Parameter(help="MODULE:CLASS, or a file: ./my.py:MyAttention. A function does for GELU.")],
    /,
    *,
    as_: Annotated[str | None, option("attention, layer_norm, gelu, block or gpt; without it, guessed.", "--as")] = None,
    args: Annotated[str, option("Arguments of the constructor: NAME=VALUE,... (usual names are found by themselves).")] = "",
    output: Output = Output(),  # noqa: B008 - frozen
) -> int:
    """Your attention, LayerNorm, GELU, block or GPT beside ours: shapes, values with the same weights, causality, and what is wrong."""
    with output.working(f"checking {name}"):
        from isinglass.inspection.student import parse_arguments
        from isinglass.inspection.verify_class import verify_class as verify

        given = parse_arguments(args)
        options = [*(["--as", as_] if as_ else []), *(["--args", shlex.quote(args)] if args else [])]
        found = verify(name, kind=as_, arguments=given, command=" ".join(["isinglass verify class", shlex.quote(name), *options]))
    output.emit(Result.of(found))
    return 0 if found.passed else 1
