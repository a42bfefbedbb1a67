"""Products from quantised weights equal those of the dense weight."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from isinglass.core.errors import EngineError
from isinglass.nn import native
from isinglass.nn.fused import FrozenLinear
from isinglass.nn.quantized import FEW_ROWS, Int4Linear, Quantized, QuantizedLinear, bf16_product, stacked

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="the fp32 product is built by a C++ compiler")


def weight(d_out: int, d_in: int, bits: int, *, offset: bool = True) -> Quantized:
    generator = torch.Generator().manual_seed(d_out + d_in + bits)
    low, high = (0, 16) if bits == 4 else (-128, 128)
    codes = torch.randint(low, high, (d_out, d_in // 32, 32), generator=generator, dtype=torch.int8)
    scale = torch.rand(d_out, d_in // 32, generator=generator) / 100
    return Quantized(codes, scale, torch.randn(scale.shape, generator=generator) / 10 if offset else None, bits)


@needs_compiler
@pytest.mark.parametrize("rows", [1, 3, FEW_ROWS, FEW_ROWS + 1])
@pytest.mark.parametrize(("bits", "offset"), [(4, True), (4, False), (8, False), (8, True)])
def test_fp32_product_equals_fp64(rows: int, bits: int, offset: bool) -> None:
    quantized = weight(48, 96, bits, offset=offset)
    layer = QuantizedLinear(quantized, FrozenLinear(quantized.dense(), None))
    x = torch.randn(rows, 1, 96, generator=torch.Generator().manual_seed(rows))
    expected = x.double() @ quantized.dense().double().T
    assert layer(x).shape == (rows, 1, 48)
    assert (layer(x) - expected).abs().max() < 1e-5 * expected.abs().max()


@needs_compiler
def test_flops_are_those_of_the_dense_product() -> None:
    quantized = weight(32, 64, 4)
    dense = FrozenLinear(quantized.dense(), None)
    counts = []
    for layer in (dense, QuantizedLinear(quantized, dense)):
        with FlopCounterMode(display=False) as counter:
            layer(torch.ones(3, 64))
        counts.append(counter.get_total_flops())
    assert counts == [2 * 3 * 64 * 32] * 2


@needs_compiler
def test_a_view_that_is_not_contiguous_is_read_in_its_own_order() -> None:
    quantized = weight(32, 64, 4)
    layer = QuantizedLinear(quantized, FrozenLinear(quantized.dense(), None))
    x = torch.randn(2, 5, 64)[:, -1:]
    assert torch.allclose(layer(x), layer(x.contiguous()), rtol=0, atol=0)


def test_bf16_product_is_as_near_as_bf16_weights() -> None:
    quantized = weight(64, 576, 4)
    x = torch.randn(3, 576, generator=torch.Generator().manual_seed(0)).bfloat16()
    exact = x.double() @ quantized.dense().double().T
    dense = FrozenLinear(quantized.dense().bfloat16(), None)

    def error(y: torch.Tensor) -> float:
        return ((y.double() - exact).square().mean() / exact.square().mean()).sqrt().item()

    assert error(Int4Linear(quantized, dense)(x)) < 1.5 * error(dense(x)) < 0.01


def test_bf16_keeps_the_dense_weight_for_8_bits() -> None:
    dense = nn.Identity()
    assert bf16_product(weight(32, 64, 8), dense) is dense


def test_stacked_weights_are_those_of_the_parts_or_nothing() -> None:
    a, b, other = weight(16, 64, 4), weight(32, 64, 4), weight(16, 64, 8)
    both = stacked([a, b])
    assert both is not None
    assert torch.equal(both.dense(), torch.cat([a.dense(), b.dense()]))
    assert stacked([a, other]) is None


def test_without_a_compiler_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    native.quantized_matvec.cache_clear()
    native.load.cache_clear()
    with pytest.raises(
        EngineError,
        match=r"quantized_matvec.cpp needs a C\+\+ compiler, and neither g\+\+ nor clang\+\+ was found\nhint: install g\+\+, or set CXX",
    ):
        native.quantized_matvec()


@needs_compiler
@pytest.mark.parametrize("quiet", ["", "logging.getLogger('isinglass').setLevel('ERROR')"])
def test_a_build_is_announced_once(quiet: str, tmp_path: Path) -> None:
    """On stderr of a program that sets up no logging, and not on that of one that asked for quiet."""
    source = tmp_path / "small.cpp"
    source.write_text("int one() { return 1; }\n")
    lines = ("import logging, pathlib", "from isinglass.nn import native", quiet, *[f"native.build(pathlib.Path({str(source)!r}))"] * 2)
    environment = {**os.environ, "ISINGLASS_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, env=environment, timeout=240)
    assert len(list((tmp_path / "native").glob("small-*.so"))) == 1, done.stderr
    assert done.stderr == ("" if quiet else "building small.cpp for this processor: once, 10 to 20 s\n")


@needs_compiler
def test_a_source_that_does_not_compile_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = tmp_path / "broken.cpp"
    source.write_text("this is not C++\n")
    with pytest.raises(EngineError, match=r"could not build broken.cpp\n[\s\S]*error"):
        native.build(source)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["broken.cpp"]
