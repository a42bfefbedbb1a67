"""The steps that judge a text by itself: golden cases of their rules, and no false alarm on real text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isinglass.core.cards import cards
from isinglass.core.errors import ExtraMissing, VariantError
from isinglass.data import c4, gopher, privacy
from isinglass.data.sources import read
from isinglass.data.step import Passed, Refused, Step, TextStep
from isinglass.data.steps import family

SMS = Path(__file__).parents[3] / "shared" / "facts" / "data" / "sms_spam.tsv"


def step(expression: str) -> TextStep:
    built = family.resolve(expression)
    assert isinstance(built, TextStep)
    return built


@pytest.mark.parametrize("card", cards("steps"), ids=lambda card: card.name)
def test_the_example_of_each_step_builds(card):
    module = family.module(card.name)
    assert card.example == module.EXAMPLE
    assert isinstance(module.build(**card.example), Step)


# clean


@pytest.mark.parametrize(
    ("dirty", "expected", "changes"),
    [
        ("cafe\u0301", "café", ["clean.unicode"]),
        ("a\r\nb\rc\u2028d\x0ce", "a\nb\nc\nd\ne", ["clean.line_ends"]),
        ("\ufeffa\x00\u200bb\xad", "ab", ["clean.control_characters"]),
        ("a  \n\n\n\nb \n", "a\n\nb", ["clean.whitespace"]),
        ("plain\n\ttext", "plain\n\ttext", []),
        ("👩\u200d🔬 می\u200cخواهم", "👩\u200d🔬 می\u200cخواهم", []),  # joiners that belong to emoji and scripts
    ],
)
def test_clean(dirty, expected, changes):
    assert step("clean").judge(dirty) == Passed(expected, tuple(changes))


def test_clean_takes_the_licence_off_a_gutenberg_book():
    book = "The Project Gutenberg eBook of X\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\nText.\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\nLicence"
    assert step("clean").judge(book) == Passed("Text.", ("clean.boilerplate", "clean.whitespace"))
    assert step("clean(gutenberg=False)").judge(book) == Passed(book)
    assert step("clean").judge("*** START OF THIS PROJECT GUTENBERG EBOOK X ***\nText.") == Passed(
        "Text.", ("clean.boilerplate", "clean.whitespace")
    )


def test_clean_drops_what_is_empty():
    assert step("clean").judge("\u200b \n") == Refused("clean.empty", "nothing is left of it")


@given(st.text())
def test_clean_changes_nothing_the_second_time(text):
    once = step("clean").judge(text)
    if isinstance(once, Passed):
        assert step("clean").judge(once.text) == Passed(once.text)


# personal data


@pytest.mark.parametrize(
    ("number", "valid"),
    [
        ("79927398713", True),  # the example of the patent's literature
        *((f"7992739871{digit}", digit == 3) for digit in range(10)),
        ("4111111111111111", True), ("5500 0000 0000 0004", True), ("3400-000000-00009", True), ("6011000000000004", True),
        ("4111111111111112", False), ("", False),
    ],
)  # fmt: skip
def test_luhn(number, valid):
    assert privacy.luhn(number) is valid


@pytest.mark.parametrize(
    ("number", "valid"),
    [
        ("GB29 NWBK 6016 1331 9268 19", True), ("DE89370400440532013000", True), ("FR14 2004 1010 0505 0001 3M02 606", True),
        ("NO93 8601 1117 947", True), ("MT84 MALT 0110 0001 2345 MTLC AST0 01S", True),
        ("GB29 NWBK 6016 1331 9268 18", False), ("DE98370400440532013000", False), ("DE89", False),
    ],
)  # fmt: skip
def test_iban(number, valid):
    assert privacy.iban(number) is valid


@given(st.text("0123456789", min_size=12, max_size=18), st.data())
def test_luhn_sees_every_changed_digit(digits, data):
    check = next(digit for digit in "0123456789" if privacy.luhn(digits + digit))
    number = digits + check
    at = data.draw(st.integers(0, len(number) - 1))
    other = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != number[at]]))
    assert not privacy.luhn(number[:at] + other + number[at + 1 :])


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to ann.lee+x@mail.example.co.uk, please", "Write to [EMAIL], please"),
        ("card 4111 1111 1111 1111.", "card [CARD]."),
        ("card 4111 1111 1111 1112.", "card 4111 1111 1111 1112."),
        ("IBAN DE89 3704 0044 0532 0130 00 at", "IBAN [IBAN] at"),
        ("SSN 078-05-1120, not 000-12-3456 or 666-12-3456 or 912-12-3456", "SSN [SSN], not 000-12-3456 or 666-12-3456 or 912-12-3456"),
        ("from 192.168.0.1 and 2001:db8::ff00:42:8329", "from [IP] and [IP]"),
        ("not 300.1.1.1, version 1.2.3, at 10:15:30", "not 300.1.1.1, version 1.2.3, at 10:15:30"),
        ("call (212) 555-0100 or 212-555-0100 or +44 20 7946 0958", "call [PHONE] or [PHONE] or [PHONE]"),
        ("call 08712460324 or 020 7946 0958 now", "call [PHONE] or [PHONE] now"),
        ("in 1492, 2024-01-31, 3.14159265, 10,000,000 and 1234567890123", "in 1492, 2024-01-31, 3.14159265, 10,000,000 and 1234567890123"),
    ],
)
def test_personal_data_is_masked(text, masked):
    verdict = step("personal_data").judge(text)
    assert isinstance(verdict, Passed) and verdict.text == masked
    assert bool(verdict.changes) == (text != masked)


def test_personal_data_can_drop_the_text_and_does_not_repeat_it():
    verdict = step("personal_data(action='drop')").judge("ann@example.org, call 08712460324")
    assert verdict == Refused("personal_data.email", "2 places: email, phone")


def test_the_bible_holds_no_personal_data():
    assert [record["reference"] for record in list(read("web"))[::4] if privacy.find(record.text)] == []


@pytest.mark.skipif(not SMS.exists(), reason="the SMS spam file is not beside the repository")
def test_spam_gives_phone_numbers_and_people_do_not():
    spam, ham = ([r.text for r in read(SMS, columns=("label", "text")) if r["label"] == label] for label in ("spam", "ham"))
    shares = [sum(any(found.kind == "phone" for found in privacy.find(text)) for text in texts) / len(texts) for texts in (spam, ham)]
    assert shares[0] > 0.4 and shares[1] < 0.01


# quality


def gopher_reason(text: str, *skip: str) -> str:
    verdict = gopher.judge(text, frozenset(skip))
    return "" if isinstance(verdict, Passed) else verdict.reason.removeprefix("quality.")


def test_the_thresholds_are_those_of_the_paper():
    bounds = {rule.name: (rule.least, rule.most) for rule in gopher.RULES.values()}
    inf = float("inf")
    assert bounds["word_count"] == (50, 100_000) and bounds["mean_word_length"] == (3, 10) and bounds["symbols_per_word"] == (-inf, 0.1)
    assert bounds["bullet_lines"] == (-inf, 0.9) and bounds["ellipsis_lines"] == (-inf, 0.3)
    assert bounds["alphabetic_words"] == (0.8, inf) and bounds["stop_words"] == (2, inf)
    # table A1
    assert [bounds[f"top_{n}_gram"][1] for n in (2, 3, 4)] == [0.20, 0.18, 0.16]
    assert [bounds[f"duplicate_{n}_grams"][1] for n in range(5, 11)] == [0.15, 0.14, 0.13, 0.12, 0.11, 0.10]
    assert [bounds[f"duplicate_{part}"][1] for part in ("lines", "paragraphs", "line_characters", "paragraph_characters")] == [
        0.3,
        0.3,
        0.2,
        0.2,
    ]


def distinct(n: int) -> str:
    """n different words of 5 letters with two stop words among them."""
    return " ".join(["the", "of", *("".join(chr(97 + i // 26**place % 26) for place in range(4)) + "x" for i in range(n - 2))])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (distinct(50), ""),
        (distinct(49), "word_count"),
        (distinct(100_001), "word_count"),
        (distinct(50) + " " + "a b c d e f g h i j k l m n o p q r s t u v w x y z " * 3, "mean_word_length"),
        (" ".join(["the", "of", *("x" * 12 + str(i) for i in range(60))]), "mean_word_length"),
        (distinct(100) + "#" * 10, ""),
        (distinct(100) + "#" * 11, "symbols_per_word"),
        (distinct(95) + " x... y... z... a... b... c... d... e... f... g... h...", "symbols_per_word"),
        ("\n".join(f"- {line}" for line in distinct(90).split(" ", 9)), "bullet_lines"),
        ("\n".join([*(f"- {word}" for word in distinct(60).split()[:9]), distinct(90)]), ""),  # nine of ten lines
        ("\n".join(f"{line}…" for line in distinct(100).split(" ", 3)), "ellipsis_lines"),
        (distinct(80) + "".join(f" {10_000 + i}" for i in range(21)), "alphabetic_words"),
        (distinct(80) + "".join(f" {10_000 + i}" for i in range(20)), ""),
        (distinct(60).replace("of", "off"), "stop_words"),
        (distinct(60).replace("of", "OF,"), ""),  # in any case, with punctuation
    ],
)
def test_gopher_quality(text, reason):
    assert gopher_reason(text) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n".join(["the", *["of b and", "c d and", "e f and", "g h and"], *["the"] * 2]), ""),  # 2 of 7 lines stood before, 0.286
        ("\n".join(["the", *["of b and", "c d and", "e f and", "g h and"], *["the"] * 3]), "duplicate_lines"),  # 3 of 8
        ("\n\n".join(["the", "of\nb", "c\nd", "e\nf", "the", "the"]), "duplicate_paragraphs"),  # 2 of 6 paragraphs, but 2 of 9 lines
        ("\n".join(["the of a b c d e f", "g", "h", "i", "j", "the of a b c d e f"]), "duplicate_line_characters"),
    ],
)
def test_gopher_repetition_of_lines_and_paragraphs(text, reason):
    skip = ("word_count", "mean_word_length", *(name for name in gopher.RULES if "gram" in name))
    assert gopher_reason(text, *skip) == reason


def test_gopher_repetition_of_ngrams():
    skip = ("word_count",)
    # 10 of 50 words are in 5 occurrences of one pair: exactly 0.2 when all words are as long
    words = [f"wo{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(38)]
    text = " ".join(["that", "with", *(word for i in range(5) for word in ("aaaa", "bbbb", *words[i * 7 : i * 7 + 7])), *words[35:]])
    assert len(text.split()) == 50
    assert gopher_reason(text, *skip) == ""
    assert gopher_reason(text.replace(words[37], "aaaa bbbb"), *skip) == "top_2_gram"
    # a run of ten words that stood before: 10 of 60 words are more than the 0.15 of 5-grams
    run = " ".join(f"re{chr(97 + i)}x" for i in range(10))
    rest = " ".join(f"zz{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(38))
    assert gopher_reason(f"that with {run} {rest} {run}", *skip) == "duplicate_5_grams"
    assert gopher_reason(f"that with {run} {rest} {rest.replace('z', 'y')} {rest.replace('z', 'x')} {run}", *skip) == ""  # 10 of 136


def test_a_top_ngram_must_occur_twice():
    """A short text without any repetition is no repetition."""
    assert gopher_reason("that is with us", "word_count") == ""


def test_gopher_says_what_it_found():
    assert gopher.judge("too short", frozenset()) == Refused("quality.word_count", "2, expected at least 50")


def test_c4_keeps_sentences():
    page = 'Home\nThe first line of this page.\nSo it says "here and there."\n[1] Enable Javascript to see all of it.\nRead [edit] the second line now, please!'
    verdict = c4.judge(page, frozenset())
    assert verdict == Passed(
        'The first line of this page.\nSo it says "here and there."\nRead  the second line now, please!',
        ("quality.line_end", "quality.citation_marks", "quality.javascript"),
    )


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("A whole sentence stands here now. Then another one. And a third.", ""),
        ("A whole sentence stands here now. Then another one.", "sentences"),
        ("Four words are here. One. Two. Three.\nIt has {brackets} in it.", "curly_bracket"),
        ("Lorem Ipsum is what it says here. One. Two. Three.", "lorem_ipsum"),
        ("This one trails off into nothing...\nSee our Privacy Policy. It is here. Read.", "sentences"),
        ("One. Two. Three. Four.", "sentences"),  # four words
    ],
)
def test_c4_pages(page, reason):
    verdict = c4.judge(page, frozenset())
    assert ("" if isinstance(verdict, Passed) else verdict.reason) == (f"quality.{reason}" if reason else "")


def test_real_prose_passes_and_rules_can_be_skipped():
    chapters = {record["reference"]: record.text for record in read("web", unit="paragraph")}
    sample = list(chapters.values())[::10]
    assert sum(isinstance(step("quality").judge(text), Passed) for text in sample) > 0.9 * len(sample)
    # two verses; a litany of twelve equal offerings; a refrain after every line
    reasons = [gopher_reason(chapters[name]) for name in ("Psalms 117", "Numbers 7", "Psalms 136")]
    assert reasons == ["word_count", "duplicate_5_grams", "top_2_gram"]
    assert step("quality(skip=['word_count'])").judge("He declared that to be of great service.") == Passed(
        "He declared that to be of great service."
    )
    with pytest.raises(VariantError, match=r"unknown rule 'words' in quality\(rules='gopher'\)\n  known: alphabetic_words"):
        step("quality(skip=['words'])")
    with pytest.raises(VariantError, match="quality: rules = 'fineweb'"):
        step("quality(rules='fineweb')")


# language


def test_language():
    judge = step("language").judge
    english = judge("In the beginning God created the heaven and the earth.")
    assert isinstance(english, Passed) and english.fields["language"] == "en" and english.fields["language_probability"] > 0.9
    german = judge("Am Anfang schuf Gott Himmel und Erde, und die Erde war wüst und leer.")
    assert isinstance(german, Refused) and german.reason == "language.de"
    assert isinstance(step("language(keep=['de'])").judge("Am Anfang schuf Gott Himmel und Erde, und die Erde war wüst."), Passed)
    assert judge("12 : 34") == Refused("language.none", "no letter in it")
    unsure = step("language(probability=1.0)").judge("A short text.")
    assert isinstance(unsure, Refused) and unsure.reason in ("language.unsure",)


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("language(keep=['english'])", "unknown language 'english'"),
        ("language(keep=[])", "would drop every text"),
        ("language(probability=2.0)", "probability = 2.0, expected 0 to 1"),
        ("near_duplicates(threshold=1.5)", "threshold = 1.5, expected 0.1 to 1"),
        ("near_duplicates(shingle=0)", "shingle = 0, expected at least 1 word"),
        ("repeated_lines(share=0.0)", "share = 0.0, expected more than 0 and at most 1"),
        ("repeated_lines(depth=0)", "depth = 0, expected at least 1"),
        ("decontaminate('kjv', n=2)", "n = 2, expected at least 5 words"),
    ],
)
def test_settings_out_of_range(expression, told):
    with pytest.raises(VariantError, match=r"[\s\S]*") as fault:
        family.resolve(expression)
    assert told in str(fault.value)


@pytest.mark.parametrize(("name", "package"), [("language", "py3langid"), ("near_duplicates", "rensa")])
def test_a_missing_package_is_said_before_the_work(name, package, monkeypatch):
    monkeypatch.setattr(family.module(name), "find_spec", lambda _: None)
    with pytest.raises(
        ExtraMissing, match=rf"needs the package '{package}', which is not installed\nhint: pip install 'isinglass\[data\]'"
    ):
        family.resolve(name)


# decontaminate


def test_decontaminate(tmp_path):
    tests = tmp_path / "test.jsonl"
    tests.write_text(
        '{"q": "' + " ".join(f"word{i}" for i in range(20)) + '", "a": "one two three four five six", "n": 3, "s": "a b c d"}\n'
    )
    judge = family.resolve(f"decontaminate('{tests}')").judge  # type: ignore[attr-defined]
    thirteen, twelve = (" ".join(f"Word{i}," for i in range(4, 4 + n)) for n in (13, 12))
    refused = judge(f"before {thirteen} after")
    assert refused == Refused("decontaminate", f"'{' '.join(f'word{i}' for i in range(4, 17))}' stands in {tests}:1")
    assert judge(f"before {twelve} after") == Passed(f"before {twelve} after")
    # a shorter item counts as a whole, one of four words never
    assert isinstance(judge("and One two three - four five six!"), Refused)
    assert isinstance(judge("one two three four five seven a b c d"), Passed)
