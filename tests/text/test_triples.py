"""Published (text, ids) pairs, each from the tests of a public project."""

from __future__ import annotations

import json

import pytest

NAMES = {"t5-base": "t5"}


@pytest.mark.parametrize("name", ["gpt2", "r50k_base", "p50k_base", "cl100k_base", "o200k_base", "bert-base-uncased", "t5"])
def test_published_ids(name, tokenizer, facts):
    tok = tokenizer(name)
    checked = 0
    for row in json.loads((facts / "tokenizer_triples.json").read_text("utf-8")):
        encoding, _, surroundings = row["encoding"].partition("(")
        if NAMES.get(encoding, encoding) != name:
            continue
        text, pair = row["text"] if isinstance(row["text"], list) else (row["text"], None)
        special = "parse" if row["special"] == "all" else "text"
        assert tok.encode(text, pair=pair, special=special, add_special=bool(surroundings)) == row["ids"], row
        checked += 1
    assert checked > 0
