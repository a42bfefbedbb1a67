"""Pairs from records, which tokens are scored, and their log-probabilities against all logits written out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from isinglass.core.errors import DataError, VariantError
from isinglass.data.records import Record
from isinglass.generation.lm import LM, create
from isinglass.nn.loss import IGNORED
from isinglass.text.load import tokenizer
from isinglass.text.training import train_tokenizer
from isinglass.training.log_probs import token_log_probs
from isinglass.training.preferences import Preferences, pair_batch
from isinglass.training.prompting import Prompting, response_ids

RECORDS = [
    Record({"prompt": "ab", "chosen": "xyz", "rejected": "q"}, "pairs.jsonl:1"),
    Record({"prompt": "c", "chosen": "w", "rejected": "vu"}, "pairs.jsonl:2"),
]
PLAIN = Preferences(Prompting(template="plain"), "chosen", "rejected")
END = train_tokenizer("character", ["abcquvwxyz"], special=("</s>",))


def test_only_responses_are_scored_and_all_of_them() -> None:
    """Every token behind the prompt is a target, the first one and the end token included; no token of a prompt, no padding."""
    pairs = PLAIN.read(END, RECORDS, 16)
    batch = pair_batch(pairs)
    a, b, c, q, u, v, w, x, y, z = END.encode("abcquvwxyz")
    end = END.eos_id
    assert end is not None
    no = IGNORED
    assert batch.ids.tolist() == [[a, b, x, y, z, end], [c, w, end, 0, 0, 0], [a, b, q, end, 0, 0], [c, v, u, end, 0, 0]]
    assert batch.responses.tolist() == [
        [no, x, y, z, end, no],
        [w, end, no, no, no, no],
        [no, q, end, no, no, no],
        [v, u, end, no, no, no],
    ]
    assert batch.slots.valid is not None
    assert batch.slots.valid.sum(dim=1).tolist() == [6, 3, 4, 4]
    assert batch.slots.position[1, :3].tolist() == [0, 1, 2]
    assert batch.n_targets == 2
    assert batch.n_tokens == 17


def test_log_probs_are_those_of_the_logits(make_lm: Callable[..., LM]) -> None:
    decoder = make_lm("tiny").decoder
    batch = pair_batch(PLAIN.read(END, RECORDS, 16))
    found = token_log_probs(decoder, decoder.hidden(batch.ids, slots=batch.slots), batch.responses)
    table = decoder(batch.ids, slots=batch.slots).log_softmax(dim=-1)
    for row, targets in enumerate(batch.responses.tolist()):
        for place, target in enumerate(targets):
            expected = 0.0 if target == IGNORED else float(table[row, place, target])
            assert float(found[row, place]) == pytest.approx(expected, abs=1e-5)
    assert float(found.sum(dim=1).max()) < -1


def test_log_probs_have_the_gradients_of_the_logits(make_lm: Callable[..., LM], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isinglass.training.log_probs.rows_at_once", lambda vocab_size: 128)  # several chunks
    decoder = make_lm("tiny").decoder
    hidden = torch.randn(2, 300, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    targets = torch.arange(600).reshape(2, 300) % 256
    targets[0, :50] = IGNORED
    weights = torch.linspace(-1, 1, 600).reshape(2, 300)
    (ours,) = torch.autograd.grad((token_log_probs(decoder, hidden, targets) * weights).sum(), hidden)
    wanted = targets != IGNORED
    table = decoder.logits(hidden).log_softmax(dim=-1).gather(-1, targets.where(wanted, 0)[..., None])[..., 0]
    (theirs,) = torch.autograd.grad((table * weights)[wanted].sum(), hidden)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_nothing_to_score_gives_zeros(make_lm: Callable[..., LM]) -> None:
    decoder = make_lm("tiny").decoder
    targets = torch.full((1, 3), IGNORED)
    assert token_log_probs(decoder, torch.randn(1, 3, 64), targets).tolist() == [[0.0, 0.0, 0.0]]


def test_padding_changes_no_log_prob(make_lm: Callable[..., LM]) -> None:
    decoder = make_lm("tiny").decoder
    pairs = PLAIN.read(END, RECORDS, 16)
    together = pair_batch(pairs)
    whole = token_log_probs(decoder, decoder.hidden(together.ids, slots=together.slots), together.responses)
    for number, pair in enumerate(pairs):
        alone = pair_batch([pair])
        width = alone.ids.shape[1]
        found = token_log_probs(decoder, decoder.hidden(alone.ids, slots=alone.slots), alone.responses)
        torch.testing.assert_close(found, whole[[number, number + 2], :width], atol=1e-5, rtol=1e-5)


def test_prompts_from_fields_and_from_text_with_fields() -> None:
    record = Record({"kjv": "Thou shalt", "reference": "Exodus 20:3", "web": "You shall"}, "kjv-web: Exodus 20:3")
    assert Prompting("kjv").text(record) == "Thou shalt"
    assert Prompting("In modern English: {kjv} ({reference})\n").text(record) == "In modern English: Thou shalt (Exodus 20:3)\n"


def test_the_models_own_template_is_used_unless_another_is_named() -> None:
    tok = tokenizer("smollm2")
    own = tok.decode(Prompting().ids(tok, "Hi <|im_end|>"))
    assert own.endswith("<|im_start|>user\nHi <|im_end|><|im_end|>\n<|im_start|>assistant\n")
    assert tok.decode(Prompting(template="plain").ids(tok, "Hi")) == "Hi"
    assert response_ids(tok, "Yes")[-1] == tok.special["<|im_end|>"]
    # what a user wrote never becomes a control token
    assert Prompting().ids(tok, "Hi <|im_end|>").count(tok.special["<|im_end|>"]) == Prompting().ids(tok, "Hi").count(
        tok.special["<|im_end|>"]
    )


def test_a_response_ends_where_the_context_does() -> None:
    (pair, _) = PLAIN.read(END, RECORDS, 4)
    assert len(pair.texts[0]) == 4
    assert pair.chosen == END.encode("xy")


def test_equal_responses_prefer_nothing() -> None:
    same = Record({"prompt": "a", "chosen": "b", "rejected": "b"}, "pairs.jsonl:7")
    assert len(PLAIN.read(END, [*RECORDS, same], 16)) == 2
    with pytest.raises(
        DataError, match=r"in all 1 records 'chosen' and 'rejected' are the same, so nothing is preferred\nhint: name the two"
    ):
        PLAIN.read(END, [same], 16)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"prompt": "a", "chosen": "b"}, r"pairs\.jsonl:3: no field 'rejected'\n  it has: prompt, chosen"),
        ({"prompt": "a", "chosen": 3, "rejected": "b"}, r"pairs\.jsonl:3: field 'chosen' is 3, expected text"),
        ({"prompt": "", "chosen": "a", "rejected": "b"}, r"pairs\.jsonl:3: the prompt is empty, so there is nothing to respond to"),
        (
            {"prompt": "abcabcab", "chosen": "a", "rejected": "b"},
            r"pairs\.jsonl:3: the prompt has 8 tokens, which leaves no room for a response in a context of 8\nhint: a longer context_length",
        ),
    ],
)
def test_what_is_wrong_with_a_record(fields: dict[str, object], text: str) -> None:
    with pytest.raises(DataError, match=text):
        PLAIN.read(END, [Record(fields, "pairs.jsonl:3")], 8)


def test_an_empty_response_without_an_end_token() -> None:
    tok = create("tiny").tokenizer
    with pytest.raises(DataError, match="b:1: the response is empty and the vocabulary has no end token"):
        PLAIN.read(tok, [Record({"prompt": "a", "chosen": "", "rejected": "b"}, "b:1")], 8)


def test_braces_that_do_not_close() -> None:
    with pytest.raises(VariantError, match=r"prompt = 'Rewrite \{kjv': .*\nhint: a field such as"):
        Prompting("Rewrite {kjv")
