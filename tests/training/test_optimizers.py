"""AdamW against its formula, Muon against the paper's promises; groups, recovery, exact resumption."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import Parameter

from isinglass.core.errors import ConfigError, VariantError
from isinglass.models.presets import gpt2
from isinglass.models.transformer import Decoder, on_meta
from isinglass.training import optimizers
from isinglass.training.optimizers.muon import orthogonalised

FAMILY = optimizers.family
EVERY = ["adamw(lr=0.01)", "muon(lr=0.01)"]


def character_model(n_layers: int, d_model: int, context_length: int) -> Decoder:
    """The shape of nanoGPT's character models, without biases outside of norms."""
    shape = dict(n_layers=n_layers, d_model=d_model, n_heads=n_layers, vocab_size=65, context_length=context_length)
    return on_meta(gpt2.build(**shape, bias="none", feedforward="mlp(activation='gelu', bias=False)"))


def parameters(*named: tuple[str, tuple[int, ...]], seed: int = 0) -> list[tuple[str, Parameter]]:
    generator = torch.Generator().manual_seed(seed)
    return [(name, Parameter(torch.randn(*shape, generator=generator))) for name, shape in named]


SMALL = (
    ("embed_tokens.weight", (7, 4)),
    ("layers.0.mlp.up_proj.weight", (6, 4)),
    ("layers.0.mlp.down_proj.weight", (4, 6)),
    ("norm.weight", (4,)),
)


def give_gradients(named: list[tuple[str, Parameter]], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _, parameter in named:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def groups_of(recipe: str, model: nn.Module) -> list[tuple[int, int, float]]:
    made = FAMILY.resolve(recipe).make(list(model.named_parameters()))
    return [(len(g["params"]), sum(p.numel() for p in g["params"]), g["weight_decay"]) for g in made.param_groups]


def test_groups_of_the_character_models() -> None:
    # the CPU model: 4 layers of 6 matrices, two embeddings; norms: 9 weights and 9 biases of 128
    assert groups_of("adamw", character_model(4, 128, 64)) == [(26, 802_944, 0.1), (18, 2_304, 0.0)]
    # the 10.65M model decays 10,740,096 parameters (26 tensors where q, k and v are one)
    assert groups_of("adamw", character_model(6, 384, 256)) == [(38, 10_740_096, 0.1), (26, 9_984, 0.0)]
    # Muon: the matrices of the blocks, 4 (4 128^2 + 8 128^2), then embeddings, then norms
    assert groups_of("muon", character_model(4, 128, 64)) == [(24, 786_432, 0.1), (2, 16_512, 0.1), (18, 2_304, 0.0)]


@pytest.mark.parametrize("recipe", EVERY)
def test_every_group_says_its_base_rate_and_holds_each_parameter_once(recipe: str) -> None:
    named = parameters(*SMALL)
    made = FAMILY.resolve(recipe).make(named)
    assert (
        [group["base_lr"] for group in made.param_groups] == [group["lr"] for group in made.param_groups] == [0.01] * len(made.param_groups)
    )
    held = [id(p) for group in made.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for _, p in named)


def test_the_rest_may_have_its_own_rate_beside_muon() -> None:
    made = FAMILY.resolve("muon(lr=0.02, adam_lr=0.003)").make(parameters(*SMALL))
    assert [group["base_lr"] for group in made.param_groups] == [0.02, 0.003, 0.003]


@pytest.mark.parametrize("recipe", EVERY)
def test_frozen_parameters_are_left_alone(recipe: str) -> None:
    named = parameters(*SMALL)
    named[1][1].requires_grad_(False)
    made = FAMILY.resolve(recipe).make(named)
    assert sum(len(group["params"]) for group in made.param_groups) == 3
    for _, parameter in named:
        parameter.requires_grad_(False)
    with pytest.raises(ConfigError, match=r"none of 4 parameters is to be trained\nhint: train with strategy='all', or with an adapter"):
        FAMILY.resolve(recipe).make(named)


def adamw_by_hand(weight: Tensor, gradients: list[Tensor], rate: float, decay: float) -> Tensor:
    """Loshchilov and Hutter 2019, algorithm 2, in fp64; betas 0.9 and 0.95."""
    w, m, v = weight.double(), torch.zeros(weight.shape).double(), torch.zeros(weight.shape).double()
    for t, gradient in enumerate(gradients, start=1):
        g = gradient.double()
        m, v = 0.9 * m + 0.1 * g, 0.95 * v + 0.05 * g**2
        w = w - rate * decay * w - rate * (m / (1 - 0.9**t)) / ((v / (1 - 0.95**t)).sqrt() + 1e-8)
    return w


@pytest.mark.parametrize(("recipe", "tested"), [("adamw(lr=0.01)", [0, 1, 2, 3]), ("muon(lr=0.01)", [0, 3])])
def test_ten_steps_of_adamw_are_its_formula(recipe: str, tested: list[int]) -> None:
    named = parameters(*SMALL)
    before = [parameter.detach().clone() for _, parameter in named]
    made, seen = FAMILY.resolve(recipe).make(named), []
    for seed in range(10):
        give_gradients(named, seed)
        seen.append([parameter.grad for _, parameter in named])
        made.step()
    for i in tested:
        by_hand = adamw_by_hand(before[i], [gradients[i] for gradients in seen], 0.01, 0.1 if before[i].dim() == 2 else 0.0)
        torch.testing.assert_close(named[i][1].detach(), by_hand.float(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_three_steps_of_muon_are_its_formula(shape: tuple[int, int]) -> None:
    """Nesterov momentum, five quintic steps by singular values, the scale of AdamW: each written out in fp64."""
    named = parameters(("layers.0.attention.q_proj.weight", shape))
    weight, momentum = named[0][1].detach().double().clone(), torch.zeros(shape).double()
    made = FAMILY.resolve("muon(lr=0.01)").make(named)
    for seed in range(3):
        give_gradients(named, seed)
        gradient = named[0][1].grad
        assert gradient is not None
        made.step()
        momentum = 0.95 * momentum + gradient.double()
        u, s, v = torch.linalg.svd(gradient.double() + 0.95 * momentum, full_matrices=False)
        s = s / s.square().sum().sqrt()
        for _ in range(5):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        weight = weight * (1 - 0.01 * 0.1) - 0.01 * 0.2 * math.sqrt(max(shape)) * (u * s) @ v
    torch.testing.assert_close(named[0][1].detach(), weight.float(), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("shape", [(8, 16, 16), (3, 16, 64), (1, 1, 9)])
def test_singular_values_become_nearly_one(shape: tuple[int, int, int]) -> None:
    """Of matrices whose condition number is at most 30: smaller ones than a thirtieth are on their way."""
    generator = torch.Generator().manual_seed(0)
    u, s, v = torch.linalg.svd(torch.randn(*shape, generator=generator), full_matrices=False)
    values = torch.linalg.svdvals(orthogonalised(100 * (u * s.clamp(min=float(s.max()) / 30).unsqueeze(-2)) @ v))
    assert 0.65 < values.min() <= values.max() < 1.25


def test_matrices_of_a_batch_do_not_know_each_other() -> None:
    batch = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0))
    alone = torch.cat([orthogonalised(matrix[None]) for matrix in batch])
    torch.testing.assert_close(orthogonalised(batch), alone)
    assert torch.equal(orthogonalised(torch.zeros(1, 2, 3)), torch.zeros(1, 2, 3))


def test_muon_is_torchs_own_up_to_its_bf16() -> None:
    theirs_of: Any = getattr(torch.optim, "Muon", None)
    if theirs_of is None:
        pytest.skip("this torch has no Muon")
    ours, theirs = parameters(("layers.3.mlp.up_proj.weight", (48, 16))), parameters(("layers.3.mlp.up_proj.weight", (48, 16)))
    before = ours[0][1].detach().clone()
    a = FAMILY.resolve("muon(lr=0.01)").make(ours)
    # torch's momentum is a mean and ours, as Jordan's, a sum: the direction is the same
    b = theirs_of([theirs[0][1]], lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for seed in range(3):
        for named, optimizer in ((ours, a), (theirs, b)):
            give_gradients(named, seed)
            optimizer.step()
    moved, expected = ours[0][1].detach() - before, theirs[0][1].detach() - before
    assert (moved - expected).norm() / expected.norm() < 0.02


@pytest.mark.parametrize("recipe", ["adamw(lr=0.05, weight_decay=0.0)", "muon(lr=0.2, weight_decay=0.0)"])
def test_a_linear_map_is_recovered(recipe: str) -> None:
    generator = torch.Generator().manual_seed(0)
    wanted, x = torch.randn(8, 12, generator=generator), torch.randn(64, 12, generator=generator)
    weight = Parameter(torch.zeros(8, 12))
    optimizer = FAMILY.resolve(recipe).make([("layers.0.mlp.up_proj.weight", weight)])
    for step in range(200):
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * (1 - step / 200)
        optimizer.zero_grad()
        (x @ (weight - wanted).T).square().mean().backward()
        optimizer.step()
    assert (weight - wanted).abs().max() < 0.02


@pytest.mark.parametrize("recipe", EVERY)
def test_an_interrupted_run_ends_with_the_same_bits(recipe: str) -> None:
    def moved(named: list[tuple[str, Parameter]], optimizer: torch.optim.Optimizer, seeds: range) -> None:
        for seed in seeds:
            give_gradients(named, seed)
            optimizer.step()

    whole = parameters(*SMALL)
    moved(whole, FAMILY.resolve(recipe).make(whole), range(9))
    first = parameters(*SMALL)
    begun = FAMILY.resolve(recipe).make(first)
    moved(first, begun, range(4))
    second = [(name, Parameter(parameter.detach().clone())) for name, parameter in first]
    resumed = FAMILY.resolve(recipe).make(second)
    resumed.load_state_dict(begun.state_dict())
    moved(second, resumed, range(4, 9))
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(whole, second, strict=True))


@pytest.mark.parametrize("recipe", EVERY)
def test_a_parameter_without_gradient_stays(recipe: str) -> None:
    named = parameters(*SMALL)
    give_gradients(named, 0)
    named[1][1].grad = named[3][1].grad = None
    before = [parameter.detach().clone() for _, parameter in named]
    FAMILY.resolve(recipe).make(named).step()
    assert [torch.equal(b, p) for b, (_, p) in zip(before, named, strict=True)] == [False, True, False, True]


def test_a_closure_is_called_with_gradients() -> None:
    named = parameters(*SMALL)
    optimizer = FAMILY.resolve("muon").make(named)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = sum((parameter.square().sum() for _, parameter in named), torch.zeros(()))
        loss.backward()
        return loss

    first, second = (optimizer.step(closure).detach() for _ in range(2))  # type: ignore[arg-type, union-attr]
    assert second < first


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("adamw(lr=0.0)", r"lr = 0\.0, expected a number above 0"),
        ("muon(lr=-0.1)", r"lr = -0\.1, expected a number above 0"),
        ("muon(adam_lr=0.0)", r"adam_lr = 0\.0, expected a number above 0"),
        ("adamw(eps=0.0)", r"eps = 0\.0, expected a number above 0"),
        ("adamw(betas=[0.9, 1.0])", r"beta2 = 1\.0, expected from 0 to below 1\nhint: 0\.9 looks back about 10 steps"),
        ("muon(momentum=1.5)", r"momentum = 1\.5, expected from 0 to below 1"),
        ("adamw(weight_decay=-0.1)", r"weight_decay = -0\.1, expected 0 or more\nhint: 0\.1 is usual for pretraining"),
        ("adam", r"unknown optimizer 'adam'\n  known: adamw, muon\nhint: did you mean 'adamw'\?"),
    ],
)
def test_settings_that_cannot_be(expression: str, message: str) -> None:
    with pytest.raises(VariantError, match=message):
        FAMILY.resolve(expression)
