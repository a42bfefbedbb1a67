"""Strategies side by side: every measure against a plain computation."""

from __future__ import annotations

import math

import pytest
import torch

import isinglass as ig
from isinglass.evaluation.strategies import comparing, tables
from isinglass.generation.lm import LM
from isinglass.metrics.diversity import distinct, self_bleu

STRATEGIES = ["greedy", "sample(temperature=1.5)", "beam(n_beams=2)", "contrastive(k=3)", "speculative(draft=prompt_lookup(ngram=2))"]


def test_measures_are_those_of_the_texts(tiny_lm: LM) -> None:
    results = list(comparing(tiny_lm, "abcabc", STRATEGIES, n_samples=3, max_tokens=12, seed=2))
    assert [one.strategy for one in results] == STRATEGIES
    for result in results:
        plain = ig.generate(tiny_lm, ["abcabc"] * 3, strategy=result.strategy, max_tokens=12, seed=2)
        assert [one.ids for one in result.samples] == [one.ids for one in plain]
        row, log_probs, doubts = result.row(), [], []
        for one in plain:
            laws = tiny_lm.model(torch.tensor([one.prompt_ids + one.ids]))[0, len(one.prompt_ids) - 1 : -1].log_softmax(-1)
            log_probs += laws.gather(1, torch.tensor(one.ids)[:, None])[:, 0].tolist()
            doubts += (-(laws.exp() * laws).sum(-1)).tolist()
        assert row["perplexity"] == pytest.approx(math.exp(-sum(log_probs) / len(log_probs)), rel=1e-3)
        assert row["entropy"] == pytest.approx(sum(doubts) / len(doubts), rel=1e-3)
        assert row["distinct_2"] == pytest.approx(sum(distinct(one.ids, 2) for one in plain) / 3)
        assert row["self_bleu"] == self_bleu([one.ids for one in plain])
        assert row["tokens_per_second"] > 0


def test_the_tables_say_what_the_numbers_do(tiny_lm: LM) -> None:
    results = list(comparing(tiny_lm, "abcabc", STRATEGIES, n_samples=2, max_tokens=8))
    measures, texts = tables(results, "abcabc")
    by_name = {row["strategy"]: row for row in measures.rows}
    assert by_name["greedy"]["self_bleu"] == pytest.approx(1.0)
    assert by_name["sample(temperature=1.5)"]["self_bleu"] < 0.9
    assert [by_name[name]["acceptance"] is None for name in STRATEGIES] == [True, True, True, True, False]
    assert [row["text"] for row in texts.rows][:2] == [results[0].samples[0].text] * 2
    assert "acceptance" not in tables(results[:1], "abcabc")[0].columns


def test_one_sample_has_no_self_bleu_and_an_early_end_no_measure_fails(tiny_lm: LM) -> None:
    first = ig.generate(tiny_lm, "hello", max_tokens=1).ids[0]
    (result,) = comparing(LM(tiny_lm.model, tiny_lm.tokenizer, {}, frozenset({first})), "hello", ["greedy"], n_samples=1, max_tokens=4)
    assert (result.samples[0].ids, result.samples[0].finish) == ([], "end")
    row = result.row()
    assert (row["self_bleu"], row["perplexity"], row["distinct_1"]) == (None, None, 1.0)
    assert row["entropy"] > 0
