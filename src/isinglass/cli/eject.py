"""`isinglass eject`: a model as one readable Python file that needs torch alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from isinglass.cli.output import Output
from isinglass.cli.verb import option, verb
from isinglass.core.errors import ConfigError, IsinglassError, unknown

if TYPE_CHECKING:
    from isinglass.models.config import ModelConfig

EXAMPLES = (
    "isinglass eject smollm2 --save model.py",
    'isinglass eject "gpt2(n_layers=4, d_model=128, n_heads=4)"',
    "isinglass eject examples/pretrain.toml --set 'model.attention.position=\"alibi\"'",
)
app = verb(
    "eject",
    EXAMPLES,
    notes=[
        "The file holds what this one model uses, made from the source of isinglass: same parameter names, same logits.",
        "python model.py runs it; isinglass export MODEL FOLDER --format isinglass writes weights that its load() reads.",
    ],
)
_GROUP = Group("Output", sort_key=9)


@app.default
def eject(
    model: Annotated[str, Parameter(help='An asset, a folder, a .gguf file, a recipe (.toml), or a preset such as "llama(n_layers=4)".')],
    /,
    *,
    set: Annotated[tuple[str, ...], option("Replace a setting of the recipe: key.of.setting=value. May be repeated.")] = (),
    json: Annotated[bool, option("Print the file and its settings as JSON, and nothing else, on stdout.", group=_GROUP)] = False,
    save: Annotated[Path | None, option("Write the file here, in one step, in place of printing it: model.py.", group=_GROUP)] = None,
    quiet: Annotated[bool, option("Say nothing on stderr unless something fails.", group=_GROUP)] = False,
) -> None:
    """Write a model as one readable Python file that needs torch alone."""
    if save is not None and save.suffix.lower() != ".py":
        raise unknown("file format", save.suffix, (".py",), where=f"--save {save}")
    output = Output(json=json, quiet=quiet)
    with output.working(f"reading {model}"):
        config = _config(model, set)
    from isinglass.inspection.eject import eject as ejected

    text = ejected(config, source=" ".join([model, *(f"--set {each}" for each in set)]))
    if json:
        from isinglass.show import embed

        print(embed.to_json({"model": model, "config": config.to_dict(), "lines": text.count("\n"), "file": text}, indent=2))
    elif save is None:
        print(text, end="")
    if save is not None:
        _write(text, save)
        output.say(f"saved {save}: {text.count(chr(10))} lines")


def _config(model: str, overrides: tuple[str, ...]) -> ModelConfig:
    if model.endswith(".toml"):
        return _recipe_config(Path(model), overrides)
    if overrides:
        raise ConfigError(f"--set {overrides[0]} beside {model!r}: --set is for recipes", hint='write a preset as "llama(n_layers=4)"')
    from isinglass.cli.model import config_of

    return config_of(model)


def _recipe_config(path: Path, overrides: tuple[str, ...]) -> ModelConfig:
    """The settings of the model that a recipe trains. ConfigError names file and line."""
    from isinglass.cli.model import config_of
    from isinglass.core.config import line_of
    from isinglass.training.recipe import read_recipe

    recipe = read_recipe(path, overrides)
    if recipe.model.load is not None:
        return config_of(recipe.model.load)
    try:
        return recipe.lm().config
    except ConfigError as fault:
        line = line_of(path, ("model",))
        place = str(path) if line is None else f"{path}:{line}"
        raise type(fault)(f"{place}: {fault.message}", details=fault.details, hint=fault.hint) from None


def _write(text: str, path: Path) -> None:
    from isinglass.core.files import write_atomic

    try:
        write_atomic(path, text)
    except OSError as fault:
        raise IsinglassError(f"cannot write {str(path)!r}: {fault.strerror or fault}") from None
