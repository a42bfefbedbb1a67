"""The parts of the layer on their own: normalisers, pretokenizers, algorithms, added tokens, alignment, byte symbols."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_text import random_text

from isinglass.assets.find import find
from isinglass.core.errors import TokenizerError
from isinglass.text import byte_level, cache, normalize, patterns, pretokenize
from isinglass.text.algorithms.bpe import ByPair, ByPiece, ByteBpe, CharacterBpe, NoToken, OneToken, TokenEach
from isinglass.text.algorithms.merging import NEVER, merge_by_heap, merge_by_scan
from isinglass.text.algorithms.unigram import Unigram
from isinglass.text.algorithms.wordpiece import WordPiece
from isinglass.text.aligned import Aligned
from isinglass.text.charsmap import Charsmap, DoubleArray, GraphemeCharsmap
from isinglass.text.formats.sentencepiece import parse
from isinglass.text.special import AddedToken, Finder

BEHAVIORS = ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous")


@pytest.fixture(scope="module")
def blob():
    return parse(find("t5").read_bytes()).charsmap


@pytest.mark.parametrize(
    "stage",
    [
        *(normalize.Form(form) for form in ("NFC", "NFD", "NFKC", "NFKD")),
        normalize.Lowercase(),
        normalize.StripAccents(),
        normalize.BertNormalizer(),
        normalize.BertNormalizer(clean=False, separate_ideographs=False, strip_accents=False, lowercase=False),
        normalize.Replace(" {2,}", "▁"),
        normalize.Replace(" ", "▁"),
        normalize.Prepend("▁"),
        normalize.Strip(),
        normalize.SpaceInFront(),
        normalize.Metaspace(),
        normalize.Metaspace(scheme="never"),
        Charsmap,
        GraphemeCharsmap,
    ],
    ids=str,
)
def test_edits_spell_what_apply_gives(stage, blob):
    stage = stage(blob) if isinstance(stage, type) else stage
    source = random.Random(8)
    for text in ["", " ", "a", *(random_text(source) for _ in range(150))]:
        aligned = stage.align(Aligned.whole(text))
        assert aligned.text == stage.apply(text)
        assert len(aligned.starts) == len(aligned.ends) == len(aligned.text)
        assert all(0 <= start <= end <= len(text) for start, end in zip(aligned.starts, aligned.ends, strict=True))


def test_bert_normalisation_by_hand():
    apply = normalize.BertNormalizer().apply
    assert apply("Ünï\tcode\0\u200e 東京") == "uni code  東  京 "
    assert apply("ΣΑΣ") == "σασ"  # letter by letter: no final sigma


def test_charsmap_by_hand(blob):
    apply = Charsmap(blob).apply
    assert apply("ﬁ①Å\u3000x\ttab\u200b") == "fi1Å x tab "
    assert apply("３\u0308") == "3\u0308" and GraphemeCharsmap(blob).apply("３\u0308") == "3"
    with pytest.raises(TokenizerError, match="precompiled character map of 3 bytes is damaged"):
        DoubleArray(b"abc")


@pytest.mark.parametrize(
    "stage",
    [
        *(pretokenize.Matches(pattern) for pattern in (patterns.GPT2, patterns.CL100K, patterns.O200K, patterns.QWEN2, patterns.TEKKEN)),
        *(
            pretokenize.Split(r"\p{N}", behavior)
            for behavior in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous")
        ),
        pretokenize.digits(individually=False),
        pretokenize.BertWords(),
        pretokenize.space_words(),
        pretokenize.MetaspaceWords(),
    ],
    ids=str,
)
def test_the_quick_split_is_the_split_by_places(stage):
    """ASCII, and ASCII stretches of mixed text, take a quicker way with the same result."""
    source = random.Random(10)
    prose = "It's a long line of plain words, 12345 of them, with an em dash — and then more plain words follow; don't they?\n" * 2
    for text in [
        "",
        prose,
        prose + "é",
        *(random_text(source) + prose[: source.randint(0, 200)] + random_text(source) for _ in range(150)),
    ]:
        assert stage.split(text) == [text[start:end] for start, end in stage.spans(text)]


def test_behaviors_by_hand():
    def split(behavior):
        return pretokenize.Split("-", behavior).split("the-final--cut")

    assert split("Isolated") == ["the", "-", "final", "-", "-", "cut"]
    assert split("Removed") == ["the", "final", "cut"]
    assert split("MergedWithPrevious") == ["the-", "final-", "-", "cut"]
    assert split("MergedWithNext") == ["the", "-final", "-", "-cut"]
    assert split("Contiguous") == ["the", "-", "final", "--", "cut"]


def test_a_pattern_that_cannot_be_read():
    with pytest.raises(TokenizerError, match=r"pattern '\(\[a' of the vocabulary cannot be read"):
        pretokenize.Split("([a").split("x")


def test_ascii_form_refuses_what_it_cannot_keep():
    assert patterns.ascii_form(r"\bword") is None
    assert patterns.ascii_form(r"(?<=a)b") is None
    assert patterns.ascii_form(r"[\p{Lo}]") is None


@settings(deadline=None, max_examples=100, database=None)
@given(st.text("abc", max_size=120), st.dictionaries(st.text("abc", min_size=2, max_size=4), st.integers(0, 50), max_size=12))
def test_heap_and_scan_merge_alike(text, ranks):
    rank = ByPiece(ranks).rank
    assert merge_by_heap(list(text), rank) == merge_by_scan(list(text), rank)


def test_bpe_by_hand():
    ranks = ByPiece({"ab": 0, "bc": 1, "abc": 2})
    vocab = {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5}
    assert CharacterBpe(vocab, ranks, NoToken()).encode("abcbcx") == (5, 4)
    assert CharacterBpe(vocab, ranks, OneToken(9)).place("axya") == [(0, 0, 1), (9, 1, 3), (0, 3, 4)]
    assert CharacterBpe(vocab, ranks, TokenEach(9)).encode("axya") == (0, 9, 9, 0)
    assert CharacterBpe(vocab, ranks, NoToken(), apart=["abc"]).encode("a") == (0,)
    by_pair = ByPair({("a", "b"): 0, ("a", "bc"): 1})
    assert CharacterBpe(vocab, by_pair, NoToken()).encode("abc") == (3, 2)  # bc is never made, so a + bc is never met
    assert ranks.rank("c", "a") == NEVER
    assert ByteBpe({b"a": 0, b"b": 1, b"ab": 2}, ByPiece({}), whole={b"ab": 2}).encode("ab") == (2,)


def test_wordpiece_by_hand():
    vocab = {piece: id for id, piece in enumerate(["[UNK]", "want", "##want", "##ed", "wa", "un", "runn", "##ing", ",", "low"])}
    algorithm = WordPiece(vocab)
    assert algorithm.place("unwanted") == [(5, 0, 2), (2, 2, 6), (3, 6, 8)]
    assert algorithm.encode("running") == (6, 7)
    assert algorithm.encode("unwantedX") == (0,)
    assert algorithm.encode("low" * 34) == (0,) and algorithm.encode("") == ()


def test_unigram_by_hand():
    """The example of the documentation of Hugging Face's implementation, and what happens to unknown neighbours."""
    scores = {"<unk>": 0.0, "a": 0.0, "b": 0.0, "c": 0.0, "d": 0.0, "cd": 1.0, "ab": 2.0, "abc": 5.0, "abcd": 10.0}
    vocab = {piece: id for id, piece in enumerate(scores)}
    algorithm = Unigram(vocab, list(scores.values()), OneToken(0), apart=["<unk>"])
    assert algorithm.place("abcdacdxx") == [(8, 0, 4), (1, 4, 5), (5, 5, 7), (0, 7, 9)]
    assert 0 not in algorithm.encode("abc") and algorithm.encode("<unk>") == (0,)


def test_added_tokens():
    finder = Finder([
        AddedToken("<a>", 1),
        AddedToken("<ab>", 2, lstrip=True, rstrip=True),
        AddedToken("word", 3, single_word=True),
    ])  # fmt: skip
    found = [(one.start, one.end, one.token.id) for one in finder.find("x <a>  <ab> y word swords")]
    assert found == [(2, 5, 1), (5, 12, 2), (14, 18, 3)]


@settings(deadline=None, max_examples=100, database=None)
@given(st.binary(max_size=40))
def test_byte_symbols(raw):
    assert byte_level.raw_bytes(byte_level.symbols(raw)) == raw


def test_byte_symbols_are_gpt2s():
    assert byte_level.symbols(bytes(range(256)))[32:35] == 'Ġ!"'
    assert byte_level.raw_bytes("a b") is None and byte_level.raw_bytes("東") is None
    assert sorted(byte_level.BYTE_ORDER) == list(range(256)) and byte_level.BYTE_ORDER[:2] == (33, 34)


def test_the_cache_is_bounded(monkeypatch):
    monkeypatch.setattr(cache, "MOST_ENTRIES", 10)
    asked = []
    remembered = cache.PretokenCache(lambda word: asked.append(word) or (len(word),))
    for word in [str(number) for number in range(25)] * 2:
        assert remembered[word] == (len(word),)
        assert len(remembered) <= 10
    assert remembered["x" * 1000] == (1000,) and "x" * 1000 not in remembered


def test_surrogates_are_repaired_with_their_places():
    aligned = normalize.repair_surrogates("a\ud83d\ude42b\ud83d")
    assert aligned.text == "a🙂b\ufffd"
    assert list(zip(aligned.starts, aligned.ends, strict=True)) == [(0, 1), (1, 3), (3, 4), (4, 5)]
