"""An adapter alone in a file: its parameters as safetensors, its expression beside them; thousandths of the model's size."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from isinglass.core.errors import CheckpointError
from isinglass.core.files import atomic
from isinglass.models.adapted import adapt, adapter_names, adapter_of
from isinglass.models.checkpoint import check_weights
from isinglass.models.transformer import Model

M = TypeVar("M", bound=Model)


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """The adapter's parameters by name; empty for a model without one."""
    names = adapter_names(model)
    return {name: weight.detach() for name, weight in model.named_parameters() if name in names}


def save_adapter(model: nn.Module, file: Path) -> None:
    """Write the adapter to one `.safetensors` file. CheckpointError for a model that has none."""
    adapter = adapter_of(model)
    if adapter is None:
        raise CheckpointError("the model has no adapter to save", hint="adapt(model, 'lora(rank=8)') gives it one")
    tensors = {name: weight.contiguous() for name, weight in adapter_state(model).items()}
    with atomic(file) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt", "adapter": adapter.expression})


def load_adapter(model: M, file: Path) -> M:
    """`model` adapted as the file says, with its parameters; as for `adapt`, the weights are shared.

    Raises CheckpointError for a file that cannot be read, holds no adapter, or holds one of another model; the latter names the tensors
    that do not fit with both shapes.
    """
    expression, tensors = _read(file)
    adapted = adapt(model, expression)
    put_adapter(adapted, tensors, source=str(file))
    return adapted


def put_adapter(adapted: nn.Module, tensors: dict[str, Tensor], *, source: str) -> None:
    """Put saved parameters into a model that has the adapter. CheckpointError as for `load_adapter`; then nothing has changed."""
    own = adapter_state(adapted)
    check_weights({name: weight.shape for name, weight in own.items()}, {name: t.shape for name, t in tensors.items()}, source)
    for name, weight in own.items():
        weight.copy_(tensors[name])


def _read(file: Path) -> tuple[str, dict[str, Tensor]]:
    if not file.is_file():
        raise CheckpointError(f"no file {str(file)!r}")
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as fault:
        raise CheckpointError(f"cannot read {str(file)!r}: {fault}", hint="the file is damaged or cut short: save it again") from None
    if "adapter" not in metadata:
        raise CheckpointError(f"{str(file)!r} holds no adapter", hint="save one with save_adapter(model, file)")
    return metadata["adapter"], tensors
