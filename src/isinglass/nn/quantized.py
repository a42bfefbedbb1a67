"""Weights kept as their file holds them: whole numbers with a scale for each group of 32 (GGUF's Q4_0, Q4_1, Q4_K, Q8_0).

The numbers are those of the dense weight, bit for bit; only fewer bytes are read for a token (LOG.md, 2026-11-22).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from isinglass.nn.fused import frozen
from isinglass.nn.native import available, quantized_matvec

GROUP = 32
LANES = 16  # outputs computed side by side, as in quantized_matvec.cpp
FEW_ROWS = 16  # with many rows a product is bound by arithmetic: in fp32 dense weights overtake codes between 16 and 64 rows


@dataclass(frozen=True)
class Quantized:
    """A weight of shape (d_out, groups * 32): code * scale + offset. 4-bit codes are 0..15, 8-bit ones -128..127."""

    codes: Int[Tensor, "d_out groups 32"]
    scale: Float[Tensor, "d_out groups"]
    offset: Float[Tensor, "d_out groups"] | None
    bits: int

    def dense(self) -> Float[Tensor, "d_out d_in"]:
        """The weight written out."""
        values = self.codes.float() * self.scale[..., None]
        return (values if self.offset is None else values + self.offset[..., None]).flatten(1)


def stacked(weights: Sequence[Quantized]) -> Quantized | None:
    """Weights of the same input, one below the other; None when they are of different kinds."""
    first = weights[0]
    if any(w.bits != first.bits or (w.offset is None) != (first.offset is None) for w in weights):
        return None
    offsets = [w.offset for w in weights if w.offset is not None]
    return Quantized(
        torch.cat([w.codes for w in weights]), torch.cat([w.scale for w in weights]), torch.cat(offsets) if offsets else None, first.bits
    )


Make = Callable[[Quantized, nn.Module], nn.Module]  # (weight, its dense product) -> the product to use


class QuantizedLinear(nn.Module):
    """x @ weight.T in fp32, from codes; for a few rows. `dense` serves more rows and must hold the same weight."""

    def __init__(self, weight: Quantized, dense: nn.Module) -> None:
        super().__init__()
        self.dense = dense
        self.multiply = quantized_matvec()
        self.codes, self.scale = frozen(_in_lanes(_words(weight.codes, weight.bits))), frozen(_in_lanes(weight.scale))
        self.offset = frozen(torch.empty(0) if weight.offset is None else _in_lanes(weight.offset))

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        rows = x.flatten(0, -2)
        if rows.shape[0] > FEW_ROWS:
            return self.dense(x)
        return self.multiply(rows.float(), self.codes, self.scale, self.offset).to(x.dtype).unflatten(0, x.shape[:-1])


class Int4Linear(nn.Module):
    """The same for bf16 activations and 4-bit codes, by torch's own kernel; its scales are rounded to bf16, as dense weights are."""

    def __init__(self, weight: Quantized, dense: nn.Module) -> None:
        super().__init__()
        self.dense = dense
        self.packed = frozen(torch.ops.aten._convert_weight_to_int4pack_for_cpu(weight.codes.flatten(1).int(), 1))
        # the kernel's codes are centred: (code - 8) * scale + zero
        offset = torch.zeros_like(weight.scale) if weight.offset is None else weight.offset
        self.scales = frozen(torch.stack([weight.scale, offset + 8 * weight.scale], dim=-1).transpose(0, 1).bfloat16().contiguous())

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        rows = x.flatten(0, -2)
        if rows.shape[0] > FEW_ROWS:
            return self.dense(x)
        return torch.ops.aten._weight_int4pack_mm_for_cpu(rows.contiguous(), self.packed, GROUP, self.scales).unflatten(0, x.shape[:-1])


def bf16_product(weight: Quantized, dense: nn.Module) -> nn.Module:
    """The faster product for bf16 where the processor emulates it."""
    return Int4Linear(weight, dense) if weight.bits == 4 else dense


def fastest_product(dtype: torch.dtype) -> Make | None:
    """What was measured faster than dense weights on this kind of processor (LOG.md, 2026-11-22); None where nothing was."""
    if dtype == torch.bfloat16:
        emulated = torch.backends.cpu.get_cpu_capability() == "AVX512" and not torch.cpu._is_avx512_bf16_supported()
        return bf16_product if emulated else None
    return QuantizedLinear if dtype == torch.float32 and available() else None


def _words(codes: Int[Tensor, "d_out groups 32"], bits: int) -> Int[Tensor, "d_out groups words"]:
    """Codes as 32-bit words, the first code in the lowest bits (the order of bytes on x86 and ARM)."""
    octets = codes if bits == 8 else codes[..., 0::2] | (codes[..., 1::2] << 4)
    return octets.contiguous().view(torch.int32)


def _in_lanes(rows: Tensor) -> Tensor:
    """(d_out, ...) -> (d_out / 16, ..., 16)."""
    return rows.unflatten(0, (-1, LANES)).movedim(1, -1).contiguous()
