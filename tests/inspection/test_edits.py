"""Edits: each does what its words say, they compose, and no other pass sees them."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import isinglass as ig
from helpers.kinds import KINDS, TEXTS
from isinglass.core.errors import ConfigError, EngineError, ShapeError
from isinglass.generation.lm import LM
from isinglass.nn.attention.layer import Attention


@pytest.fixture(scope="module", params=KINDS)
def lm(request: pytest.FixtureRequest) -> LM:
    return KINDS[request.param]()


@pytest.fixture(scope="module")
def llama() -> LM:
    return KINDS["llama with grouped heads"]()


def stack(lm: LM) -> str:
    """The prefix of a stack whose taps stand before the logits."""
    return "decoder." if lm.config.architecture == "encoder_decoder" else ""


def test_a_patch_from_the_same_pass_changes_nothing(lm: LM) -> None:
    seen = ig.trace(lm, TEXTS)
    for tap in ("resid_pre", "attention.q", "attention.k", "attention.z", "mlp.post"):
        assert torch.equal(seen.edit(f"{stack(lm)}layers.1.{tap}", patch_from=seen).logits, seen.logits)


def test_the_whole_residual_stream_of_another_text_gives_its_logits(lm: LM) -> None:
    clean, corrupted = (ig.trace(lm, text, target=ids if stack(lm) else None) for text, ids in (("abcdef", [7, 8]), ("ghijkl", [9, 10])))
    name = f"{stack(lm)}layers.1.resid_post"
    torch.testing.assert_close(corrupted.edit(name, patch_from=clean).logits, clean.logits)


def test_every_position_of_the_embedding_patched_one_by_one(llama: LM) -> None:
    clean, corrupted = ig.trace(llama, "abcdef"), ig.trace(llama, "ghijkl")
    for position in range(6):
        corrupted = corrupted.edit("embed", position=position, patch_from=clean)
    assert len(corrupted.edits) == 6
    assert torch.equal(corrupted.logits, clean.logits)


def test_a_head_cut_out_is_a_head_whose_columns_of_o_proj_are_zero(llama: LM) -> None:
    cut = copy.deepcopy(llama.decoder)
    attention = cut.layers[1].attention
    assert isinstance(attention, Attention)
    with torch.no_grad():
        attention.o_proj.weight[:, 2 * 8 : 3 * 8] = 0
    ids = torch.tensor([llama.encode("abcdef")])
    torch.testing.assert_close(ig.trace(llama, "abcdef").edit("layers.1.attention.z", head=2, set_to=0).logits, cut(ids))


def test_set_scale_add(llama: LM) -> None:
    seen, name = ig.trace(llama, "abcdef"), "layers.0.mlp.post"
    before, vector = seen[name], torch.arange(32.0)
    for change, expected in (
        ({"set_to": vector}, vector.expand_as(before)),
        ({"scale": -2.0}, before * -2),
        ({"add": vector}, before + vector),
        ({"add": 0.5}, before + 0.5),
    ):
        assert torch.equal(seen.edit(name, **change)[name], expected)


@given(position=st.integers(-2, 1), row=st.sampled_from([None, 0, 1]), head=st.sampled_from([None, 0, 3]))
def test_only_the_place_named_changes(llama: LM, position: int, row: int | None, head: int | None) -> None:
    """Positions count within a row, whatever padding stands before it."""
    seen, name = ig.trace(llama, TEXTS), "layers.1.attention.q"
    after = seen.edit(name, position=position, row=row, head=head, set_to=7.0)[name]
    changed = torch.zeros(after.shape[:3], dtype=torch.bool)
    for each, length in enumerate(seen.rows.lengths):
        column = after.shape[2] - length + position % length
        if row in (None, each):
            changed[each, slice(None) if head is None else head, column] = True
    assert torch.equal(after, torch.where(changed[..., None], torch.tensor(7.0), seen[name]))


def test_edits_act_one_after_the_other(llama: LM) -> None:
    name = "layers.0.attention.out"
    one = ig.trace(llama, "abc", edits=[ig.Edit(name=name, set_to=2.0), ig.Edit(name=name, scale=3.0), ig.Edit(name=name, add=1.0)])
    other = ig.trace(llama, "abc", edits=[ig.Edit(name=name, set_to=7.0)])
    assert torch.equal(one.logits, other.logits)


def test_a_star_stands_for_every_layer(llama: LM) -> None:
    """Without any layer's output, the embedding alone is read."""
    seen = ig.trace(llama, "abc", edits=[ig.Edit(name="layers.*.attention.out", set_to=0), ig.Edit(name="layers.*.mlp.post", set_to=0)])
    assert torch.equal(seen["layers.1.resid_post"], seen["embed"])


def test_edited_weights_are_the_ones_used(llama: LM) -> None:
    """All attention on the first token: every output of the head is the first token's value."""
    seen = ig.trace(llama, "abcdef")
    first = torch.zeros(6)
    first[0] = 1
    edited = seen.edit("layers.0.attention.weights", head=3, set_to=first)
    assert edited.kernel(0) == "reference" and edited.kernel(1) == "sdpa"
    torch.testing.assert_close(edited["layers.0.attention.z"][0, 3], seen["layers.0.attention.v"][0, 1, :1].expand(6, 8))


def test_no_other_pass_sees_an_edit(llama: LM) -> None:
    weights = {name: weight.clone() for name, weight in llama.model.state_dict().items()}
    before = ig.trace(llama, "abcdef")
    logits = before.logits.clone()
    assert not torch.equal(before.edit("layers.0.resid_post", set_to=0).logits, logits)
    assert torch.equal(before.logits, logits) and torch.equal(ig.trace(llama, "abcdef").logits, logits)
    assert all(torch.equal(weight, weights[name]) for name, weight in llama.model.state_dict().items())


def test_threads_share_a_model_with_different_edits(llama: LM) -> None:
    edits = [ig.Edit(name=f"layers.{n % 2}.attention.z", head=n % 4, scale=float(n)) for n in range(8)]
    alone = [ig.trace(llama, TEXTS, edits=[edit]).logits for edit in edits]
    found: dict[int, list[Tensor]] = {}

    def work(number: int) -> None:
        found[number] = [ig.trace(llama, TEXTS, edits=[edits[number]]).logits for _ in range(20)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(logits, alone[number]) for number, several in found.items() for logits in several)
    assert len(found) == 8


@pytest.mark.parametrize(
    ("edit", "kind", "words"),
    [
        (dict(name="embed"), ConfigError, "an edit of 'embed' has no change, expected exactly one of set_to, scale, add, patch_from"),
        (dict(name="embed", scale=2.0, set_to=0), ConfigError, "an edit of 'embed' has set_to and scale, expected exactly one"),
        (dict(name="layers.0.attn", scale=2.0), EngineError, "unknown tap 'layers.0.attn'"),
        (dict(name="layers.0.attention.k", head=2, scale=2.0), EngineError, "head 2 does not exist at layers.0.attention.k\n  it has heads 0 to 1"),
        (dict(name="embed", head=0, scale=2.0), EngineError, "embed has no heads: its shape is [1, 3, 32]"),
        (dict(name="embed", position=3, scale=2.0), EngineError, "position 3 does not exist at embed\n  it has positions 0 to 2"),
        (dict(name="embed", row=1, scale=2.0), EngineError, "row 1 does not exist at embed\n  it has rows 0 to 0"),
        (dict(name="embed", add=torch.zeros(31)), ShapeError, "the value for embed has shape [31], which does not fit [1, 3, 32]"),
        (dict(name="embed", patch_from={"embed": torch.zeros(1, 4, 32)}), ShapeError, "cannot patch embed: here it is [1, 3, 32], in the other trace [1, 4, 32]"),
    ],
)  # fmt: skip
def test_bad_edits(llama: LM, edit: dict[str, object], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as caught:
        ig.trace(llama, "abc", edits=[ig.Edit(**edit)])  # type: ignore[arg-type]
    assert words in str(caught.value)
