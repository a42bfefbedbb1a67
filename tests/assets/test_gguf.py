from __future__ import annotations

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize as library_dequantize
from gguf.quants import quantize as library_quantize
from hypothesis import given, settings
from hypothesis import strategies as st

from isinglass.assets.find import find
from isinglass.assets.gguf import GGUF, TENSOR_TYPES
from isinglass.assets.quants import SUPPORTED
from isinglass.core.errors import AssetError, CheckpointError

TYPES = {kind.name: kind for kind in gguf.GGMLQuantizationType}
METADATA = {
    "uint8": 200, "int8": -100, "uint16": 60_000, "int16": -30_000, "uint32": 4_000_000_000, "int32": -2_000_000_000,
    "uint64": 2**63 + 5, "int64": -(2**62), "float32": 0.5, "float64": 0.1, "bool": True, "string": "mica – 雲母 🪟",
}  # fmt: skip


def packed(name: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Packed rows of a type. The library cannot quantise to the K types: random bytes with finite scales stand for them."""
    kind, random = TYPES[name], np.random.default_rng(seed)
    values = random.standard_normal(shape).astype(np.float32)
    if name in ("F32", "F16"):
        return values.astype(np.dtype(name.lower().replace("f", "float")))
    if not name.endswith("_K"):
        return library_quantize(values, kind)
    block_values, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    rows = random.integers(0, 256, (*shape[:-1], shape[-1] // block_values, block_bytes), dtype=np.uint8)
    scales = random.uniform(-0.1, 0.1, (*rows.shape[:-1], 2)).astype(np.float16).view(np.uint8)
    if name == "Q4_K":
        rows[..., :4] = scales
    else:
        rows[..., -2:] = scales[..., :2]
    return rows.reshape(*shape[:-1], -1)


def write(path: Path, tensors: dict[str, tuple[str, tuple[int, ...]]], *, alignment: int | None = None) -> dict[str, np.ndarray]:
    """A file of the library's writer with all kinds of metadata; returns what the library makes of each tensor."""
    writer = gguf.GGUFWriter(path, "llama")
    if alignment is not None:
        writer.add_custom_alignment(alignment)
    for kind, value in METADATA.items():
        getattr(writer, f"add_{kind}")(f"test.{kind}", value)
    writer.add_array("test.texts", ["a", "", "é"])
    writer.add_array("test.numbers", [1, -2, 3])
    writer.add_array("test.flags", [True, False])
    expected = {}
    for name, (kind, shape) in tensors.items():
        data = packed(kind, shape)
        raw = None if kind in ("F32", "F16") else TYPES[kind]
        writer.add_tensor(name, data, raw_dtype=raw)
        expected[name] = library_dequantize(data, TYPES[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return expected


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.gguf"
    write(path, {"first.weight": ("Q8_0", (4, 64)), "last.weight": ("F32", (8,))})
    return path


def error(path: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        GGUF(path)
    return caught.value


def test_type_table_equals_the_library() -> None:
    ours = {number: (kind.name, kind.block_values, kind.block_bytes) for number, kind in TENSOR_TYPES.items()}
    known = {kind.value: (kind.name, *gguf.GGML_QUANT_SIZES[kind]) for kind in gguf.GGMLQuantizationType}
    assert ours == {number: known[number] for number in ours}
    assert set(SUPPORTED) == {"F32", "F16", "BF16", "Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q6_K"}


@pytest.mark.parametrize("name", SUPPORTED)
def test_values_are_bit_equal_to_the_library(tmp_path: Path, name: str) -> None:
    shapes = {"matrix": (name, (6, 512)), "cube": (name, (2, 3, 256)), "long": (name, (400, 1024))}
    expected = write(tmp_path / "x.gguf", shapes)
    file = GGUF(tmp_path / "x.gguf")
    for tensor, (_, shape) in shapes.items():
        values = file.read(tensor)
        assert values.dtype == np.float32
        assert values.shape == shape
        assert np.array_equal(values, expected[tensor])
        assert np.any(values != 0)


@pytest.mark.parametrize("name", ["Q8_0", "Q4_0", "Q4_1", "Q4_K"])
def test_groups_are_the_values_bit_for_bit(tmp_path: Path, name: str) -> None:
    expected = write(tmp_path / "x.gguf", {"x": (name, (6, 512))})["x"]
    groups = GGUF(tmp_path / "x.gguf").groups("x")
    assert groups is not None
    assert groups.codes.shape == (6 * 512 // 32, 32)
    low, high = (0, 15) if groups.bits == 4 else (-128, 127)
    assert low <= groups.codes.min() < groups.codes.max() <= high
    values = groups.codes * groups.scale[:, None] + (0 if groups.offset is None else groups.offset[:, None])
    assert np.array_equal(values.reshape(6, 512), expected)


@pytest.mark.parametrize("name", ["F32", "F16", "BF16", "Q6_K"])
def test_other_types_have_no_groups_of_32(tmp_path: Path, name: str) -> None:
    write(tmp_path / "x.gguf", {"x": (name, (6, 512))})
    assert GGUF(tmp_path / "x.gguf").groups("x") is None


def test_infinite_scales_pass_through_as_in_the_library() -> None:
    data = np.frombuffer(struct.pack("<e", float("inf")) + bytes(range(32)), dtype=np.uint8)
    from isinglass.assets.quants import dequantize

    with np.errstate(invalid="ignore"):
        expected = library_dequantize(data[None], TYPES["Q8_0"]).reshape(-1)
    assert np.array_equal(dequantize(data, "Q8_0"), expected, equal_nan=True)


def test_metadata_of_every_type(small: Path) -> None:
    file = GGUF(small)
    assert file.version == 3
    assert {key.removeprefix("test."): value for key, value in file.metadata.items() if key.startswith("test.")} == METADATA | {
        "texts": ["a", "", "é"], "numbers": [1, -2, 3], "flags": [True, False],
    }  # fmt: skip
    assert file.metadata["general.architecture"] == "llama"


@pytest.mark.parametrize("alignment", [None, 8, 256])
def test_tensor_table_and_alignment(tmp_path: Path, alignment: int | None) -> None:
    expected = write(tmp_path / "x.gguf", {"a": ("F32", (3,)), "b": ("Q4_0", (5, 32)), "c": ("F16", (2, 2, 2, 3))}, alignment=alignment)
    file, library = GGUF(tmp_path / "x.gguf"), gguf.GGUFReader(tmp_path / "x.gguf")
    for theirs in library.tensors:
        ours = file.tensors[theirs.name]
        assert (ours.type, ours.shape, ours.offset, ours.bytes) == (
            theirs.tensor_type.name, tuple(int(n) for n in reversed(theirs.shape)), theirs.data_offset, theirs.n_bytes
        )  # fmt: skip
        assert np.array_equal(file.read(theirs.name), expected[theirs.name])
        assert file.raw(theirs.name).tobytes() == theirs.data.tobytes()
    assert len(file.tensors) == len(library.tensors) == 3


def test_version_2_and_nested_arrays(tmp_path: Path) -> None:
    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    nested = text(b"pairs") + struct.pack("<IIQ", 9, 9, 2)
    nested += struct.pack("<IQ2i", 5, 2, 1, 2) + struct.pack("<IQ", 8, 1) + text(b"x")
    path = tmp_path / "two.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 2, 0, 1) + nested)
    file = GGUF(path)
    assert (file.version, file.metadata, file.tensors) == (2, {"pairs": [[1, 2], ["x"]]}, {})


def test_not_a_gguf_file(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"PK\x03\x04 a zip file")
    assert str(error(path)) == f"{path} is not a GGUF file: it starts with b'PK\\x03\\x04', expected b'GGUF'"
    path.write_bytes(b"")
    assert str(error(path)) == f"{path} is not a GGUF file: it is empty"
    assert str(error(tmp_path / "nowhere.gguf")) == f"{tmp_path}/nowhere.gguf cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("version", "text"), [(b"\x01\0\0\0", "version 1, expected 2 or 3"), (b"\0\0\0\x03", "version 50331648 (a big-endian file), expected")]
)
def test_other_versions(small: Path, version: bytes, text: str) -> None:
    small.write_bytes(b"GGUF" + version + small.read_bytes()[8:])
    assert text in str(error(small))


def test_cut_in_the_header(small: Path) -> None:
    small.write_bytes(small.read_bytes()[:100])
    assert "is cut short or damaged: its header needs " in str(error(small))
    assert str(error(small)).endswith("the file has 100 bytes")


def test_cut_in_the_tensors(small: Path) -> None:
    whole = small.read_bytes()
    info = GGUF(small).tensors["last.weight"]
    small.write_bytes(whole[: info.offset + 20])
    assert str(error(small)) == (
        f"{small} is cut short: {info.offset + 32:,} bytes expected, the file has {info.offset + 20:,}\n"
        f"  first tensor that is not whole: 'last.weight' (F32 [8]), bytes {info.offset:,} to {info.offset + 32:,}\n"
        "  1 of 2 tensors are missing or not whole\n"
        "hint: fetch or copy the file again"
    )


def test_unsupported_type_opens_but_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("w", np.zeros((2, 84), dtype=np.uint8), raw_dtype=TYPES["Q2_K"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file = GGUF(path)
    assert file.metadata["general.architecture"] == "llama"
    with pytest.raises(CheckpointError) as caught:
        file.read("w")
    assert str(caught.value) == (
        f"tensor 'w' of {path} has the type Q2_K, which cannot be read\n"
        "  supported: F32, F16, BF16, Q4_0, Q4_1, Q8_0, Q4_K, Q6_K\n"
        "hint: convert the file to one of these, for example with llama.cpp's llama-quantize"
    )


def test_unknown_tensor_name(small: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"unknown tensor 'frist\.weight' in .*small\.gguf\n  known: .*\nhint: did you mean 'first\.weight'\?"
    ):
        GGUF(small).read("frist.weight")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (b"test.string" + b"\x08\0\0\0", b"test.string" + b"\x63\0\0\0", "metadata 'test.string' has the value type 99"),
        (b"test.int16", b"test.uint8", "the metadata key 'test.uint8' occurs twice"),
        ("雲".encode(), b"\xff\xfe\xfd", "is not UTF-8: b'mica"),
        (b"last.weight\x01\0\0\0", b"last.weight\x09\0\0\0", "tensor 'last.weight' has 9 dimensions, expected at most 4"),
        (
            b"last.weight\x01\0\0\0" + struct.pack("<QI", 8, 0),
            b"last.weight\x01\0\0\0" + struct.pack("<QI", 8, 99),
            "has the unknown type 99",
        ),
        (struct.pack("<QQI", 64, 4, 8), struct.pack("<QQI", 65, 4, 8), "has the shape (4, 65), expected rows of whole blocks of 32"),
        (struct.pack("<QQI", 64, 4, 8), struct.pack("<QQI", 64, 2**62, 8), "is cut short: "),
        (struct.pack("<IQ", 8, 3), struct.pack("<IQ", 8, 2**60), "is cut short or damaged: its header needs "),
        (struct.pack("<IQ", 5, 3), struct.pack("<IQ", 5, 2**60), "is cut short or damaged: its header needs "),
    ],
)
def test_damaged_fields(small: Path, old: bytes, new: bytes, text: str) -> None:
    content = small.read_bytes()
    assert content.count(old) == 1
    small.write_bytes(content.replace(old, new))
    assert text in str(error(small))


def test_alignment_that_is_no_power_of_two(tmp_path: Path) -> None:
    write(tmp_path / "x.gguf", {"a": ("F32", (3,))}, alignment=64)
    content = (tmp_path / "x.gguf").read_bytes()
    key = b"general.alignment" + struct.pack("<I", 4)
    (tmp_path / "x.gguf").write_bytes(content.replace(key + struct.pack("<I", 64), key + struct.pack("<I", 48)))
    assert "general.alignment is 48, expected a power of two" in str(error(tmp_path / "x.gguf"))


def test_arrays_nested_without_end(tmp_path: Path) -> None:
    path = tmp_path / "deep.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 5000)
    assert "metadata 'k' has the value type 9 nested too deep" in str(error(path))


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_damage_is_a_checkpoint_error_or_harmless(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.gguf"
    if not path.exists():
        write(path.with_suffix(".whole"), {"a": ("Q4_1", (2, 64)), "b": ("F32", (8,)), "c": ("Q6_K", (1, 256))})
    content = bytearray(path.with_suffix(".whole").read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    try:
        file = GGUF(path)
        values = [file.read(name) for name in file.tensors]
    except CheckpointError as caught:
        assert str(path) in str(caught)
    else:
        assert sum(value.size for value in values) <= 8 * len(content)


@pytest.fixture(scope="module")
def smollm2() -> GGUF:
    try:
        return GGUF(find("smollm2"))
    except AssetError as missing:
        pytest.skip(f"needs the asset smollm2: {missing.hint}")


def test_smollm2_header(smollm2: GGUF) -> None:
    assert len(smollm2.tensors) == 272
    assert smollm2.metadata["llama.attention.head_count_kv"] == 3
    assert len(smollm2.metadata["tokenizer.ggml.tokens"]) == 49_152
    assert len(smollm2.metadata["tokenizer.ggml.merges"]) == 48_900
    assert smollm2.tensors["blk.0.ffn_down.weight"].shape == (576, 1536)
    assert sum(int(np.prod(info.shape)) for info in smollm2.tensors.values()) == 134_515_008


@pytest.mark.parametrize("name", ["blk.7.attn_k.weight", "blk.29.ffn_down.weight", "output_norm.weight", "token_embd.weight"])
def test_smollm2_values_equal_the_library(smollm2: GGUF, name: str) -> None:
    info = smollm2.tensors[name]
    values = smollm2.read(name)
    expected = library_dequantize(smollm2.raw(name), TYPES[info.type]).reshape(info.shape)
    assert np.array_equal(values, expected)
    assert 0.001 < values.std() < 10
