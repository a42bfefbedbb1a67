"""A file of one model: it runs on torch alone, takes our weights under their names, and answers as our model does."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from helpers.pairwise import FULL, choices
from helpers.tensors import random_ids, randomised
from helpers.variants import LAYOUTS, examples, kernel_expressions, mask_expressions, position_expressions, unsupported
from isinglass.core.errors import EngineError
from isinglass.inspection.eject import eject
from isinglass.inspection.eject.source import Edits, piece
from isinglass.models import heads, presets
from isinglass.models.config import ModelConfig, model_config
from isinglass.models.transformer import Model, assembled, fresh
from isinglass.nn import feedforward
from isinglass.nn.activations import ACTIVATIONS

SMALL = dict(n_layers=2, d_model=32, n_heads=4, vocab_size=50, context_length=64)
T5 = dict(SMALL, d_head=6, d_ff=48)
FEEDFORWARDS = [
    *examples(feedforward.family),
    *(f"mlp(activation={name!r}, bias={bias})" for name in ACTIVATIONS for bias in (True, False)),
    *(f"glu(activation={name!r}, bias={bias})" for name in ACTIVATIONS for bias in (True, False)),
]


def config_of(preset: str, **settings: Any) -> ModelConfig:
    return presets.family.module(preset).build(**settings)


def run(text: str) -> dict[str, Any]:
    """The names of a file, run where isinglass cannot be imported."""
    module = ModuleType("ejected")
    hidden = {name: found for name, found in sys.modules.items() if name.partition(".")[0] in ("isinglass", "jaxtyping")}
    try:
        sys.modules.update(dict.fromkeys([*hidden, "isinglass", "jaxtyping"]))  # type: ignore[arg-type] # None: an ImportError
        sys.modules["ejected"] = module  # where dataclasses look their class up
        exec(compile(text, "ejected.py", "exec"), module.__dict__)
    finally:
        del sys.modules["ejected"]
        sys.modules.update(hidden)
    return module.__dict__


@torch.no_grad()
def same(config: ModelConfig, time: int = 13) -> dict[str, Any]:
    """Check that what is ejected answers as the model does, in eval mode and over its own fresh weights too; the names of the file."""
    ours = lively(config)
    names = run(eject(config))
    theirs = names[kind(ours)]().eval()
    theirs.load_state_dict(ours.state_dict())
    ids = [random_ids(2, time)] if config.architecture != "encoder_decoder" else [random_ids(2, time), random_ids(2, time - 4, seed=1)]
    close(theirs(*ids), ours(*ids))
    return names


@torch.no_grad()
def lively(config: ModelConfig) -> Model:
    """Our model with weights of useful size: logits of a few units, for which 1e-5 is what rounding leaves."""
    model = randomised(assembled(config)).eval()
    getattr(model, "body", model).embed_tokens.weight.mul_(0.3)
    return model


def close(theirs: Any, ours: Any) -> None:
    if isinstance(ours, dict):
        assert list(theirs) == list(ours)
        for name, answer in ours.items():
            close(theirs[name], answer)
    else:
        assert theirs.shape == ours.shape and float((theirs - ours).abs().max()) < 1e-5


def kind(model: Model) -> str:
    return type(model).__name__


def fits(choice: dict[str, Any]) -> bool:
    return unsupported(choice["kernel"], choice["mask"], choice["position"]) is None


OTHERS = dict(
    feedforward=FEEDFORWARDS,
    norm=["rms_norm", "layer_norm"],
    embeddings=["tied", "untied"],
    bias=["none", "qkv", "all"],
    layout=list(LAYOUTS),
    scale=[None, 1.0, 0.3],
    dropout=[0.0, 0.1],
)
POSITIONS, MASKS, KERNELS = position_expressions(), mask_expressions(), kernel_expressions()
PLACED = choices(dict(position=POSITIONS, mask=MASKS, kernel=KERNELS), fits)
RANDOM = Random(0)


def kept(choice: dict[str, Any]) -> bool:
    """Positions and masks act on different lines, so a third of their pairs is enough: each with many of the others."""
    return FULL or (POSITIONS.index(choice["position"]) + MASKS.index(choice["mask"])) % 3 == 0


DECODERS = [{**choice, **{name: RANDOM.choice(values) for name, values in OTHERS.items()}} for choice in PLACED if kept(choice)]


@pytest.mark.parametrize("position", POSITIONS)
def test_every_combination_of_parts_in_a_decoder(position):
    mine = [choice for choice in DECODERS if choice["position"] == position]
    for choice in mine:
        n_heads, n_kv_heads = LAYOUTS[choice["layout"]]
        settings = {name: value for name, value in choice.items() if name != "layout"}
        try:
            same(config_of("tiny", **{**SMALL, "d_ff": 48, "n_heads": n_heads, "n_kv_heads": n_kv_heads, **settings}))
        except Exception as fault:
            raise AssertionError(f"{choice}: {fault}") from fault
    assert len(mine) > 8


def test_the_cover_has_every_part():
    for name, values in {**OTHERS, "mask": MASKS, "kernel": KERNELS, "position": POSITIONS}.items():
        assert {choice[name] for choice in DECODERS} == set(values)


@pytest.mark.parametrize("preset", [name for name in presets.family.names() if name != "hierarchical"])
def test_every_preset(preset):
    module = presets.family.module(preset)
    same(module.build(**{**module.EXAMPLE, "vocab_size": 50}))


PER_LAYER = {
    "two rotaries": dict(position=["rotary(base=10000.0)", "rotary(base=500000.0, scaling=linear(factor=8.0))"] * 2),
    "two ways to stretch": dict(
        position=["rotary(scaling=yarn(factor=4.0, original_context=32))", "rotary(scaling=llama3(factor=8.0))"] * 2
    ),
    "rotary and none": dict(position=["rotary", "rotary", "rotary", "none"]),
    "in scores and none": dict(position=["relative_t5", "none", "relative_xl", "alibi"]),
    "everywhere": dict(position=["learned", "rotary", "relative_shaw", "sinusoidal"]),
    "learned and none": dict(position=["learned", "none", "none", "none"]),
    "local and global": dict(mask=["causal & sliding_window(4)", "causal & sliding_window(4)", "causal & strided(3)", "causal"]),
    "masks in turn": dict(mask=["causal & sliding_window(4)", "causal"] * 2),
    "one sees all": dict(mask=["causal", "full", "documents", "causal"]),
    "both": dict(mask=["causal", "causal & sliding_window(3)"] * 2, position=["none", "rotary"] * 2),
}


@pytest.mark.parametrize("settings", PER_LAYER.values(), ids=PER_LAYER)
def test_layers_that_differ(settings):
    same(config_of("tiny", **{**SMALL, "n_layers": 4, "d_ff": 48, **settings}))


ENCODERS = {
    "plain": dict(),
    "pre-norm": dict(norm_placement="pre", n_segments=None, embedding_norm=False, embedding_scale=32**0.5),
    "scaled": dict(embedding_scale=3.0, dropout=0.1, position="sinusoidal", norm="rms_norm"),
    "local": dict(mask="sliding_window(3) | global_tokens(1)", position="alibi"),
    "linear": dict(kernel="linear", n_kv_heads=2),
}


@pytest.mark.parametrize("settings", ENCODERS.values(), ids=ENCODERS)
def test_encoders(settings):
    names = same(config_of("bert", **{**SMALL, **settings}))
    assert "Encoder" in names


@torch.no_grad()
def test_segments_of_a_pair():
    config = config_of("bert", **SMALL, heads=["next_sentence"])
    ours, theirs = lively(config), run(eject(config))["HeadedModel"]().eval()
    theirs.load_state_dict(ours.state_dict())
    ids, segments = random_ids(2, 9), (torch.arange(9) > 4).long().expand(2, -1)
    close(theirs(ids, segments), ours(ids, segments=segments))


SEQUENCES = {
    "plain": dict(),
    "gated, untied": dict(feedforward="glu(activation='gelu_tanh')", embeddings="untied", head_scale=1.0),
    "unequal depth": dict(n_decoder_layers=3, dropout=0.1),
    "rotary": dict(position="rotary", scale=None, norm="layer_norm", bias="all"),
    "learned": dict(position="learned", n_kv_heads=2, head_scale=0.5),
    "linear": dict(position="none", kernel="linear"),
}


@pytest.mark.parametrize("settings", SEQUENCES.values(), ids=SEQUENCES)
def test_encoder_decoders(settings):
    config = config_of("t5", **{**T5, **settings})
    if "position" in settings:  # the preset gives the writing side a bias of its own
        side = config.decoder_attention.model_copy(update={"position": settings["position"]})
        config = config.model_copy(update={"decoder_attention": side})
    same(config)


def test_two_sides_with_masks_and_positions_of_their_own():
    config = config_of("t5", **T5, mask="sliding_window(4) | global_tokens(1)", position="none")
    side = config.decoder_attention.model_copy(update={"mask": "causal & sliding_window(3)", "position": ["relative_t5", "rotary"]})
    same(config.model_copy(update={"decoder_attention": side}))


HEADS = [*examples(heads.family), *(f"classification(n_labels=4, pooling={p!r})" for p in ("pooler", "max", "first", "last"))]
HEADS += [f"pooling(kind={kind!r})" for kind in ("max", "first", "last")]


@pytest.mark.parametrize("head", HEADS)
def test_every_head_on_both_bodies(head):
    for settings in (dict(config_of("bert", **SMALL)), dict(config_of("tiny", **SMALL, d_ff=48, embeddings="untied", dropout=0.1))):
        same(model_config({**settings, "heads": [head]}))


def test_several_heads_on_one_body():
    same(config_of("bert", **SMALL, dropout=0.1, heads=["masked_lm", "classification", "pooler", "pooling"]))


@pytest.mark.parametrize("preset", ["gpt2", "llama", "bert", "t5"])
def test_fresh_weights_are_those_that_isinglass_makes(preset):
    config = config_of(preset, **{**SMALL, "d_head": 6, "d_ff": 48, "n_kv_heads": 2})
    ours, theirs = fresh(config, seed=3).state_dict(), run(eject(config))["fresh"](3).state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_greedy_continuation_is_that_of_isinglass(make_lm):
    from isinglass.generation.loop import generate

    lm = make_lm("tiny", attention={"mask": "causal & sliding_window(6)"})
    names = run(eject(lm.config))
    model = names["Decoder"]().eval()
    model.load_state_dict(lm.model.state_dict())
    ids = lm.encode("A greedy text")
    expected = generate(lm, ids, strategy="greedy", max_tokens=12, stop=[])
    assert names["generate"](model, torch.tensor([ids]), 12)[0, len(ids) :].tolist() == list(expected.ids)


SHOWN = {
    "gpt2": dict(dropout=0.1),
    "llama": dict(position="rotary(base=500000.0, scaling=llama3(factor=32.0))"),
    "mistral": dict(mask="causal & sliding_window(4)"),
    "mixtral": dict(),
    "bert": dict(heads=["masked_lm", "classification"]),
    "t5": dict(),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for each family, and one for each position, with masks of many kinds."""
    folder = tmp_path_factory.mktemp("ejected")
    for preset, settings in SHOWN.items():
        (folder / f"{preset}.py").write_text(eject(config_of(preset, **settings), source=preset), encoding="utf-8")
    many = [text for text in MASKS if "causal" in text][:8]
    for number, position in enumerate(POSITIONS):
        config = config_of("tiny", **{**SMALL, "n_layers": 8, "position": [position, "none"] * 4, "mask": many})
        (folder / f"many_{number}.py").write_text(eject(config, source="x " * 99), encoding="utf-8")
    return folder


def test_files_are_tidy_as_they_are(folder):
    for command in (["format", "--check"], ["check", "--select", "E,F,W,I,UP"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--config", "line-length=140", str(folder)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_holds_only_what_its_model_uses(folder):
    gpt2, llama = ((folder / f"{name}.py").read_text("utf-8") for name in ("gpt2", "llama"))
    assert 120 <= llama.count("\n") <= 250 and 120 <= gpt2.count("\n") <= 220
    assert "class Learned" in gpt2 and "DROPOUT = 0.1" in gpt2 and "N_KV_HEADS" not in gpt2 and "repeat_interleave" not in gpt2
    assert "class Rotary" in llama and "class Llama3" in llama and "ropout" not in llama and "class LayerNorm" not in llama
    for text in (gpt2, llama):
        assert not any(word in text for word in ("tap", "cache:", "Slots", "jaxtyping", "import isinglass", "from isinglass", "joint"))


def test_every_name_that_is_defined_is_used(folder):
    for path in folder.glob("*.py"):
        text = path.read_text("utf-8")
        tree = ast.parse(text)
        names = [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
        names += [node.targets[0].id for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
        read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        assert set(names) <= read, path.name


PROGRAMS = """
import runpy, sys
sys.modules["isinglass"] = sys.modules["jaxtyping"] = None  # importing them is an error
for arguments in {arguments!r}:
    sys.argv = arguments
    print("run")
    runpy.run_path(arguments[0], run_name="__main__")
"""


def test_as_programs_files_count_and_run_with_weights_of_both_kinds(tmp_path):
    shapes = {"gpt2": "logits [1, 8, 50]", "t5": "logits [1, 1, 50]", "bert": "masked_lm [1, 8, 50]"}
    arguments, counts = [], []
    for preset in shapes:
        settings = {**SMALL, "d_head": 8, "d_ff": 48} | ({"heads": ["masked_lm"]} if preset == "bert" else {})
        model, start = lively(config_of(preset, **settings)), str(tmp_path / preset)
        Path(f"{start}.py").write_text(eject(model.config), encoding="utf-8")
        save_file({name: weight.detach().contiguous() for name, weight in model.state_dict().items()}, f"{start}.safetensors")
        torch.save(model.state_dict(), f"{start}.pt")
        arguments += [[f"{start}.py"], [f"{start}.py", f"{start}.safetensors"], [f"{start}.py", f"{start}.pt"]]
        counts.append(f"{sum(weight.numel() for weight in model.parameters()):,} parameters")
    done = subprocess.run([sys.executable, "-c", PROGRAMS.format(arguments=arguments)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    said = done.stdout.split("run\n")[1:]
    assert len(said) == 9
    for number, (preset, shape) in enumerate(shapes.items()):
        fresh, *loaded = said[3 * number : 3 * number + 3]
        assert all(counts[number] in each and shape in each for each in (fresh, *loaded))
        assert loaded[0] == loaded[1] and (preset == "bert" or loaded[0] != fresh)


def test_a_text_longer_than_the_context_is_refused():
    model = run(eject(config_of("tiny", **{**SMALL, "context_length": 8})))["Decoder"]()
    with pytest.raises(ValueError, match="9 tokens do not fit the context of 8"):
        model(random_ids(1, 9))


def test_what_was_typed_cannot_break_the_file():
    source = 'C:\\new\\x"""\nimport os'
    text = eject(config_of("tiny"), source=source)
    assert r"C:\new\x'''" in str(ast.get_docstring(ast.parse(text)))
    assert "Decoder" in run(text)


def test_dropout_is_active_while_training_alone():
    names = same(config_of("gpt2", **SMALL, dropout=0.5))
    model = names["fresh"](0)
    ids = random_ids(1, 9)
    assert not torch.equal(model.train()(ids), model.train()(ids)) and torch.equal(model.eval()(ids), model.eval()(ids))


def test_hierarchical_models_are_refused():
    with pytest.raises(EngineError) as caught:
        eject(config_of("hierarchical"))
    assert "cannot eject a hierarchical model" in str(caught.value)


PART = """
from isinglass.nn.attention.{module} import {base}
class Mine({base}):
    {body}
def build(dims):
    return Mine()
"""


@pytest.mark.parametrize(
    ("family", "base", "body"),
    [
        ("position", "Position", "def rotate(self, x, slots): return x"),
        ("mask", "Mask", "def allow(self, q, k): return k.position[:, None] >= 0"),
    ],
)
def test_parts_from_a_file_of_the_users_are_refused(family, base, body, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PART.format(module=family, base=base, body=body), encoding="utf-8")
    with pytest.raises(EngineError) as caught:
        eject(config_of("tiny", **SMALL, **{family: str(path)}))
    assert f"cannot eject the {family} isinglass_user_mine.Mine: only parts that come with isinglass can be" in str(caught.value)


def test_a_mix_of_linear_and_softmax_attention_is_refused():
    with pytest.raises(EngineError) as caught:
        eject(config_of("tiny", **SMALL, kernel=["linear", "sdpa"]))
    assert "layers differ in heads, scale, biases, or in linear and softmax attention" in str(caught.value)


def test_an_edit_that_finds_nothing_is_an_error():
    with pytest.raises(EngineError) as caught:
        piece("isinglass.nn.norms", "RMSNorm", Edits({"x.double()": "x"}))
    assert "cannot eject isinglass.nn.norms.RMSNorm: its source no longer has 'x.double()'" in str(caught.value)
