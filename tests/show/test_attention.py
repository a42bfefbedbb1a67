"""The attention grid: what is sent, what is drawn, what is refused."""

import json
import struct
import zlib

import numpy as np
import pytest

from isinglass.core.errors import ShapeError
from isinglass.show import png, theme
from isinglass.show.marks.attention_grid import AttentionGrid
from isinglass.show.marks.attention_payload import ERROR, pack, unpack
from isinglass.show.marks.attention_picture import pooled


def weights(layers=2, heads=3, time=7, *, causal=True, seed=0):
    scores = np.random.default_rng(seed).normal(size=(layers, heads, time, time)) * 3
    if causal:
        scores = np.where(np.tri(time, dtype=bool), scores, -np.inf)
    exponentials = np.exp(scores - scores.max(-1, keepdims=True))
    return (exponentials / exponentials.sum(-1, keepdims=True)).astype(np.float32)


def read_png(content):
    """The pixels of an 8-bit PNG, after the standard: all five filters."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, head = 8, b"", None
    while at < len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        body = content[at + 8 : at + 8 + size]
        assert struct.unpack(">I", content[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        head = struct.unpack(">IIBBBBB", body) if kind == b"IHDR" else head
        data += body if kind == b"IDAT" else b""
        at += 12 + size
    width, height, depth, color, *_ = head
    channels = {2: 3, 6: 4}[color]
    assert depth == 8
    raw, stride = zlib.decompress(data), width * channels
    rows, above = [], np.zeros(stride, np.int64)
    for y in range(height):
        kind, line = raw[y * (stride + 1)], np.frombuffer(raw, np.uint8, stride, y * (stride + 1) + 1).astype(np.int64)
        out = np.zeros(stride, np.int64)
        for x in range(stride):
            left = out[x - channels] if x >= channels else 0
            corner = above[x - channels] if x >= channels else 0
            guess = left + above[x] - corner
            near = min((left, above[x], corner), key=lambda value: abs(guess - value))
            out[x] = (line[x] + (0, left, above[x], (left + above[x]) // 2, near)[kind]) % 256
        rows.append(out)
        above = out
    return np.array(rows, np.uint8).reshape(height, width, channels)[..., :3]


@pytest.mark.parametrize("causal", [True, False])
def test_what_is_read_back_differs_by_at_most_one_in_510(causal):
    sent = weights(causal=causal)
    read = unpack(pack(sent, causal=causal), heads=3, time=7, causal=causal)
    assert read.shape == sent.shape
    assert np.abs(read - sent).max() <= ERROR + 1e-7
    assert np.abs(read - sent).max() > ERROR / 10  # the bound is about this, not about nothing


def test_the_payload_is_small_and_always_the_same():
    sent = weights(12, 12, 64)
    payload = pack(sent, causal=True)
    assert payload == pack(sent, causal=True)
    assert sum(map(len, payload)) < 0.05 * len(json.dumps(sent.tolist()))


def test_own_png_reads_back():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    assert (read_png(png.write_png(pixels)) == pixels).all()


def test_blocks_keep_the_largest_weight():
    big = np.zeros((1, 1, 300, 300), np.float32)
    big[0, 0, 299, 151] = 1
    small = pooled(big, 128)
    assert small.shape == (1, 1, 128, 128) and small.sum() == 1 and small[0, 0, 127, 64] == 1


@pytest.mark.parametrize(("scale", "expected"), [("linear", 0.25), ("sqrt", 0.5)])
def test_pixels_of_known_weights(scale, expected):
    values = np.zeros((2, 2, 2, 2), np.float32)
    values[..., 0, 0] = 1
    values[..., 1, :] = [0.75, 0.25]
    pixels = read_png(AttentionGrid(values, ["a", "b"], title="t", causal=True, scale=scale).to_png(scale=1))
    side = 56  # two tokens of 28 pixels
    for layer in range(2):
        for head in range(2):
            x, y = 76 + 1 + head * (side + 6), 74 + 1 + layer * (side + 6)
            middle = {(q, k): pixels[y + 14 + 28 * q, x + 14 + 28 * k].tolist() for q in range(2) for k in range(2)}
            assert middle[0, 0] == theme.sequential(1.0).tolist()
            assert middle[1, 1] == theme.sequential(expected).tolist()
            assert middle[0, 1] == [255, 255, 255]  # hidden by the mask


def test_the_picture_has_a_square_for_every_head():
    grid = AttentionGrid(weights(4, 5, 60), ["x"] * 60, title="t", causal=True, kv_head_of=[0, 0, 1, 1, 2])
    width, height = struct.unpack(">II", grid.to_png(scale=1)[16:24])
    assert (width, height) == (max(460, 76 + 5 * 66 - 6 + 2 + 20), 74 + 4 * 66 - 6 + 2 + 62 + 16)
    svg = grid.to_svg()
    assert all(f">layer {layer}<" in svg for layer in range(4)) and ">KV 2<" in svg


def test_measures_of_heads_made_by_hand():
    time = 4
    previous = np.eye(time, k=-1)
    previous[0, 0] = 1
    uniform = np.tri(time) / np.arange(1, time + 1)[:, None]
    rows = AttentionGrid(np.stack([np.eye(time), previous, uniform])[None], list("abcd"), title="t", causal=True).data.rows
    assert (rows[0]["to_itself"], rows[0]["entropy"], rows[0]["distance"]) == (1, 0, 0)
    assert rows[1]["to_previous"] == 1 and rows[1]["distance"] == pytest.approx(3 / 4)
    assert rows[2]["entropy"] == pytest.approx(np.log([1, 2, 3, 4]).mean(), abs=1e-6)
    assert rows[2]["to_first"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)  # the first query can look nowhere else


def test_tokens_stay_text_in_html_and_svg():
    evil = "</script><img src=x>"
    grid = AttentionGrid(weights(1, 1, 2), [evil, b"\xff"], title=evil, causal=True)
    for made in (grid.html_fragment("k"), grid.to_svg()):
        assert "<img" not in made
    content = grid.body_html("k").split('<script type="application/json">')[1].split("</script>")[0]
    assert json.loads(content)["tokens"] == ["</script><img·src=x>", "‹FF›"]


def test_terminal_shows_the_summary_and_the_head_in_focus():
    grid = AttentionGrid(weights(2, 3, 7), list("abcdefg"), title="t", causal=True, focus=(1, 2))
    shown = grid.to_terminal(50, color=False)
    assert "layer 1, head 2" in shown and "first token" in shown
    assert all(len(line) <= 50 for line in shown.split("\n"))


def test_two_grids_on_one_page_share_the_script():
    from isinglass.show.page import Section, page

    grid = AttentionGrid(weights(), list("abcdefg"), title="t", causal=True)
    html = page("p", [Section("s", [], [grid, grid])])
    assert html.count("customElements.define(") == 1 and html.count("<ig-attention-grid ") == 2
    assert "vegaEmbed=" not in html


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda: AttentionGrid(weights()[0], list("abcdefg"), title="t", causal=True),
            "weights have shape (3, 7, 7), expected (layers, heads, 7, 7)",
        ),
        (lambda: AttentionGrid(np.zeros((1, 1, 513, 513)), ["x"] * 513, title="t", causal=True), "513 tokens, at most 512 can be shown"),
        (lambda: AttentionGrid(np.full((1, 1, 2, 2), 2.0), ["a", "b"], title="t", causal=False), "weights must lie in 0..1, found 2 to 2"),
        (
            lambda: AttentionGrid(np.full((1, 1, 2, 2), 0.5), ["a", "b"], title="t", causal=True),
            "a query looks at a later key with weight 0.5",
        ),
        (lambda: AttentionGrid(weights(), list("abcdefg"), title="t", causal=True, kv_head_of=[0]), "kv_head_of has 1 entries for 3 heads"),
        (
            lambda: AttentionGrid(weights(), list("abcdefg"), title="t", causal=True, focus=(2, 0)),
            "focus (2, 0) is outside of 2 layers and 3 heads",
        ),
    ],
)
def test_what_does_not_fit_is_said(change, message):
    with pytest.raises(ShapeError) as caught:
        change()
    assert message in str(caught.value) and "attention grid 't'" in str(caught.value)
