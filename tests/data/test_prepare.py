"""Preparation as a whole: order, reasons, several processes, the card, the folder; mixing and splitting."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isinglass.core.errors import ConfigError, DataError, IsinglassError, VariantError
from isinglass.data.card import Tally
from isinglass.data.folder import write
from isinglass.data.mix import mix, realised
from isinglass.data.prepare import prepare, read_steps
from isinglass.data.records import Record
from isinglass.data.similar import clusters
from isinglass.data.sources import read
from isinglass.data.split import split, splitting
from isinglass.data.step import Dropped, Kept


def records(*texts: str) -> list[Record]:
    return [Record({"text": text, "n": n}, f"a.txt:{n}") for n, text in enumerate(texts, start=1)]


def told(outcomes) -> list[tuple]:
    return [
        (outcome.record.place, outcome.record["text"], *((outcome.reason,) if isinstance(outcome, Dropped) else outcome.changes))
        for outcome in outcomes
    ]


def test_one_outcome_for_each_record_in_order():
    texts = ["one ", "ann@example.org", " ", "one", "two", "ann@example.org"]
    outcomes = prepare(records(*texts), ["clean", "exact_duplicates", "personal_data", "near_duplicates"])
    assert told(outcomes) == [
        ("a.txt:1", "one", "clean.whitespace"),
        ("a.txt:2", "[EMAIL]", "personal_data.email"),
        ("a.txt:3", " ", "clean.empty"),
        ("a.txt:4", "one", "exact_duplicates"),
        ("a.txt:5", "two"),
        ("a.txt:6", "ann@example.org", "exact_duplicates"),
    ]


def test_other_fields_stay_and_steps_may_add_some():
    (outcome,) = prepare([Record({"body": "In the beginning God created.", "n": 1}, "x")], ["language"], field="body")
    assert isinstance(outcome, Kept)
    assert outcome.record.fields.keys() == {"body", "n", "language", "language_probability"}


def test_it_streams_where_the_steps_do():
    def endless():
        n = 0
        while True:
            n += 1
            yield Record({"text": f"text {n // 2}"}, f"line {n}")

    outcomes = prepare(endless(), ["clean", "exact_duplicates", "quality(rules='c4')"])
    assert [type(next(outcomes)) for _ in range(3)] == [Dropped] * 3


def test_a_missing_field_names_the_place():
    with pytest.raises(DataError, match=r"^a.txt:1: no field 'body'\n  it has: text, n$"):
        list(prepare(records("one"), ["clean"], field="body"))


def test_unknown_steps_and_processes():
    with pytest.raises(VariantError, match="unknown step 'deduplicate' in steps"):
        prepare([], ["deduplicate"])
    with pytest.raises(ConfigError, match="processes = 0, expected at least 1"):
        prepare([], processes=0)


def test_any_number_of_processes_gives_the_same(tmp_path):
    verses = list(read("kjv"))[:2500]
    steps = ["clean", "personal_data", "exact_duplicates", "quality(skip=['word_count', 'stop_words'])"]
    alone, together = (list(prepare(verses, steps, processes=processes)) for processes in (1, 2))
    assert alone == together and len(alone) == 2500
    files = []
    for name, outcomes in (("a", alone), ("b", together)):
        write(outcomes, tmp_path / name / "kjv", tally=Tally(), steps=steps, shard_records=1000)
        files.append({file.name: file.read_bytes() for file in sorted((tmp_path / name / "kjv").iterdir())})
    assert files[0] == files[1] and {"card.md", "dropped.jsonl", "part-00000.jsonl", "part-00001.jsonl"} <= set(files[0])


def test_an_error_in_another_process_is_the_same_error():
    broken = [*records(*(f"text {n}" for n in range(1500))), Record({"other": "x"}, "a.txt:1501")]
    with pytest.raises(DataError, match=r"^a.txt:1501: no field 'text'\n  it has: other$"):
        list(prepare(broken, ["clean"], processes=2))


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("clean", ["clean"]),
        ("clean, near_duplicates(threshold=0.8)", ["clean", "near_duplicates(threshold=0.8)"]),
        ("quality(rules='c4', skip=['sentences']),language(keep=['en', 'de'])", ["quality(rules='c4', skip=[\'sentences\'])", "language(keep=['en', 'de'])"]),
        ("", []),
    ],
)  # fmt: skip
def test_steps_as_text(text, steps):
    assert read_steps(text) == steps


def test_steps_as_a_recipe(tmp_path):
    tables = tmp_path / "a.toml"
    tables.write_text('[[steps]]\nname = "clean"\n[[steps]]\nname = "quality"\nrules = "gopher"\nskip = ["word_count"]\n')
    listed = tmp_path / "b.toml"
    listed.write_text("steps = [\"clean\", \"quality(rules='gopher', skip=['word_count'])\"]")
    assert read_steps(str(tables)) == read_steps(str(listed)) == ["clean", "quality(rules='gopher', skip=['word_count'])"]
    assert len(list(prepare(records("He said that to be of use."), read_steps(str(tables))))) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "steps is None, expected a list"),
        ("steps = 3", "steps is 3, expected a list"),
        ("steps = [3]", r"steps\[0\] = 3, expected an expression or a table with a name"),
        ("[[steps]]\nrules = 'c4'", r"steps\[0\] = {'rules': 'c4'}, expected an expression or a table with a name"),
    ],
)
def test_recipes_that_cannot_be_read(tmp_path, content, message):
    path = tmp_path / "r.toml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_steps(str(path))


def test_the_card():
    tally = Tally(count=len)
    steps = ["clean", "exact_duplicates", "personal_data(action='drop')", "language"]
    texts = ["In the beginning God created. ", "In the beginning God created.", "Write to ann@example.org today, please, about this."]
    list(tally.watch(prepare([*records(*texts), Record({"text": "And God said, Let there be light."}, "kjv: Genesis 1:3")], steps)))
    card = tally.card(steps)
    sources, reasons, changes, languages = (part.data.rows for part in card.parts)  # type: ignore[union-attr]
    assert sources[0] == {"source": "a.txt", "records": 3, "kept": 1, "dropped": 2, "characters": 29, "words": 5, "tokens": 29}
    assert [row["source"] for row in sources] == ["a.txt", "kjv", "all"] and sources[2]["records"] == 4
    assert [(row["reason"], row["records"], row["share"], row["for example"], row["found"], row["text"]) for row in reasons] == [
        ("exact_duplicates", 1, 0.25, "a.txt:2", "same as a.txt:1", "In the beginning God created."),
        ("personal_data.email", 1, 0.25, "a.txt:3", "1 places: email", ""),
    ]
    assert changes == [{"change": "clean.whitespace", "records": 1}] and languages == [{"language": "en", "records": 2}]
    text = card.to_markdown("Data card: mine")
    assert text.startswith("# Data card: mine\n\n2 of 4 records kept.") and "2. `exact_duplicates`" in text
    assert "| personal\\_data.email | 1 | 25.0 % | a.txt:3 |" in text


# the folder


def test_what_is_written_can_be_read_again(tmp_path):
    out = tmp_path / "prepared"
    outcomes = prepare(records("one", "ann@example.org", "one", "half \ud800 pair"), ["exact_duplicates", "personal_data(action='drop')"])
    written = write(outcomes, out, tally=Tally(), shard_records=1)
    assert written.shards == ("part-00000.jsonl", "part-00001.jsonl")
    assert [(record.text, record["place"], record.place) for record in read(out)] == [
        ("one", "a.txt:1", f"{out}/part-00000.jsonl:1"),
        ("half \ud800 pair", "a.txt:4", f"{out}/part-00001.jsonl:1"),
    ]
    assert [json.loads(line) for line in (out / "dropped.jsonl").read_text().splitlines()] == [
        {"reason": "personal_data.email", "detail": "1 places: email", "place": "a.txt:2", "n": 2},  # the text is not repeated
        {"reason": "exact_duplicates", "detail": "same as a.txt:1", "place": "a.txt:3", "text": "one", "n": 3},
    ]
    assert [record["reason"] for record in read(out / "dropped.jsonl")] == ["personal_data.email", "exact_duplicates"]
    again = write(prepare(read(out)), tmp_path / "again", tally=Tally())
    assert [record["place"] for record in read(again.folder)] == ["a.txt:1", "a.txt:4"]  # where it first came from


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), DataError("a.txt:2: broken")])
def test_nothing_half_is_left(tmp_path, fault):
    def failing():
        yield Kept(records("one")[0])
        raise fault

    with pytest.raises(type(fault)):
        write(failing(), tmp_path / "out", tally=Tally())
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_lost(tmp_path):
    out = tmp_path / "out"
    write(prepare(records("one")), out, tally=Tally())
    with pytest.raises(IsinglassError, match=r"there are files in '.*out'\nhint: name another folder, or add --overwrite"):
        write(prepare(records("two")), out, tally=Tally())
    with pytest.raises(DataError, match=r"no record is left of 1\n  dropped: clean.empty 1\nhint: isinglass explain steps"):
        write(prepare(records(" ")), out, tally=Tally(), overwrite=True)
    assert [record.text for record in read(out)] == ["one"]
    write(prepare(records("two")), out, tally=Tally(), overwrite=True)
    assert [record.text for record in read(out)] == ["two"] and [path.name for path in tmp_path.iterdir()] == ["out"]
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(IsinglassError, match=r"holds files of something else: thesis\.txt"):
        write(prepare(records("two")), out, tally=Tally(), overwrite=True)
    with pytest.raises(IsinglassError, match="is a file, expected a folder"):
        write(prepare(records("two")), out / "thesis.txt", tally=Tally())


def test_values_that_json_does_not_have(tmp_path):
    with pytest.raises(DataError, match=r"x:1: cannot be written as JSON: .*set"):
        write([Kept(Record({"text": "a", "tags": {1}}, "x:1"))], tmp_path / "out", tally=Tally())


# mixing


def corpus(lengths: list[int], name: str) -> list[Record]:
    return [Record({"text": "x" * length}, f"{name}:{n}") for n, length in enumerate(lengths)]


LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=30)


@given(st.lists(LENGTHS, min_size=2, max_size=4), st.data())
def test_at_every_moment_no_source_is_over_its_share_by_more_than_a_record(lengths, data):
    shares = {f"s{n}": data.draw(st.floats(0.05, 1)) for n in range(len(lengths))}
    sources = {name: corpus(one, name) for name, one in zip(shares, lengths, strict=True)}
    tokens = data.draw(st.integers(1, 500))
    given_, last = Counter(), Counter()
    for mixed in mix(sources, shares, count=len, tokens=tokens, at_end="repeat"):
        given_[mixed.source] += mixed.n_tokens
        last[mixed.source] = mixed.n_tokens
        total = given_.total()
        over = {name: given_[name] - share / sum(shares.values()) * total for name, share in shares.items()}
        assert all(over[name] <= last[name] + 1e-6 for name in shares)
        if len(shares) == 2:
            assert all(-over[name] <= max(max(one) for one in lengths) + 1e-6 for name in shares)
    assert tokens <= given_.total() < tokens + 50


def test_mixtures_depend_on_the_seed_alone():
    sources = {"a": corpus([3, 1, 4, 1, 5, 9, 2, 6], "a"), "b": corpus([2, 7, 1, 8, 2, 8], "b")}
    one, same, other = (list(mix(sources, {"a": 1, "b": 3}, count=len, tokens=60, seed=seed, at_end="repeat")) for seed in (0, 0, 1))
    assert one == same != other
    first_epoch = [mixed.record.place for mixed in one if mixed.source == "b" and mixed.epoch == 0]
    assert sorted(first_epoch) == [record.place for record in sources["b"]]  # each once before any twice


def test_shares_are_of_tokens_and_not_of_records():
    sources = {"long": corpus([100] * 50, "long"), "short": corpus([10] * 500, "short")}
    table = realised(mix(sources, {"long": 0.5, "short": 0.5}, count=len, tokens=4000), {"long": 0.5, "short": 0.5})
    assert [(row["source"], row["records"], row["tokens"], row["share"]) for row in table.rows] == [
        ("long", 20, 2000, 0.5), ("short", 200, 2000, 0.5),
    ]  # fmt: skip


def test_a_mixture_ends_where_a_source_does():
    mixed = list(mix({"a": corpus([1] * 3, "a"), "b": corpus([1] * 99, "b")}, {"a": 0.5, "b": 0.5}, count=len))
    assert Counter(one.source for one in mixed) == {"a": 3, "b": 3}


@pytest.mark.parametrize(
    ("shares", "options", "message"),
    [
        ({"a": 1, "c": 1}, {}, "sources a, b, but shares of a, c: expected one share for each"),
        ({"a": 1, "b": 0}, {}, "the share of 'b' is 0, expected more than 0"),
        ({"a": 1, "b": 1}, {"at_end": "repeat"}, "at_end = 'repeat' without tokens would never end"),
        ({"a": 1, "b": 1}, {"at_end": "again"}, "unknown at_end 'again'"),
    ],
)
def test_mixtures_that_make_no_sense(shares, options, message):
    with pytest.raises(ConfigError, match=message):
        mix({"a": corpus([1], "a"), "b": corpus([1], "b")}, shares, count=len, **options)


def test_sources_with_nothing_to_mix():
    with pytest.raises(DataError, match="source 'b' holds no records"):
        mix({"a": corpus([1], "a"), "b": []}, {"a": 1, "b": 1}, count=len)
    with pytest.raises(DataError, match="source 'b' holds no tokens"):
        list(mix({"a": corpus([1], "a"), "b": corpus([0], "b")}, {"a": 1, "b": 1}, count=len, tokens=9, at_end="repeat"))


# splitting

SHARES = {"train": 0.8, "test": 0.2}


@given(st.lists(st.text("ab \n", max_size=4), max_size=40), st.integers(0, 5))
def test_equal_texts_are_on_one_side(texts, seed):
    sides: dict[str, set[str]] = {}
    for placed in split(records(*texts), SHARES, seed=seed):
        sides.setdefault(" ".join(placed.record.text.split()), set()).add(placed.side)
    assert all(len(side) == 1 for side in sides.values())


@given(st.lists(st.text("abcdef ", max_size=12), max_size=30), st.integers(0, 5), st.data())
def test_clusters_are_on_one_side_and_equal_texts_too(texts, seed, data):
    found = clusters(texts, threshold=0.5, shingle=1)
    sides = [placed.side for placed in split(records(*texts), SHARES, seed=seed, clusters=found.first)]
    assert all(sides[at] == sides[first] for at, first in enumerate(found.first))
    by_text: dict[str, set[str]] = {}
    for text, side in zip(texts, sides, strict=True):
        by_text.setdefault(text, set()).add(side)
    assert all(len(side) == 1 for side in by_text.values())


def test_a_split_has_its_shares_and_does_not_depend_on_the_order():
    verses = list(read("kjv"))[:5000]
    placed = list(split(verses, {"train": 0.9, "validation": 0.05, "test": 0.05}))
    counts = Counter(one.side for one in placed)
    assert abs(counts["train"] - 4500) < 100 and abs(counts["test"] - 250) < 60
    assert {one.record.place: one.side for one in placed} == {one.record.place: one.side for one in splitting(reversed(verses))}
    other = {one.record.place: one.side for one in split(verses, seed=1)}
    assert sum(other[one.record.place] != one.side for one in placed) > 300
    assert {one.side for one in split(verses[:200], {"train": 1.0, "test": 0.0})} == {"train"}


@pytest.mark.parametrize("shares", [{}, {"train": 0.9}, {"train": 1.5, "test": -0.5}, {"train": float("nan")}])
def test_shares_that_are_no_parts(shares):
    with pytest.raises(ConfigError, match=r"shares .*: expected parts that sum to 1\nhint: train=0.9"):
        list(split(records("a"), shares))


def test_clusters_of_other_records():
    with pytest.raises(ConfigError, match="clusters has 2 entries for 1 records"):
        list(split(records("a"), SHARES, clusters=[0, 1]))


@pytest.mark.skipif(not (Path(__file__).parents[3] / "shared" / "facts" / "data" / "sms_spam.tsv").exists(), reason="no SMS file beside it")
def test_the_sms_messages_through_the_whole_line():
    sms = Path(__file__).parents[3] / "shared" / "facts" / "data" / "sms_spam.tsv"
    outcomes = list(
        prepare(read(sms, columns=("label", "text")), ["clean", "exact_duplicates", "near_duplicates(threshold=0.7, shingle=3)"])
    )
    reasons = Counter(outcome.reason for outcome in outcomes if isinstance(outcome, Dropped))
    assert len(outcomes) == 5574 and 380 < reasons["exact_duplicates"] < 440 and 50 < reasons["near_duplicates"] < 300
    kept = [outcome.record for outcome in outcomes if isinstance(outcome, Kept)]
    assert len({record.text for record in kept}) == len(kept)


def test_a_step_of_the_users_runs_in_several_processes(tmp_path):
    """Its class comes from a file, which the other processes import before they unpickle it."""
    (tmp_path / "shout.py").write_text(
        "from isinglass.data.step import Passed, TextStep\n\n\nclass Shout(TextStep):\n"
        "    def judge(self, text):\n        return Passed(text.upper(), ('shout.raised',))\n\n\ndef build():\n    return Shout()\n"
    )
    records = [Record({"text": f"text {n}"}, str(n)) for n in range(3000)]
    one, two = (list(prepare(records, [str(tmp_path / "shout.py")], processes=n)) for n in (1, 2))
    assert one == two and two[-1].record.text == "TEXT 2999"
