"""`isinglass verify book`: the table, its file, and what is wrong with the options."""

from __future__ import annotations

import csv
import json


def test_the_table_has_theirs_and_ours(cli):
    out = cli("verify", "book", "--only", "cache,sampling", "--json", "--quiet")
    data = json.loads(out.out)
    assert data["counts"] == {"equal": 7, "differs": 1, "needs data": 0}
    assert out.code == 0 and out.err == ""
    assert {"chapter", "what", "theirs", "ours", "verdict", "note", "shown by"} <= data["numbers"][0].keys()


def test_it_is_saved(cli, tmp_path):
    cli("verify", "book", "--only", "attention", "--save", str(tmp_path / "book.csv"), "--quiet")
    rows = list(csv.DictReader((tmp_path / "book.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["verdict"] for row in rows] == ["equal"] * 4


def test_files_that_are_not_there_leave_rows_open(cli, tmp_path):
    out = cli("verify", "book", "--only", "text", "--data", str(tmp_path), "--quiet")
    assert "8 needs data" in out.out


def test_a_folder_that_is_none_is_an_error(cli, tmp_path):
    result = cli("verify", "book", "--only", "text", "--data", str(tmp_path / "nowhere"))
    assert result.code == 1
    assert "no folder" in result.err and "the-verdict.txt" in result.err
