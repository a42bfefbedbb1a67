"""generate --compare and bench cache."""

from __future__ import annotations


def test_strategies_side_by_side(cli, byte_folder, tmp_path):
    path = tmp_path / "measures.csv"
    asked = (
        "generate",
        byte_folder,
        "hello",
        "--max-tokens",
        "6",
        "--samples",
        "2",
        "--compare",
        "greedy; sample(top_k=50);beam(n_beams=2)",
    )
    ran = cli(*asked, "--json", "--save", path)
    assert [one["strategy"] for one in ran.json["strategies"]] == ["greedy", "sample(top_k=50)", "beam(n_beams=2)"]
    assert all(len(one["samples"]) == 2 and one["perplexity"] > 1 and one["tokens_per_second"] > 0 for one in ran.json["strategies"])
    assert ran.json["strategies"][0]["self_bleu"] == 1.0
    assert path.read_text(encoding="utf-8").startswith("strategy,distinct_1,distinct_2,self_bleu,repetition,entropy,perplexity")
    assert "beam(n_beams=2): " in ran.err
    shown = cli(*asked)
    assert "Strategies side by side" in shown.out and "What they made of" in shown.out


def test_what_cannot_be_compared(cli, byte_folder):
    ran = cli("generate", byte_folder, "a", "--compare", "greedy", "--top-p", "0.9")
    assert ran.code == 2 and "--compare takes one prompt, and no strategy, stop text or --compile beside it" in ran.err
    assert 'hint: write settings inside: --compare "greedy;' in ran.err
    assert "--compare ' ; ' names no strategy" in cli("generate", byte_folder, "a", "--compare", " ; ").err
    assert "did you mean 'beam'?" in cli("generate", byte_folder, "a", "--compare", "greedy;beem").err


def test_bench_cache(cli, byte_folder):
    ran = cli("bench", "cache", byte_folder, "--lengths", "4,16", "--json")
    assert [row["length_tokens"] for row in ran.json["lengths"]] == [4, 16]
    assert all(row["same_token"] and row["cache_bytes"] == row["cache_theory_bytes"] for row in ran.json["lengths"])
    assert "16 tokens: " in ran.err
    told = cli("bench", "cache", byte_folder, "--lengths", "999")
    assert told.code != 0 and "a length of 999 tokens, expected 1 to 252" in told.err
