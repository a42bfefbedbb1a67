"""Comparisons and audits: their numbers against tiktoken, tokenizers, sentencepiece, and counting by hand."""

from __future__ import annotations

import math
import unicodedata

import numpy as np
import pytest
import sentencepiece
import tiktoken
import tokenizers

from isinglass.assets.find import find
from isinglass.core.errors import ConfigError, DataError, ShapeError
from isinglass.text.about import about
from isinglass.text.algorithms.bpe import ByPiece, ByteBpe
from isinglass.text.audit import case, code, frequencies, glitches, languages, numbers, sizes
from isinglass.text.byte_vocabulary import byte_tokenizer
from isinglass.text.compare import compare
from isinglass.text.decoders import Plain
from isinglass.text.samples import CODE, PARALLEL, SAMPLES
from isinglass.text.tokenizer import Tokenizer

from .conftest import rank_pattern


@pytest.fixture(scope="module")
def oracles(tokenizer):
    """name -> a published library's list of ids."""
    ranks = {name: dict(tokenizer(name).algorithm.vocab) for name in ("gpt2", "cl100k_base", "o200k_base")}
    made = {
        name: tiktoken.Encoding(name, pat_str=rank_pattern(name), mergeable_ranks=vocab, special_tokens={}).encode_ordinary
        for name, vocab in ranks.items()
    }
    bert = tokenizers.Tokenizer.from_file(str(find("bert-tokenizer-json")))
    bert.no_padding()
    bert.no_truncation()
    t5 = sentencepiece.SentencePieceProcessor(model_file=str(find("t5")))
    return {**made, "bert-base-uncased": lambda text: bert.encode(text, add_special_tokens=False).ids, "t5": t5.encode}


NAMES = ("gpt2", "cl100k_base", "o200k_base", "bert-base-uncased", "t5")


@pytest.fixture(scope="module")
def loaded(tokenizer):
    return [tokenizer(name) for name in NAMES]


def rows_of(audit, title):
    (table,) = [table for table in audit.tables if table.title.startswith(title)]
    return table.rows


def test_the_built_in_set_has_the_kinds_and_scripts_it_promises():
    assert {"English", "numbers", "code", "special characters"} <= set(SAMPLES)
    assert len({language.script for language in PARALLEL.values()}) >= 9 and set(SAMPLES) - {"English", "numbers", "code"} >= {
        "Thai",
        "Hindi",
    }
    for language in PARALLEL.values():
        scripts = {unicodedata.name(character).split()[0] for character in language.text if character.isalpha()}
        named = {"Kana and Han": {"HIRAGANA", "CJK"}, "Han": {"CJK"}}.get(language.script, {language.script.upper()})
        assert scripts == named
        assert unicodedata.normalize("NFC", language.text) == language.text
    assert eval(compile(CODE, "code", "exec")) is None


def test_a_comparison_counts_as_the_libraries_do(loaded, oracles):
    found = compare(loaded, SAMPLES)
    assert len(found.table) == len(SAMPLES) * len(NAMES)
    for row in found.table.rows:
        ids, text = oracles[row["tokenizer"]](SAMPLES[row["text"]]), SAMPLES[row["text"]]
        assert row["tokens"] == len(ids)
        assert row["characters_per_token"] == pytest.approx(len(text) / len(ids))
        assert row["bytes_per_token"] == pytest.approx(len(text.encode()) / len(ids))
        unknown = {"bert-base-uncased": 100, "t5": 2}.get(row["tokenizer"])
        assert row["unknown_rate"] == pytest.approx(ids.count(unknown) / len(ids))
    lossless = {row["tokenizer"] for row in found.table.rows if row["gives_text_back"]}
    assert {"gpt2", "cl100k_base", "o200k_base"} <= lossless
    assert found.counts.rows[0]["gpt2"] == len(oracles["gpt2"](SAMPLES["English"]))
    assert found.figure.data is not None
    held = {(row["text"], row["tokenizer"]): row["bytes per token"] for row in found.figure.data.rows}
    assert held["English", "gpt2"] == pytest.approx(found.table.rows[0]["bytes_per_token"])
    assert held["Thai", "gpt2"] > 1 > held["Thai", "bert-base-uncased"]  # two unknown tokens with a space between them
    assert held["Thai", "bert-base-uncased"] == 0.5


def test_an_empty_text_and_an_empty_comparison(tokenizer):
    (row,) = compare([tokenizer("gpt2")], {"nothing": ""}).table.rows
    assert row["tokens"] == 0 and row["characters_per_token"] is None and row["unknown_rate"] is None and row["gives_text_back"]
    with pytest.raises(ConfigError, match="nothing to compare: 0 tokenizers and 1 texts"):
        compare([], {"a": "b"})


def test_numbers(loaded, oracles):
    found = numbers.audit(loaded)
    by_key = {(row["tokenizer"], row["digits"]): row for row in rows_of(found, "How numbers are cut")}
    for name in ("gpt2", "cl100k_base", "bert-base-uncased"):
        one = sum(len(oracles[name](str(number))) == 1 for number in range(100, 1000))
        assert by_key[name, 3]["one_token"] == pytest.approx(one / 900)
    assert by_key["cl100k_base", 4]["most_common_shape"] == "3+1" and by_key["cl100k_base", 4]["shapes"] == 1
    examples = {row["number"]: row for row in rows_of(found, "Numbers as tokens")}
    assert examples["2024"]["gpt2"] == "20│24" and examples["2024"]["cl100k_base"] == "202│4" and examples["2024"]["t5"] == "▁20│24"
    assert examples["3.14159"]["gpt2"] == "3│.│14│159"
    assert "cl100k_base, o200k_base: numbers of equal length are cut alike" in found.finding


def test_code(loaded, oracles):
    found = code.audit(loaded)
    rows = {row["tokenizer"]: row for row in rows_of(found, "A function")}
    assert {name: row["tokens"] for name, row in rows.items()} == {name: len(oracles[name](CODE)) for name in NAMES}
    assert [name for name, row in rows.items() if not row["gives_text_back"]] == ["bert-base-uncased", "t5"]
    widths = {row["indentation"]: row for row in rows_of(found, "Tokens of white space")}
    assert widths["8 spaces"]["gpt2"] == 8 and widths["8 spaces"]["cl100k_base"] == 2 and widths["8 spaces"]["bert-base-uncased"] == 0
    assert found.finding == "bert-base-uncased, t5 do not give the code back."


def test_case(loaded, oracles):
    found = case.audit(loaded)
    rows = {(row["word"], row["form"]): row for row in rows_of(found, "A word by case")}
    (the,), (capital,), (spaced,) = (oracles["gpt2"](text) for text in ("the", "The", " the"))
    assert rows["the", "lower case, alone"]["gpt2"] == f"the ({the})"
    assert rows["the", "capital, alone"]["gpt2"] == f"The ({capital})"
    assert rows["the", "lower case, after a space"]["gpt2"] == f"·the ({spaced})"
    ways = {(row["tokenizer"], row["word"]): row["different_ids"] for row in rows_of(found, "How many ways")}
    assert ways["bert-base-uncased", "unhappiness"] == 1 and ways["gpt2", "the"] == 6


def test_languages(loaded, oracles):
    found = languages.audit(loaded)
    for row in rows_of(found, "The language premium"):
        text, encode = PARALLEL[row["language"]].text, oracles[row["tokenizer"]]
        assert row["tokens"] == len(encode(text))
        assert row["premium"] == pytest.approx(len(encode(text)) / len(encode(PARALLEL["English"].text)))
    lost = {(row["tokenizer"], row["language"]): row["characters_lost"] for row in rows_of(found, "The language premium")}
    assert lost["bert-base-uncased", "Thai"] == lost["t5", "Chinese"] == 1 and lost["gpt2", "Thai"] == lost["t5", "German"] == 0
    assert "bert-base-uncased, t5 lose characters" in found.finding


def test_what_no_text_gives(tokenizer):
    """The counts of tokens that are no UTF-8 alone are known: 344 of GPT-2 and 773 of cl100k; none of either is unreachable."""
    found = glitches.audit([tokenizer("gpt2"), tokenizer("cl100k_base")])
    gpt2, cl100k = rows_of(found, "What gives")
    assert (gpt2["inside a character"], gpt2["no text found"], gpt2["added"], gpt2["text"]) == (344, 0, 1, 49_912)
    assert (cl100k["inside a character"], cl100k["no text found"], cl100k["unused id"]) == (773, 0, 16)
    known = {row["string"]: row for row in rows_of(found, "Known glitch")}
    assert known["·SolidGoldMagikarp"]["gpt2"] == "·SolidGoldMagikarp" and known["·SolidGoldMagikarp"]["cl100k_base"].count("│") == 4
    assert known["·davidjl"]["gpt2"] == known["·davidjl"]["cl100k_base"] == "·davidjl"
    assert found.finding == "Every token comes out of some text."


def test_unreachable_tokens_of_bert(tokenizer, oracles):
    kinds = glitches.reach(tokenizer("bert-base-uncased"))
    unused = [id for piece, id in tokenizer("bert-base-uncased").algorithm.vocab.items() if piece.startswith("[unused")]
    assert len(unused) == 994 and {kinds[id] for id in unused} == {"no text found"}
    for id in (2158, 2075, 10472):  # man, ##ing, ##ulation
        assert kinds[id] == "text"
    inner = tokenizer("bert-base-uncased").algorithm.vocab["##\u5b50"]  # an ideograph stands alone, so it never continues a word
    assert kinds[inner] == "no text found" and inner not in oracles["bert-base-uncased"]("a\u5b50\u5b50")
    assert kinds.count("no text found") == 1331


def test_the_unreachable_are_listed():
    vocab = {**{bytes([byte]): byte for byte in range(256)}, b"ab": 256, b"abc": 257, b"bc": 258}
    ranks = ByPiece({b"ab": 0, b"abcd": 1, b"bc": 2})  # nothing makes abc
    tok = Tokenizer("toy", ByteBpe(vocab, ranks), Plain())
    found = glitches.audit([tok])
    assert rows_of(found, "Tokens that no text") == [{"tokenizer": "toy", "id": 257, "piece": "abc"}]
    assert found.finding == "No text was found for 1 of toy."


def test_small_embeddings():
    tok = byte_tokenizer()
    norms = [1.0 + (id % 7) / 10 for id in range(256)]
    norms[65], norms[200] = 0.01, 0.02
    found = glitches.audit_embeddings(tok, norms, most=5)
    smallest = rows_of(found, "The smallest")
    assert [(row["id"], row["norm"], row["reached_by"]) for row in smallest[:2]] == [(65, 0.01, "text"), (200, 0.02, "inside a character")]
    logs = np.log(norms)
    assert smallest[0]["deviations"] == pytest.approx((logs[65] - logs.mean()) / logs.std())
    assert found.finding == "2 of 256 are more than 3 deviations smaller than usual; the smallest is 'A'."
    with pytest.raises(ShapeError, match="3 embedding norms for the 256 ids of 'bytes'"):
        glitches.audit_embeddings(tok, [1.0] * 3)


def test_a_zipf_fit_is_least_squares():
    counts = [round(1e6 / rank**1.25) for rank in range(1, 400)]
    exact = frequencies.zipf(counts)
    assert exact.exponent == pytest.approx(1.25, abs=1e-3) and exact.r_squared == pytest.approx(1, abs=1e-5) and exact.ranks == 399
    source = np.random.default_rng(0)
    noisy = sorted((int(count * source.uniform(0.5, 1.5)) for count in counts), reverse=True)
    fit = frequencies.zipf(noisy, least=2)
    x, y = np.log(np.arange(1, len(noisy) + 1)), np.log(noisy)
    slope, intercept = np.polyfit(x, y, 1)
    assert fit.exponent == pytest.approx(-slope) and fit.first == pytest.approx(math.exp(intercept))
    assert fit.r_squared == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2)


def test_frequencies(tokenizer, oracles):
    text = "the stove and the fire and the ash " * 20 + "fire of the stove " * 5
    found = frequencies.audit([tokenizer("gpt2")], text)
    ids = oracles["gpt2"](text)
    (row,) = rows_of(found, "Zipf")
    assert (
        row["tokens"] == len(ids)
        and row["different"] == len(set(ids))
        and row["once"] == sum(ids.count(id) == 1 for id in set(ids)) / len(set(ids))
    )
    first = rows_of(found, "The most frequent")[0]
    assert (first["token"], first["count"]) == ("·the", ids.count(262)) and first["share"] == pytest.approx(ids.count(262) / len(ids))
    with pytest.raises(DataError, match="1 tokens occur at least 2 times: too few"):
        frequencies.audit([tokenizer("gpt2")], " the the the")
    with pytest.raises(DataError) as caught:
        frequencies.zipf([5, 5, 5, 5])
    assert "or all as often, for a fit" in str(caught.value) and "give a longer text with --file" in str(caught.value)


def test_sizes(tokenizer, oracles):
    text = "to be, or not to be"
    rows = {row["unit"]: row for row in rows_of(sizes.audit([tokenizer("gpt2")], text), "Vocabulary")}
    assert (rows["characters"]["vocabulary"], rows["characters"]["tokens"]) == (8, 19)
    assert (rows["words"]["vocabulary"], rows["words"]["tokens"]) == (5, 7)
    assert (rows["bytes"]["used"], rows["bytes"]["vocabulary"]) == (8, 256)
    ids = oracles["gpt2"](text)
    assert (rows["gpt2"]["used"], rows["gpt2"]["tokens"], rows["gpt2"]["vocabulary"]) == (len(set(ids)), len(ids), 50_257)
    with pytest.raises(DataError, match="the text holds no word to count"):
        sizes.audit([tokenizer("gpt2")], " \n")


@pytest.mark.parametrize("audit", [numbers.audit, code.audit, case.audit, languages.audit, glitches.audit])
def test_no_tokenizer_or_one_twice(audit, tokenizer):
    with pytest.raises(ConfigError, match="an audit needs at least one tokenizer"):
        audit([])
    with pytest.raises(ConfigError, match="the tokenizer 'gpt2' is given twice"):
        audit([tokenizer("gpt2")] * 2)


@pytest.mark.parametrize("name", [*NAMES, "smollm2"])
def test_about(name, tokenizer):
    tok = tokenizer(name)
    facts, longest, sample = about(tok)
    told = {row["about"]: row["what"] for row in facts.rows}
    assert (
        told["ids"] == f"{tok.vocab_size:,}"
        and told["algorithm"] == type(tok.algorithm).__name__
        and told["fingerprint"] == tok.fingerprint
    )
    assert max(map(len, tok.algorithm.vocab)) == longest.rows[0]["length"] >= longest.rows[-1]["length"]
    assert all(row["id"] in set(tok.algorithm.vocab.values()) for row in sample.rows) and 24 <= len(sample) <= 26
    assert told["unknown token"] == {"bert-base-uncased": "[UNK] 100", "t5": "<unk> 2"}.get(name, "none")
    assert max(map(len, told.values())) < 400
