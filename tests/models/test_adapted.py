"""Adapters in whole models of every architecture: start, formula, merge, files, generation; oracles are torch and transformers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import isinglass as ig
from helpers.tensors import Scores, random_ids, randomised, real, slots_of
from isinglass.core.errors import CheckpointError, EngineError, VariantError
from isinglass.generation.lm import LM
from isinglass.models.adapted import adapt, adapter_names, adapter_of, drift, merge, settled, unmerge, without_adapters
from isinglass.models.adapter_file import adapter_state, load_adapter, save_adapter
from isinglass.models.cache import new_cache
from isinglass.models.checkpoint import read_model, write_huggingface
from isinglass.models.hierarchical import Levels
from isinglass.models.pack import pack
from isinglass.models.presets import bert, gpt2, hierarchical, llama, mixtral, t5, tiny
from isinglass.models.transformer import Decoder, Model, assembled, on_meta
from isinglass.nn.adapter import AdaptedLinear, adapters_off
from isinglass.nn.quantized import QuantizedLinear, fastest_product

SMALL: dict[str, Any] = dict(vocab_size=50, context_length=64)
CONFIGS = {
    "gpt2": gpt2.build(**SMALL, n_layers=2, d_model=32, n_heads=4),
    "llama": tiny.build(**SMALL),
    "untied": tiny.build(**SMALL, embeddings="untied"),
    "moe": mixtral.build("8x7b", **{**mixtral.EXAMPLE, **SMALL}),
    "bert": bert.build(**SMALL, n_layers=2, d_model=32, n_heads=4, heads=["masked_lm", "classification(n_labels=3)", "span"]),
    "bare bert": bert.build(**SMALL, n_layers=2, d_model=32, n_heads=4, heads=[]),
    "decoder with a head": gpt2.build(
        **SMALL, n_layers=2, d_model=32, n_heads=4, heads=["classification(n_labels=2, pooling='last')", "reward"]
    ),
    "t5": t5.build(n_layers=2, d_model=32, n_heads=4, d_head=8, d_ff=48, vocab_size=50),
    "hierarchical": hierarchical.build(n_layers=1, d_model=32, n_heads=4, vocab_size=50),
}
LIVELY_LORA = "lora(rank=3, alpha=6)"


def plain(name: str) -> Model:
    return randomised(assembled(CONFIGS[name]), 0).eval()  # type: ignore[return-value]


def inputs(name: str) -> tuple[Tensor, ...]:
    if name == "hierarchical":
        return (random_ids(2, 3, 5),)
    return (random_ids(2, 9), random_ids(2, 5, seed=1)) if name == "t5" else (random_ids(2, 9),)


def answers(model: Model, name: str) -> list[Tensor]:
    with torch.no_grad():
        answer: Any = model(*inputs(name))
    if isinstance(answer, Levels):
        return [answer.tokens, answer.documents]
    return list(answer.values()) if isinstance(answer, dict) else [answer]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def trained(model: Model, adapter: str) -> Model:
    """Adapted, with parameters as after some training: of a size that changes the answers."""
    adapted = adapt(model, adapter, seed=5)
    generator = torch.Generator().manual_seed(9)
    for name, weight in adapted.named_parameters():
        if weight.requires_grad:
            spread = 1.0 if name.endswith((".k", ".v")) else 0.3 / weight.shape[1] ** 0.5
            weight.data.copy_(spread * torch.randn(weight.shape, generator=generator))
    return adapted


@pytest.fixture(params=CONFIGS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_lora_starts_as_the_base_model_bit_for_bit(name: str) -> None:
    base = plain(name)
    assert same(answers(adapt(base, "lora(rank=2)"), name), answers(base, name))


def test_a_lora_computes_with_w_plus_scaled_b_a(name: str) -> None:
    """The weights of a second model are changed by hand."""
    base, by_hand = plain(name), plain(name)
    adapted = trained(base, LIVELY_LORA)
    state, weights = adapter_state(adapted), by_hand.state_dict()
    layers = {key.removesuffix(".adapter.a") for key in state if key.endswith(".a")}
    for layer in layers:
        weights[f"{layer}.weight"] += 2.0 * state[f"{layer}.adapter.b"] @ state[f"{layer}.adapter.a"]
    ours, theirs = answers(adapted, name), answers(by_hand, name)
    assert not torch.allclose(ours[0], answers(base, name)[0], atol=1e-2)
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)
    linears = {layer for layer, module in base.named_modules() if isinstance(module, nn.Linear)}
    assert layers == linears


@pytest.mark.parametrize("adapter", [LIVELY_LORA, "prefix(length=3)"])
def test_off_is_the_base_model_bit_for_bit_and_in_this_thread_alone(name: str, adapter: str) -> None:
    base = plain(name)
    adapted = trained(base, adapter)
    on, expected, elsewhere = answers(adapted, name), answers(base, name), []
    assert not torch.allclose(on[0], expected[0], atol=1e-3)
    with adapters_off():
        assert same(answers(adapted, name), expected)
        other = threading.Thread(target=lambda: elsewhere.extend(answers(adapted, name)))
        other.start()
        other.join()
    assert same(elsewhere, on)
    assert same(answers(without_adapters(adapted), name), expected)


@pytest.mark.parametrize("adapter", ["lora(rank=2)", "prefix(length=3)"])
def test_only_the_adapter_trains_and_the_base_model_is_untouched(name: str, adapter: str) -> None:
    base = plain(name)
    before = {key: weight.clone() for key, weight in base.state_dict().items()}
    adapted = trained(base, adapter).train()
    own = {key for key, weight in adapted.named_parameters() if weight.requires_grad}
    assert own == adapter_names(adapted) == set(adapter_state(adapted))
    assert {key for key, _ in adapted.named_parameters()} - own == {key for key, _ in base.named_parameters()}
    optimizer = torch.optim.SGD([weight for weight in adapted.parameters() if weight.requires_grad], lr=0.1)
    answer: Any = adapted(*inputs(name))
    found = [answer.documents] if isinstance(answer, Levels) else list(answer.values()) if isinstance(answer, dict) else [answer]
    torch.stack([each.square().mean() for each in found]).sum().backward()
    optimizer.step()
    assert any(bool((weight.grad != 0).any()) for weight in adapted.parameters() if weight.grad is not None)
    assert all(torch.equal(weight, before[key]) for key, weight in base.state_dict().items())
    assert all(weight.requires_grad and weight.grad is None for weight in base.parameters())
    shared = dict(base.named_parameters())
    assert all(weight.data_ptr() == shared[key].data_ptr() for key, weight in adapted.named_parameters() if key in shared)


def test_merge_is_idempotent_and_unmerge_goes_back_with_measured_drift(name: str) -> None:
    base = plain(name)
    adapted = trained(base, LIVELY_LORA)
    merged = merge(adapted)
    assert merge(merged) is merged
    assert adapter_of(merged) is None
    assert {key: t.shape for key, t in merged.state_dict().items()} == {key: t.shape for key, t in base.state_dict().items()}
    assert 0 < drift(merged, base, *inputs(name)) != drift(merged, adapted, *inputs(name)) < 2e-5
    assert drift(unmerge(merged, adapted), base, *inputs(name)) < 2e-5
    assert same(answers(merge(adapted), name), answers(merged, name))  # the adapted model was not changed by it


def test_a_merge_in_bf16_is_summed_in_fp32() -> None:
    base = plain("llama").to(torch.bfloat16)
    adapted = trained(base, LIVELY_LORA)
    assert {weight.dtype for weight in adapter_state(adapted).values()} == {torch.float32}
    key, state = "layers.1.mlp.up_proj", adapter_state(adapted)
    exact = base.state_dict()[f"{key}.weight"].float() + 2.0 * state[f"{key}.adapter.b"] @ state[f"{key}.adapter.a"]
    assert torch.equal(merge(adapted).state_dict()[f"{key}.weight"], exact.bfloat16())
    assert adapted(*inputs("llama")).dtype == torch.bfloat16
    assert drift(merge(adapted), adapted, *inputs("llama")) > 0


def test_the_drift_of_a_model_in_training_leaves_dropout_out() -> None:
    model = randomised(assembled(CONFIGS["llama"].model_copy(update={"dropout": 0.5}))).train()
    assert drift(model, model, *inputs("llama")) == 0.0  # type: ignore[arg-type]
    assert model.training


def test_the_same_seed_gives_the_same_bytes() -> None:
    base = plain("gpt2")
    for adapter in ("lora(rank=2)", "prefix(length=3)"):
        one, two, other = (adapter_state(adapt(base, adapter, seed=seed)) for seed in (1, 1, 2))
        assert all(torch.equal(one[key], two[key]) for key in one)
        assert any(not torch.equal(one[key], other[key]) for key in one)


def count(model: Model) -> int:
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def test_the_books_counts() -> None:
    """Raschka, Build a Large Language Model, appendix E and chapter 7's exercises: rank x sum(in + out) over linear layers."""
    classifier = on_meta(gpt2.build("124m", heads=["classification(n_labels=2, pooling='last')"]))
    assert sum(weight.numel() for weight in classifier.parameters()) == 124_441_346
    assert count(adapt(classifier, "lora(rank=16, alpha=16)")) == 2_666_528 == 12 * 221_184 + 12_320
    medium = on_meta(gpt2.build("355m", embeddings="untied"))
    assert count(adapt(medium, "lora(rank=16, alpha=16)")) == 7_898_384 == 24 * 294_912 + 820_496


def test_counts_of_parts_and_of_a_prefix() -> None:
    small = on_meta(gpt2.build("124m"))
    assert count(adapt(small, "lora(rank=8, targets='attention')")) == 12 * 8 * 4 * (768 + 768)
    assert count(adapt(small, "lora(rank=8, targets='mlp')")) == 12 * 8 * 2 * (768 + 3072)
    assert count(adapt(small, "lora(rank=8, targets=('q_proj', 'v_proj'))")) == 12 * 8 * 2 * (768 + 768)
    assert count(adapt(small, "lora(rank=8, targets='q_proj')")) == 12 * 8 * (768 + 768)
    assert count(adapt(small, "prefix(length=16)")) == 12 * 2 * 16 * 768
    grouped = on_meta(llama.build(**{**llama.EXAMPLE, "n_heads": 4, "n_kv_heads": 2, "d_model": 32, "n_layers": 2}))  # type: ignore[arg-type]
    assert count(adapt(grouped, "prefix(length=5)")) == 2 * 2 * 5 * 2 * 8
    assert count(adapt(on_meta(CONFIGS["t5"]), "prefix(length=5)")) == (2 + 2 + 2) * 2 * 5 * 4 * 8  # encoder, decoder, cross-attention


@pytest.mark.parametrize(("model", "target", "says"), [
    ("llama", "'q_prj'", "unknown target 'q_prj' in lora(targets=...)\n  known: all, attention, down_proj, gate_proj, k_proj, mlp, o_proj, "),
    ("llama", "'q_prj'", "hint: did you mean 'q_proj'?"),
    ("llama", "('q_proj', 'lm_head')", "unknown target 'lm_head'"),  # tied: there is no such layer
    ("gpt2", "'gate_proj'", "unknown target 'gate_proj'"),
    ("gpt2", "'head'", "unknown target 'head'"),
])  # fmt: skip
def test_targets_that_match_nothing(model: str, target: str, says: str) -> None:
    with pytest.raises(VariantError) as caught:
        adapt(plain(model), f"lora(targets={target})")
    assert says in str(caught.value)


def test_what_cannot_be_adapted_merged_or_unmerged() -> None:
    base = plain("llama")
    adapted, prefixed = adapt(base, "lora(rank=2)"), adapt(base, "prefix(length=2)")
    with pytest.raises(EngineError, match=r"has an adapter already: lora\(rank=2, alpha=2\.0.*\nhint: merge it first, or adapt the model"):
        adapt(adapted, "prefix")
    with pytest.raises(EngineError, match=r"a packed model takes no adapter.*\nhint: adapt the model it was packed from"):
        adapt(pack(base), "lora")
    with pytest.raises(
        EngineError, match=r"prefix\(length=2\) cannot be merged: layers\.0\.attention reads keys.*\nhint: save the adapter"
    ):
        merge(prefixed)
    other = assembled(tiny.build(**SMALL, d_ff=20))
    with pytest.raises(
        EngineError, match=r"cannot unmerge layers\.0\.mlp\.gate_proj: the adapter changes \[\d+, 64\], the merged model has \[20, 64\]"
    ):
        unmerge(other, adapted)
    with pytest.raises(EngineError, match=r"cannot unmerge layers\.0\.mlp\.gate_proj: .* has no such linear layer"):
        unmerge(plain("gpt2"), adapt(base, "lora(targets='mlp')"))


# files


@pytest.mark.parametrize("adapter", ["lora(rank=3, alpha=6, targets=('q_proj', 'mlp'))", "prefix(length=3)"])
def test_an_adapter_alone_in_a_file(adapter: str, tmp_path: Path) -> None:
    base = plain("gpt2")
    adapted = trained(base, adapter)
    save_adapter(adapted, tmp_path / "adapter.safetensors")
    again = load_adapter(plain("gpt2"), tmp_path / "adapter.safetensors")
    assert same(answers(again, "gpt2"), answers(adapted, "gpt2"))
    assert {key for key, weight in again.named_parameters() if weight.requires_grad} == adapter_names(adapted)
    assert [file.name for file in tmp_path.iterdir()] == ["adapter.safetensors"]


def test_an_adapter_of_another_model_is_refused_with_both_shapes(tmp_path: Path) -> None:
    file = tmp_path / "adapter.safetensors"
    save_adapter(adapt(plain("gpt2"), "lora(rank=2, targets='attention')"), file)
    wider = assembled(gpt2.build(**SMALL, n_layers=1, d_model=48, n_heads=4))
    with pytest.raises(CheckpointError) as caught:
        load_adapter(wider, file)
    told = str(caught.value)
    assert f"the weights in {file} do not fit the model" in told
    assert "shape: layers.0.attention.q_proj.adapter.a is [2, 32] in the file, [2, 48] in the model" in told
    assert "unexpected: layers.1.attention.q_proj.adapter.a [2, 32]" in told


def test_files_that_hold_no_adapter(tmp_path: Path) -> None:
    file = tmp_path / "adapter.safetensors"
    base = plain("gpt2")
    with pytest.raises(CheckpointError, match=r"no file .*adapter\.safetensors"):
        load_adapter(base, file)
    file.write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match=r"cannot read .*\nhint: the file is damaged"):
        load_adapter(base, file)
    with pytest.raises(CheckpointError, match="the model has no adapter to save\nhint: adapt"):
        save_adapter(base, file)
    folder = ig.export(ig.create("tiny"), tmp_path / "model", format="isinglass")
    with pytest.raises(CheckpointError, match=r"model\.safetensors' holds no adapter\nhint: save one"):
        load_adapter(base, folder / "model.safetensors")


# transformers


@pytest.mark.parametrize("kind", ["gpt2", "llama untied", "mixtral"])
def test_a_merged_lora_is_what_transformers_reads(kind: str, save_theirs: Callable[..., tuple[Any, Path]], tmp_path: Path) -> None:
    import transformers

    _, folder = save_theirs(kind)
    adapted = trained(read_model(folder), LIVELY_LORA)
    write_huggingface(adapted, tmp_path)  # type: ignore[arg-type]
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    ids = random_ids(2, 9, vocab=256)
    with torch.no_grad():
        torch.testing.assert_close(adapted(ids), theirs(ids).logits, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["gpt2", "llama untied", "llama tied"])
def test_a_prefix_is_past_keys_and_values_of_transformers(kind: str, save_theirs: Callable[..., tuple[Any, Path]]) -> None:
    """Their cache is filled with the prefix, and the text told to count from 0."""
    import transformers

    theirs, folder = save_theirs(kind)
    adapted, ids = trained(read_model(folder), "prefix(length=4)"), random_ids(2, 9, vocab=256)
    past = transformers.DynamicCache()
    for number, layer in enumerate(adapted.layers):  # type: ignore[arg-type]
        past.update(*(x.detach().expand(2, -1, -1, -1) for x in (layer.attention.adapter.k, layer.attention.adapter.v)), number)
    with torch.no_grad():
        expected = theirs(ids, past_key_values=past, position_ids=torch.arange(9).expand(2, -1), attention_mask=torch.ones(2, 13)).logits
        torch.testing.assert_close(adapted(ids), expected, atol=2e-5, rtol=1e-4)


# generation


# mask and rows: a rolling cache keeps the first places of a batch, which must be tokens where a mask always looks at the first ones
CACHED = [
    ("causal", "padded_left"), ("causal & sliding_window(4)", "padded_left"), ("causal & (sliding_window(3) | global_tokens(2))", "plain"),
]  # fmt: skip


@pytest.mark.parametrize("adapter", [LIVELY_LORA, "prefix(length=3)"])
@pytest.mark.parametrize(("rule", "rows"), CACHED)
@torch.no_grad()
def test_cached_equals_one_pass(adapter: str, rule: str, rows: str) -> None:
    model = trained(randomised(assembled(tiny.build(**SMALL, mask=rule, position="alibi"))).eval(), adapter)  # type: ignore[arg-type]
    ids, slots = random_ids(2, 12), slots_of(rows, 12)
    whole, seen = model(ids, slots=slots), real(slots)
    for kind in (None, "contiguous"):
        cache = new_cache(model, batch=2, capacity=12, kind=kind)  # type: ignore[arg-type]
        steps = [model(ids[:, a:b], slots=slots.part(slice(a, b)), cache=cache) for a, b in ((0, 7), (7, 8), (8, 11), (11, 12))]
        torch.testing.assert_close(torch.cat(steps, dim=1)[seen], whole[seen], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("adapter", [LIVELY_LORA, "prefix(length=3)"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "untied", "moe"])
@torch.no_grad()
def test_packed_equals_plain_and_freezes_nothing(name: str, adapter: str) -> None:
    adapted = trained(plain(name), adapter)
    packed = pack(adapted)
    torch.testing.assert_close(packed(*inputs(name)), adapted(*inputs(name)), atol=1e-5, rtol=1e-5)
    assert all(weight.requires_grad for key, weight in adapted.named_parameters() if key in adapter_names(adapted))
    assert not any(isinstance(layer, AdaptedLinear) for layer in packed.modules())


def lm_with(lm: LM, adapter: str) -> LM:
    return LM(trained(lm.model, adapter), lm.tokenizer, end_ids=lm.end_ids)


@torch.no_grad()
def greedy(model: Decoder, ids: list[int], n: int) -> list[int]:
    for _ in range(n):
        ids = [*ids, int(model(torch.tensor([ids]))[0, -1].argmax())]
    return ids[-n:]


@pytest.mark.parametrize("adapter", [LIVELY_LORA, "prefix(length=3)"])
@pytest.mark.parametrize("strategy", ["greedy", "beam(n_beams=1)", "speculative(draft=prompt_lookup())"])
def test_generate_writes_what_the_model_says(make_lm: Callable[..., LM], adapter: str, strategy: str) -> None:
    base = make_lm("tiny")
    lm = lm_with(base, adapter)
    prompts = ["abcabcab", "xyz"]
    expected = [greedy(lm.decoder, lm.encode(prompt), 8) for prompt in prompts]
    given = [each.ids for each in ig.generate(lm, prompts, strategy=strategy, max_tokens=8, ignore_end=True)]
    assert given == expected
    with adapters_off():
        off = [each.ids for each in ig.generate(lm, prompts, max_tokens=8, ignore_end=True)]
    assert off == [greedy(base.decoder, base.encode(prompt), 8) for prompt in prompts]
    assert off != given
    assert [each.ids for each in ig.generate(lm, prompts, max_tokens=8, ignore_end=True)] == expected


def test_compile_refuses_a_prefix(make_lm: Callable[..., LM]) -> None:
    lm = lm_with(make_lm("tiny"), "prefix(length=3)")
    with pytest.raises(EngineError, match=r"compile = True with prefix\(length=3\).*\nhint: leave compile=True out"):
        ig.generate(lm, "ab", max_tokens=2, compile=True)


def test_quantised_products_keep_to_layers_that_the_adapter_left_alone(smollm2: LM) -> None:
    """A GGUF's own codes hold the base weights: in the adapted layers they would undo the adapter."""
    adapted = trained(smollm2.model, "lora(rank=1, targets='o_proj')")
    lm = LM(adapted, smollm2.tokenizer, smollm2.card, smollm2.end_ids, smollm2.file)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        expected, given = adapted(ids), lm.packed()(ids)
    assert (expected - smollm2.model(ids)).abs().max() > 0.5
    torch.testing.assert_close(given, expected, atol=2e-3, rtol=1e-3)
    coded = {name.rpartition(".")[2] for name, layer in lm.packed().named_modules() if isinstance(layer, QuantizedLinear)}
    assert "o_proj" not in coded
    assert ("linear" in coded) == (fastest_product(torch.float32) is not None)  # the joint products of q, k, v


def test_looking_inside_a_prefixed_model(make_lm: Callable[..., LM]) -> None:
    lm = lm_with(make_lm("tiny"), "prefix(length=3)")
    ids = torch.tensor([lm.encode("abcdef")])
    with torch.no_grad():
        torch.testing.assert_close(lm.decoder(ids, tap=Scores()), lm.decoder(ids), atol=1e-5, rtol=1e-5)
    trace = ig.trace(lm, ["abcdef", "xy"])
    assert trace["layers.0.attention.weights"].shape[-2:] == (6, 9)  # the keys of the prefix stand first
    for row, n in enumerate((6, 2)):
        weights = trace.attention_weights(row)
        assert weights.shape[-2:] == (n, n)
        assert bool((weights.triu(1) == 0).all())
        assert bool((weights.sum(-1) < 1).all())  # the rest looks at the prefix


@pytest.mark.parametrize("format", ["huggingface", "isinglass"])
def test_export_merges_a_lora(make_lm: Callable[..., LM], tmp_path: Path, format: Any) -> None:
    lm = lm_with(make_lm("tiny"), LIVELY_LORA)
    again = ig.load(ig.export(lm, tmp_path / "lora", format=format))
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(again.decoder(ids), settled(lm.decoder)(ids))


def test_hugging_faces_form_refuses_a_prefix_and_ours_keeps_it(make_lm: Callable[..., LM], tmp_path: Path) -> None:
    lm, ids = lm_with(make_lm("tiny"), "prefix(length=3)"), torch.tensor([[1, 2, 3]])
    assert torch.equal(ig.load(ig.export(lm, tmp_path / "ours", format="isinglass")).decoder(ids), lm.decoder(ids))
    with pytest.raises(EngineError, match=r"prefix\(length=3\) cannot be merged"):
        ig.export(lm, tmp_path / "prefix")
    assert not list((tmp_path / "prefix").glob("*.safetensors"))
