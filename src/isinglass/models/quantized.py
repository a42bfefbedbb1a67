"""The products of a packed model from the quantised weights of its file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isinglass.assets.gguf import GGUF
from isinglass.models.names import Rename
from isinglass.models.presets import llama
from isinglass.models.transformer import Decoder
from isinglass.nn.block import Block
from isinglass.nn.feedforward.glu import GLU
from isinglass.nn.quantized import LANES, Make, Quantized, stacked


def read_quantized(path: Path, model: Decoder) -> dict[str, Quantized]:
    """The quantised weights of a GGUF file under the model's names; those of other kinds are left out.

    A weight is taken only if it equals the model's own bit for bit (in its dtype): what was changed since loading stays dense.
    """
    file, own, found = GGUF(path), model.state_dict(), {}
    for rename in llama.gguf_names(model.config).for_layers(model.config.n_layers, own):
        weight = _quantized(file, rename) if rename.theirs in file.tensors else None
        name = rename.ours[0]
        if weight is not None and torch.equal(weight.dense().to(own[name].dtype), own[name]):
            found[name] = weight
    return found


def _quantized(file: GGUF, rename: Rename) -> Quantized | None:
    groups, rows = file.groups(rename.theirs), file.tensors[rename.theirs].shape[0]
    if groups is None or rows % LANES:
        return None

    def by_row(array: NDArray) -> Tensor:
        tensor = torch.from_numpy(array.reshape(rows, -1, *array.shape[1:]))
        return rename.undo(tensor) if rename.undo else tensor

    offset = None if groups.offset is None else by_row(groups.offset)
    return Quantized(by_row(groups.codes), by_row(groups.scale), offset, groups.bits)


def with_quantized(packed: Decoder, weights: Mapping[str, Quantized], make: Make) -> Decoder:
    """Put `make(weight, product)` in place of each product whose weights are all there and that adds no bias. Changes `packed`."""

    def replace(owner: nn.Module, attribute: str, *names: str) -> None:
        given = [weights[name] for name in names if name in weights]
        weight = stacked(given) if len(given) == len(names) else None
        if weight is None:
            return  # a mixture of experts, or a feed-forward layer of one's own, has no such product
        product = getattr(owner, attribute)
        if product.bias is None:
            setattr(owner, attribute, make(weight, product))

    for number, layer in enumerate(packed.layers):
        block, prefix = cast(Block, layer), f"layers.{number}."
        attention, mlp = block.attention, block.mlp
        replace(cast(nn.Module, attention.joint), "linear", *(f"{prefix}attention.{part}_proj.weight" for part in "qkv"))
        replace(attention, "o_proj", f"{prefix}attention.o_proj.weight")
        if isinstance(mlp, GLU):
            replace(cast(nn.Module, mlp.joint), "linear", f"{prefix}mlp.gate_proj.weight", f"{prefix}mlp.up_proj.weight")
        replace(mlp, "down_proj", f"{prefix}mlp.down_proj.weight")
    replace(packed, "lm_head", "embed_tokens.weight" if packed.config.embeddings == "tied" else "lm_head.weight")
    return packed
