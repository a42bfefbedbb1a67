"""Explanations: the steps lead to the tokens, on every vocabulary, and equal what is known from papers and libraries."""

from __future__ import annotations

import random

import pytest
import sentencepiece
from random_text import random_text

from isinglass.assets.find import find
from isinglass.core.errors import ConfigError
from isinglass.text.algorithms.bpe import ByPair, ByteBpe
from isinglass.text.byte_vocabulary import byte_tokenizer
from isinglass.text.decoders import Plain
from isinglass.text.explain import explain
from isinglass.text.tokenizer import Tokenizer

ALL = ("gpt2", "cl100k_base", "o200k_base", "bert-base-uncased", "t5", "smollm2", "mistral-v1")


@pytest.mark.parametrize("name", ALL)
def test_the_parts_are_the_encoding(name, tokenizer):
    tok, source = tokenizer(name), random.Random(21)
    for text in ["", " ", "Hello, world!", *(random_text(source) for _ in range(60))]:
        for special in ("text", "parse"):
            found = explain(tok, text, special=special)
            assert [id for part in found.parts for id in part.ids] == tok.encode(text, special=special)
            assert [one.pretoken for one in found.parts] == tok.pretokens(text, special=special)
            assert len(found.overview) == len(found.parts) == len(found.to_dict()["parts"])


@pytest.mark.parametrize("name", ["gpt2", "cl100k_base", "mistral-v1"])
def test_the_last_merge_leaves_the_pieces(name, tokenizer):
    tok, source = tokenizer(name), random.Random(22)
    for _ in range(60):
        for part in explain(tok, random_text(source)).parts:
            if part.reason.steps and "<unk>" not in map(tok.piece, part.ids) and not any("<0x" in tok.piece(id) for id in part.ids):
                assert part.reason.steps[-1]["pieces"].count("│") + 1 == len(part.ids) + part.pretoken.text.count("│")
                assert len(part.reason.steps) >= 1


def test_merges_of_gpt2(tokenizer):
    """The merges of GPT-2's file, in their order: rank 256 + n is line n of the list."""
    (part,) = explain(tokenizer("gpt2"), "lower").parts
    assert part.reason.kind == "merges" and part.ids == (21037,)
    assert [(step["left"], step["right"]) for step in part.reason.steps] == [("e", "r"), ("o", "w"), ("ow", "er"), ("l", "ower")]
    assert [step["rank"] for step in part.reason.steps] == [tokenizer("gpt2").encode(text)[0] for text in ("er", "ow", "ower", "lower")]
    assert part.reason.why.startswith("the vocabulary holds it whole") and "4 merges of 5 bytes" in part.reason.why
    (part,) = explain(tokenizer("gpt2"), "unhappiness").parts
    assert part.reason.steps[-1]["pieces"] == "un│h│appiness" and "until no neighbours left join" in part.reason.why
    (part,) = explain(tokenizer("gpt2"), "a").parts
    assert part.reason.steps == () and part.reason.why == "one byte: there is nothing to merge"


def test_a_whole_piece_that_merging_does_not_give():
    """`ignore_merges` of tokenizer.json: the piece is looked up first, although its merges lead elsewhere."""
    vocab = {b"a": 0, b"b": 1, b"c": 2, b"ab": 3, b"abc": 4}
    tok = Tokenizer("toy", ByteBpe(vocab, ByPair({(b"a", b"b"): 0}), whole=vocab), Plain())
    (part,) = explain(tok, "abc").parts
    assert part.ids == (4,) and part.reason.why == "the vocabulary holds it whole, which is looked up first; merging would end at 2 pieces"


def test_matches_of_bert(tokenizer):
    (part,) = explain(tokenizer("bert-base-uncased"), "unbelievably").parts
    assert [step["piece"] for step in part.reason.steps] == ["un", "##bel", "##ie", "##va", "##bly"]
    assert [step["rest"] for step in part.reason.steps][:2] == ["unbelievably", "##believably"]
    assert [step["longer_tried"] for step in part.reason.steps] == [10, 7, 5, 3, 0]
    (part,) = explain(tokenizer("bert-base-uncased"), "playing").parts
    assert [step["piece"] for step in part.reason.steps] == ["playing"]  # one token, not play + ##ing
    (stuck,) = explain(tokenizer("bert-base-uncased"), "สวัสดี").parts
    assert stuck.ids == (100,) and stuck.reason.steps[-1]["piece"] is None and "no piece fits at '##ด'" in stuck.reason.why
    (long,) = explain(tokenizer("bert-base-uncased"), "a" * 101).parts
    assert long.ids == (100,) and long.reason.why == "101 characters, more than 100: such words are not looked at"


def test_the_lattice_of_t5(tokenizer):
    tok = tokenizer("t5")
    oracle = sentencepiece.SentencePieceProcessor(model_file=str(find("t5")))
    (part,) = explain(tok, "unbelievable").parts
    chosen = [step["id"] for step in part.reason.steps if step["chosen"]]
    assert tuple(chosen) == part.ids == (25525,)
    for step in part.reason.steps:
        assert oracle.id_to_piece(step["id"]) == step["piece"] and oracle.get_score(step["id"]) == pytest.approx(step["score"])
    cuts = part.reason.cuts
    assert cuts[0]["pieces"] == "▁unbelievable" and cuts[1]["pieces"] == "▁un│believable"
    assert sum(cut["probability"] for cut in cuts) == pytest.approx(1, abs=1e-6) and cuts[0]["probability"] > 0.999
    (part,) = explain(tok, "☃☃", best=1).parts
    assert [step["chosen"] for step in part.reason.steps] == [True, True, True] and len(part.reason.cuts) == 1


def test_tables_tell_equal_words_once(tokenizer):
    found = explain(tokenizer("gpt2"), "lower lower lower")
    assert len(found.overview) == 3
    (merges,) = found.steps()
    assert {row["pretoken"] for row in merges.rows} == {"lower", "·lower"}
    assert explain(tokenizer("gpt2"), "").steps() == []
    assert [table.title for table in explain(tokenizer("t5"), "Hi").steps()][-1] == "The best cuts, and their share among all"


def test_added_tokens_and_plain_lookups(tokenizer):
    parts = explain(tokenizer("smollm2"), "a<|im_end|>", special="parse").parts
    assert parts[1].reason.kind == "added" and parts[1].ids == (2,) and "control, not text" in parts[1].reason.why
    assert [part.reason.kind for part in explain(byte_tokenizer(), "ab").parts] == ["merges"]


def test_fewer_than_one_cut_is_refused(tokenizer):
    with pytest.raises(ConfigError, match="best = 0: expected at least 1 cut"):
        explain(tokenizer("t5"), "a", best=0)
