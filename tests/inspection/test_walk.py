"""`walk`: the lines that really ran, in order, with the shapes they really gave, and without changing anything."""

from __future__ import annotations

import inspect
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
import torch

import isinglass as ig
from helpers.kinds import KINDS, TEXTS
from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.reading import reading
from isinglass.inspection.statements import statements
from isinglass.inspection.steps import Step
from isinglass.inspection.walk import WRITTEN_OUT, Walk, walk
from isinglass.nn.attention.layer import Attention
from isinglass.nn.block import Block

HOME = Path(ig.__file__).parent


@pytest.fixture(scope="module", params=KINDS)
def lm(request: pytest.FixtureRequest) -> LM:
    return KINDS[request.param]()


@pytest.mark.parametrize("tap", [None, WRITTEN_OUT], ids=["as it is", "written out"])
def test_walking_changes_nothing(lm: LM, tap: object) -> None:
    plain = reading(lm, TEXTS[0])
    with torch.inference_mode():
        assert torch.equal(walk(lm, TEXTS[0], tap=tap).logits, plain.run(tap))  # type: ignore[arg-type]


def test_every_shown_line_is_that_line_in_the_file(lm: LM) -> None:
    for step in walk(lm, TEXTS[0]).steps:
        for number, line in enumerate(step.source.split("\n")):
            assert linecache.getline(str(HOME / step.file), step.line + number).strip() == line.strip()


def test_the_order_is_the_order_of_running() -> None:
    """Beside a tracer of the plainest kind: each line event of our files, where several lines of one statement count once."""
    lm, seen = KINDS["llama with grouped heads"](), []

    def call(frame: FrameType, event: str, arg: object) -> object:
        file = frame.f_code.co_filename
        ours = file.startswith((f"{HOME}/nn/", f"{HOME}/models/")) and not file.endswith("nn/tap.py") and frame.f_code.co_name[0] != "<"
        return line if event == "call" and ours else None

    def line(frame: FrameType, event: str, arg: object) -> object:
        if event == "line":
            seen.append((Path(frame.f_code.co_filename).relative_to(HOME).as_posix(), frame.f_lineno))
        return line

    given, before = reading(lm, TEXTS[0]), sys.gettrace()
    sys.settrace(call)
    try:
        given.run()
    finally:
        sys.settrace(before)
    starts = {file: {number: s.first for number, s in statements(str(HOME / file)).items()} for file, _ in seen}
    assert len(seen) > 100
    several = {file: {s.first for s in statements(str(HOME / file)).values() if s.last > s.first} for file in starts}
    known = [(file, number) for file, number in seen if number in starts[file]]  # the line of a function made inside a function is none
    ran = [(file, starts[file][number]) for file, number in known]
    walked = [(step.file, step.line) for step in walk(lm, TEXTS[0]).steps]
    assert once_each(walked, several) == once_each(ran, several)
    assert [pair for pair in walked if pair[1] not in several[pair[0]]] == [pair for pair in ran if pair[1] not in several[pair[0]]]


def once_each(places: list[tuple[str, int]], several: dict[str, set[int]]) -> list[tuple[str, int]]:
    """Statements of several lines, each time it is new: the plain tracer comes back to their first line at the end."""
    return list(dict.fromkeys(pair for pair in places if pair[1] in several[pair[0]]))


def test_the_main_lines_of_a_block_in_their_order() -> None:
    found = walk(KINDS["gpt2"](), TEXTS[0])
    functions = list(dict.fromkeys(step.function for step in found.steps))
    order = [
        "Decoder.forward",
        "Decoder.hidden",
        "Block.forward",
        "LayerNorm.forward",
        "Attention.forward",
        "MLP.forward",
        "Decoder.logits",
    ]
    assert [name for name in functions if name in order] == order
    block = [step for step in found.steps if step.layer == "layers.1" and step.function == "Block.forward"]
    assert [step.source for step in block] == [line.strip() for line in inspect.getsource(Block.forward).splitlines()[-4:]]
    depths = {step.function: step.depth for step in found.steps}
    assert depths["Decoder.forward"] < depths["Decoder.hidden"] < depths["Block.forward"] < depths["Attention.forward"]


def test_shapes_and_values_are_those_of_the_taps(lm: LM) -> None:
    found = walk(lm, TEXTS[0], values=4, tap=WRITTEN_OUT)
    prefix = "encoder." if lm.config.architecture == "encoder_decoder" else ""
    where = "body.layers.1" if lm.config.family == "bert" else f"{prefix}layers.1"
    names = [f"{prefix}layers.1.{what}" for what in ("attention.out", "attention.scores", "attention.z", "resid_mid")]
    trace = ig.trace(lm, TEXTS[0], taps=[*names, "*attention.scores"])
    steps = [step for step in found.steps if step.layer == where]
    for name, function, source in zip(
        names,
        ("Attention.forward", "Attention.attend", "Attention.forward", "Block.forward"),
        ('return tapped(tap, "attention.out"', "scores = tapped(", "z = tapped(", 'x = tapped(tap, "resid_mid"'),
        strict=True,
    ):
        step = next(step for step in steps if step.function in (function, f"PostNorm{function}") and step.source.startswith(source))
        tensor = trace[name]
        assert step.values[0].shape == tuple(tensor.shape) and step.values[0].dtype == "float32"
        assert step.values[0].first == tuple(tensor.flatten()[:4].tolist())
        finite = tensor[tensor.isfinite()]
        assert step.values[0].mean == pytest.approx(float(finite.mean()), abs=1e-6)
        assert step.values[0].std == pytest.approx(float(finite.std(unbiased=False)), abs=1e-6)


def test_written_out_shows_the_softmax() -> None:
    lm = KINDS["gpt2"]()
    softmax = [s for s in walk(lm, "abc", tap=WRITTEN_OUT).steps if ".softmax(dim=-1)" in s.source]
    assert len(softmax) == 2 and softmax[0].values[0].shape == (1, 4, 3, 3)
    assert not [step for step in walk(lm, "abc").steps if ".softmax(dim=-1)" in step.source]


def remarks(found: Walk) -> list[str]:
    return [item for item in found.shown if isinstance(item, str)]


def test_repeated_layers_are_folded() -> None:
    lm = ig.create("gpt2(n_layers=5, d_model=32, n_heads=4, context_length=64)")
    first = walk(lm, "abc")
    assert [remark.split(":")[0] for remark in remarks(first)] == ["layers 1 to 4"]
    assert {step.layer for step in first.shown if isinstance(step, Step)} == {None, "layers.0"}
    third = walk(lm, "abc", layer=3)
    assert [remark.split(":")[0] for remark in remarks(third)] == ["layer 0", "layers 1 to 2", "layer 4"]
    assert remarks(third)[1] == "layers 1 to 2: the lines of layer 3 over the same shapes; see --layer 1"
    assert {step.layer for step in third.shown if isinstance(step, Step)} == {None, "layers.3"}
    assert first.steps[-1].source == third.shown[-1].source  # type: ignore[union-attr]


def test_layers_of_another_kind_are_shown() -> None:
    lm = ig.create("tiny(n_layers=3)", attention={"position": ["rotary", "alibi", "rotary"], "kernel": "reference"})
    shown = walk(lm, "abc").shown
    assert {step.layer for step in shown if isinstance(step, Step)} >= {"layers.0", "layers.1"}


def test_an_encoder_decoder_shows_a_layer_of_each_stack() -> None:
    shown = walk(KINDS["t5"](), "abc", target="de").shown
    assert {step.layer for step in shown if isinstance(step, Step)} >= {"encoder.layers.0", "decoder.layers.0"}
    assert [remark.split(":")[0] for remark in shown if isinstance(remark, str)] == ["encoder.layer 1", "decoder.layer 1"]


@pytest.mark.parametrize("part", ["attention", "mlp"])
def test_one_part_alone(part: str) -> None:
    steps = [item for item in walk(KINDS["gpt2"](), "abc", part=part).shown if isinstance(item, Step)]  # type: ignore[arg-type]
    assert steps and {step.part for step in steps} == {part}


# the tracer of others


class Tracer:
    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        return None


@pytest.fixture
def tracer() -> Iterator[Tracer]:
    before, mine = sys.gettrace(), Tracer()
    sys.settrace(mine)
    yield mine
    sys.settrace(before)


def test_a_debugger_gets_its_trace_function_back(tracer: Tracer) -> None:
    walk(KINDS["gpt2"](), "abc")
    assert sys.gettrace() is tracer


def test_also_when_the_model_fails(tracer: Tracer, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Attention, *_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Attention, "forward", broken)
    with pytest.raises(RuntimeError, match="broken"):
        walk(KINDS["gpt2"](), "abc")
    assert sys.gettrace() is tracer


# how it shows itself


def test_the_result_shows_itself(tmp_path: Path) -> None:
    found = walk(KINDS["gpt2"](), "a<script>", command="isinglass walk x")
    few = walk(KINDS["gpt2"](), "ab", part="mlp")  # a picture of all lines takes seconds
    for suffix, each in {"html": found, "json": found, "csv": found, "md": found, "png": few, "svg": few, "txt": found}.items():
        assert each.save(tmp_path / f"walk.{suffix}").stat().st_size > 500
    page = (tmp_path / "walk.html").read_text("utf-8")
    assert "a│&lt;│s│c│r" in page and "nn/block.py:35" in page
    for width in (40, 80, 160):
        assert max(len(line) for line in found.parts[0].to_terminal(width, color=False).splitlines()) <= width
    data = found.data
    assert data["lines_run"] == len(found.steps) and [token["token"] for token in data["tokens"]] == list("a<script>")
    assert {"file", "line", "source", "depth", "layer", "values"} <= set(data["steps"][0])


def test_the_real_model(smollm2: LM) -> None:
    found = walk(smollm2, "The capital of France is")
    assert torch.equal(found.logits, ig.trace(smollm2, "The capital of France is").logits)
    assert remarks(found)[0].startswith("layers 1 to 29: the lines of layer 0 over the same shapes")


def test_bad_input() -> None:
    lm = KINDS["gpt2"]()
    cases = {
        lambda: walk(lm, ""): "prompt 0 is empty",
        lambda: walk(lm, "a" * 65): "prompt 0 has 65 tokens; the model's context holds 64",
        lambda: walk(lm, "a", layer=2): "layer 2 does not exist\n  this model has layers 0 to 1",
        lambda: walk(lm, "a", part="atention"): "unknown part 'atention'",  # type: ignore[arg-type]
        lambda: walk(lm, "a", target="b"): "target was given, but this model writes no second text",
    }
    for case, words in cases.items():
        with pytest.raises(EngineError) as caught:
            case()
        assert words in str(caught.value)
