"""`isinglass model`: what a model is made of, from its settings alone; no weights are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from isinglass.assets.registry import builtin_registry
from isinglass.cli.output import Output, Result
from isinglass.cli.verb import option, verb
from isinglass.core.errors import CheckpointError, ConfigError, unknown
from isinglass.show.table import Table

if TYPE_CHECKING:
    from isinglass.models.config import ModelConfig

EXAMPLES = (
    "isinglass model list",
    "isinglass model show smollm2",
    "isinglass model show \"gpt2(size='355m')\" --bytes-per-number 2",
    "isinglass model show tiny --rows 4 --tokens 64 --measure",
    "isinglass model show \"tiny(n_layers=4, mask='causal & sliding_window(16)')\" --json",
)
app = verb("model", EXAMPLES)


@app.command(name="list")
def list_(
    *,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """The families and sizes that can be built by name."""
    from isinglass.models import presets
    from isinglass.models.summary import parameters_by_part
    from isinglass.models.transformer import on_meta

    rows: list[dict[str, Any]] = []
    for name in presets.family.names():
        sizes = getattr(presets.family.module(name), "SIZES", None)
        for expression in [f"{name}(size={size!r})" for size in sizes] if sizes else [name]:
            config = presets.family.resolve(expression)
            total = sum(parameters_by_part(on_meta(config)).values())
            heads = {"heads": config.attention.n_heads, "kv_heads": config.n_kv_heads}
            rows.append(
                {"model": expression, "parameters": total, "layers": config.n_layers, "d_model": config.d_model, **heads}
                | {"context": config.context_length, "vocabulary": config.vocab_size}
            )
    columns = ["model", "parameters", "layers", "d_model", "heads", "context"]
    table = Table(rows, title="Models that can be built by name", columns=columns, units={"parameters": "count"})
    output.emit(Result(rows, parts=[table]))


@app.command
def show(
    model: Annotated[str, Parameter(help="An asset, a folder, a .gguf file, or a preset such as \"gpt2(size='355m')\".")],
    /,
    *,
    bytes_per_number: Annotated[int, option("4 for float32, 2 for bfloat16.")] = 4,
    rows: Annotated[int, option("Texts in the training step that is counted.")] = 1,
    tokens: Annotated[int | None, option("Tokens in each of them, at most the context: 128 where it is as long.")] = None,
    measure: Annotated[bool, option("Build the model in float32, run one step and put what it took beside.")] = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """The tree, the parameters by part, and what a token costs."""
    if bytes_per_number < 1:
        raise ConfigError(f"--bytes-per-number = {bytes_per_number!r}: expected at least 1")
    config = config_of(model)
    from isinglass.models.summary import step_costs, summarise

    found = summarise(config, bytes_per_number=bytes_per_number, command=f'isinglass model show "{model}"')
    with output.working("one training step"):
        time = min(128, config.context_length) if tokens is None else tokens
        step = step_costs(config, rows, time, bytes_per_number=bytes_per_number, measure=_measure(bytes_per_number) if measure else None)
    data = {
        "model": model,
        "config": config.to_dict(),
        "n_parameters": found.n_parameters,
        "parts": found.parts.rows,
        "costs": found.costs.rows,
        "step": step.rows,
        "tree": found.tree.rows,
    }
    output.emit(Result(data, parts=[found.tree, found.parts, found.figure, found.costs, step]))


def _measure(bytes_per_number: int) -> Any:
    """What measures a step; it works in float32 alone."""
    if bytes_per_number != 4:
        raise ConfigError(f"--measure beside --bytes-per-number = {bytes_per_number!r}: a step is measured in float32, 4 bytes")
    from isinglass.models.measure import measured_costs

    return measured_costs


def config_of(model: str) -> ModelConfig:
    """The settings of an asset, a folder, a GGUF file or a preset expression. Raises CheckpointError for what is none of them."""
    path = Path(model).expanduser()
    weights = {asset.name: asset for asset in builtin_registry().assets.values() if asset.kind == "weights"}
    if model in weights:
        from isinglass.assets.find import find

        if weights[model].preset:  # a file of weights alone, whose settings the registry names
            return config_of(weights[model].preset)
        path = find(model)
    if path.exists():
        from isinglass.models.checkpoint import read_config

        return read_config(path)
    from isinglass.core.variants import Call, parse
    from isinglass.models import presets

    if "/" in model or model.endswith(".gguf"):
        raise CheckpointError(f"no file or folder {model!r}", hint="isinglass model list")
    call = parse(model)
    if isinstance(call, Call) and call.name not in presets.family.names():
        raise unknown("model", call.name, [*weights, *presets.family.names()], more="isinglass model list", error=CheckpointError)
    return presets.family.resolve(call, where="model")
