"""`isinglass export`: a model as a folder, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Dtype, Model, option, verb
from isinglass.core.errors import IsinglassError
from isinglass.show.table import Table

EXAMPLES = (
    "isinglass export smollm2 out/smollm2",
    "isinglass export smollm2 out/smollm2-bf16 --dtype bfloat16",
    "isinglass export out/smollm2 out/ours --format isinglass --overwrite",
)
app = verb(
    "export", EXAMPLES, notes=["huggingface is what transformers, vLLM and others read; isinglass keeps settings they cannot express."]
)

# what an export writes, and what would make a reader take old weights for new ones
_OURS = (
    "config.toml",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "card.md",
)


@app.default
def export(
    model: Model,
    folder: Annotated[Path, Parameter(help="Where to; must not exist or be empty.")],
    /,
    *,
    format: Annotated[Literal["huggingface", "isinglass"], option("The form of the folder.")] = "huggingface",
    dtype: Dtype = "float32",
    overwrite: Annotated[bool, option("Replace a model that is in the folder; other files stay.")] = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Write a model to a folder that others can read."""
    check_target(folder, overwrite=overwrite)
    with output.working(f"loading {model}"):
        from isinglass.generation import lm as models

        lm = models.load(model, dtype=dtype)
    with output.working(f"writing {folder}"), whole_folder(folder) as temporary:
        models.export(lm, temporary, format=format)
    rows = [{"file": path.name, "bytes": path.stat().st_size} for path in sorted(folder.iterdir()) if path.name in _OURS]
    table = Table(rows, title=f"{model} as {format} in {folder}")
    output.emit(Result({"folder": str(folder), "format": format, "dtype": dtype, "files": rows}, parts=[table]))


def check_target(folder: Path, *, overwrite: bool) -> None:
    """IsinglassError when the folder is a file, or holds something and may not be written over."""
    if folder.exists() and not folder.is_dir():
        raise IsinglassError(f"{str(folder)!r} is a file, expected a folder")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise IsinglassError(f"the folder {str(folder)!r} is not empty", hint="name another folder, or add --overwrite")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`; on success its files take their places there, on any error nothing changes."""
    temporary = folder.absolute().with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        folder.mkdir(exist_ok=True)
        written = {path.name for path in temporary.iterdir()}
        for name in written:
            (temporary / name).replace(folder / name)
        for stale in set(_OURS) - written:
            (folder / stale).unlink(missing_ok=True)
    except OSError as fault:
        raise IsinglassError(f"cannot write the folder {str(folder)!r}: {fault.strerror or fault}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
