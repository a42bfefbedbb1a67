"""The stations of the tour: their facts against the parts they speak of, on a tiny model and on SmolLM2."""

import json
import math

import pytest
import torch
from rich.cells import cell_len

from isinglass.core.errors import ConfigError
from isinglass.evaluation.machine import Rates
from isinglass.generation.lm import create
from isinglass.models.presets.tiny import build
from isinglass.studies.tour.report import facts, html
from isinglass.studies.tour.station import Entered, Visited, chosen, command, python_command, stations, touring
from isinglass.studies.tour.stations import attention, attention_kinds, chat, kv_cache, next_token
from isinglass.text.load import tokenizer
from isinglass.text.samples import PARALLEL, SAMPLES

NAMES = [
    "architecture", "vocabularies", "tokenizers_compared", "next_token", "kv_cache", "decoding", "attention", "attention_kinds", "chat",
    "training",
]  # fmt: skip
STEPS = 4  # of the model that the tour trains


@pytest.fixture(scope="module")
def shown(tiny_lm):
    """Every station but the one that times the model, with a tiny model: name -> station."""
    names = [name for name in NAMES if name != "kv_cache"]
    settings = {"training": {"steps": STEPS}}
    return {event.name: event.station for event in touring(tiny_lm, names, settings) if isinstance(event, Visited)}


def test_the_folder_is_the_list_in_the_order_of_the_numbers():
    assert list(stations()) == NAMES
    assert list(chosen(["chat", "architecture"])) == ["architecture", "chat"]


def test_an_unknown_station_is_named_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"(?s)unknown station 'attenton'.*known: architecture.*did you mean 'attention'\?"):
        chosen(["attenton"])


def test_commands_can_be_pasted_into_a_shell():
    import shlex

    assert shlex.split(command("tokens compare", 'a "b" $c', "--with", "gpt2")) == [
        "isinglass",
        "tokens",
        "compare",
        'a "b" $c',
        "--with",
        "gpt2",
    ]
    assert shlex.split(python_command('ig.load("smollm2")')) == ["python", "-c", 'import isinglass as ig; ig.load("smollm2")']


def test_the_roofline_is_the_slower_of_arithmetic_and_memory():
    rates = Rates(flops_per_second=100.0, bytes_per_second=10.0)
    assert rates.seconds(flops=200, n_bytes=10) == 2.0
    assert rates.seconds(flops=200, n_bytes=50) == 5.0
    assert rates.best(Rates(50.0, 20.0)) == Rates(100.0, 20.0)


def test_architecture_counts_what_the_model_holds(shown, tiny_lm):
    found = shown["architecture"]
    n_parameters = sum(weight.numel() for weight in tiny_lm.model.parameters())
    assert found.facts["n_parameters"] == n_parameters == sum(found.facts["parameters_by_part"].values())
    # key and value x 2 layers x 2 heads x 16 x 4 bytes
    assert found.facts["kv_bytes_per_token"] == 2 * 2 * 2 * 16 * 4
    assert f"{n_parameters:,} numbers" in found.text


def test_vocabularies_count_as_the_tokenizers_do(shown):
    found = shown["vocabularies"].facts
    assert list(found["tokens"]) == ["gpt2", "cl100k_base", "o200k_base", "bert-base-uncased", "t5", "smollm2"]
    for name, count in found["tokens"].items():
        assert count == tokenizer(name).count(found["sentence"])
    assert list(found["lossy"]) == ["bert-base-uncased", "t5"]
    assert "[UNK]" in found["lossy"]["bert-base-uncased"] and "<unk>" in found["lossy"]["t5"]


def test_vocabularies_show_no_replacement_character(shown):
    found = shown["vocabularies"]
    for item in (*found.items, *found.more):
        assert "\ufffd" not in item.to_terminal(80, color=False)
        assert "\ufffd" not in item.html_fragment("k")


def test_tokenizers_compared_counts_as_the_tokenizers_do(shown):
    found = shown["tokenizers_compared"].facts
    assert list(found["tokens"]) == list(found["bytes_per_token"]) == list(SAMPLES)
    assert list(found["premium"]) == list(PARALLEL)
    for name in shown["vocabularies"].facts["tokens"]:
        vocabulary = tokenizer(name)
        assert {text: counts[name] for text, counts in found["tokens"].items()} == {
            text: vocabulary.count(sample) for text, sample in SAMPLES.items()
        }
        english = vocabulary.count(PARALLEL["English"].text)
        for language, notice in PARALLEL.items():
            assert found["premium"][language][name] == pytest.approx(vocabulary.count(notice.text) / english)
    # a byte-level vocabulary has no unknown tokens: every byte counts
    code = SAMPLES["code"]
    assert found["bytes_per_token"]["code"]["gpt2"] == pytest.approx(len(code.encode()) / tokenizer("gpt2").count(code))


def test_a_premium_is_not_shown_where_characters_are_lost(shown):
    found = shown["tokenizers_compared"]
    assert found.facts["loses_characters"] == ["bert-base-uncased", "t5"]
    _, table = found.items
    blank = {(row["language"], name) for row in table.rows for name, value in row.items() if value is None}
    assert ("Thai", "t5") in blank and ("German", "t5") not in blank
    loaded = {name: tokenizer(name) for name in ("bert-base-uncased", "t5")}
    for language, name in blank:
        assert "unk" in loaded[name].decode(loaded[name].encode(PARALLEL[language].text)).lower()
    assert {name for _, name in blank} == {"bert-base-uncased", "t5"}
    assert "in gpt2 Hindi takes 5.9 times as many tokens as English" in found.text


def test_attention_kinds_measures_every_kind_at_every_length(shown):
    found = shown["attention_kinds"].facts
    assert found["lengths"] == [256, 512, 1024, 2048]
    assert list(found["seconds"]) == list(found["extra_bytes"]) == ["full", "sliding window", "flash", "linear"]
    assert all(len(values) == 4 and min(values) > 0 for values in (*found["seconds"].values(), *found["extra_bytes"].values()))
    powers = found["powers"]
    assert {kind: (power["time in theory"], power["memory in theory"]) for kind, power in powers.items()} == {
        "full": (2, 2), "sliding window": (1, 1), "flash": (2, 1), "linear": (1, 1),
    }  # fmt: skip
    # bytes are counted, not timed: full attention holds several N x N matrices, flash never one
    assert powers["full"]["memory"] == pytest.approx(2, abs=0.01)
    assert powers["sliding window"]["memory"] == pytest.approx(1, abs=0.05) == powers["linear"]["memory"]
    assert found["extra_bytes"]["full"][-1] > 2 * 4 * 2048**2 > 4 * found["extra_bytes"]["flash"][-1]
    assert all(
        f"{found['seconds'][kind][-1] / found['seconds'][kind][0]:.1f}" in shown["attention_kinds"].text for kind in ("full", "linear")
    )


def test_measuring_leaves_the_threads_as_they_were(tiny_lm):
    before = torch.get_num_threads()
    attention_kinds.station(tiny_lm)
    assert torch.get_num_threads() == before


def test_pictures_of_masks_are_the_rules_of_the_papers(shown):
    n = 24
    near = [[abs(q - k) for k in range(n)] for q in range(n)]
    drawn = {name: attention_kinds.pattern(mask) for name, mask in attention_kinds.PATTERNS.items()}
    expected = {
        "causal": [[k <= q for k in range(n)] for q in range(n)],
        "sliding window": [[q - 5 < k <= q for k in range(n)] for q in range(n)],
        "Longformer": [[near[q][k] <= 3 or min(q, k) < 2 for k in range(n)] for q in range(n)],
    }
    for name, allowed in expected.items():
        assert drawn[name].tolist() == [[float(cell) for cell in row] for row in allowed]
    # BigBird: window, global tokens, and random blocks of two by two beyond these
    local = torch.tensor([[near[q][k] <= 2 or min(q, k) < 2 for k in range(n)] for q in range(n)])
    assert bool((drawn["BigBird"][local] == 1).all())
    beyond = {(q // 2, k // 2) for q, k in (drawn["BigBird"] * ~local).nonzero().tolist()}
    assert beyond
    assert all(drawn["BigBird"][2 * a : 2 * a + 2, 2 * b : 2 * b + 2].min() == 1 for a, b in beyond)
    shares = shown["attention_kinds"].facts["share_of_pairs"]
    assert shares == {name: pytest.approx(float(allowed.mean())) for name, allowed in drawn.items()}
    assert [item.title for item in shown["attention_kinds"].more[1:]] == [f"Who may look at whom: {name}" for name in drawn]


def test_paris_comes_first(smollm2):
    found = next_token.station(smollm2)
    assert found.facts["first_token"] == " Paris"
    assert found.facts["probability"]["1"] == pytest.approx(0.77, abs=0.005)
    entropy = found.facts["entropy_nats"]
    assert entropy["0.1"] < entropy["1"] < entropy["2"] < torch.tensor(smollm2.config.vocab_size).log()
    assert "77.3 %" in found.text


def test_the_cache_changes_no_token_and_takes_the_bytes_predicted(tiny_lm):
    found = kv_cache.station(tiny_lm).facts
    assert found["same_tokens"] is True
    assert found["kv_bytes_predicted"] == found["kv_bytes_real"] == 160 * 2 * 2 * 2 * 16 * 4
    assert len(found["lengths"]) == len(found["cached_seconds"]) == len(found["uncached_predicted_seconds"]) > 3


def test_work_without_a_cache_by_hand():
    lm = create("tiny(n_layers=1)")
    linears = 64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 176  # q o, k v, gate up down
    head = 2 * 256 * 64
    flops, n_bytes = kv_cache.uncached_work(lm, 3)
    # 3 tokens of which each sees 2 on average, and one row of the output head
    assert flops == 3 * (2 * linears + 4 * 4 * 16 * 2) + head
    assert n_bytes == sum(weight.nbytes for weight in lm.model.parameters())
    step_flops, step_bytes = kv_cache.cached_work(lm, 10)
    assert step_flops == 2 * linears + head + 4 * 4 * 16 * 10
    assert step_bytes == n_bytes + 10 * 2 * 2 * 16 * 4


def test_greedy_and_three_seeds_with_their_surprisal(shown):
    found = shown["decoding"]
    assert list(found.facts["texts"]) == ["greedy", "sampled, seed 0", "sampled, seed 1", "sampled, seed 2"]
    assert len(set(found.facts["texts"].values())) == 4
    (strips,) = found.items
    surprisal = [row["surprisal (nats)"] for row in strips.data.rows if row["tokenizer"] == "greedy"]
    assert sum(surprisal) / len(surprisal) == pytest.approx(found.facts["measures"]["greedy"]["mean_surprisal"])


def test_shares_of_attention_of_hand_made_heads():
    time = 6
    first = torch.zeros(time, time)
    first[:, 0] = 1
    before = torch.diag(torch.ones(time - 1), -1)
    before[0, 0] = 1
    looks = attention.shares(torch.stack([first, before, torch.eye(time)])[None])
    assert {what: share[0].tolist() for what, share in looks.items()} == {
        "the first token": [1, 0, 0], "the token before": [0, 1, 0], "itself": [0, 0, 1],
    }  # fmt: skip


def test_attention_shows_all_heads_and_names_them_from_the_numbers(shown):
    found = shown["attention"]
    grid = found.items[0]
    assert grid.weights.shape[:2] == (2, 4) and found.facts["n_heads"] == 8
    strongest = found.facts["strongest"]["the token before"]
    assert grid.focus == (strongest["layer"], strongest["head"])
    assert f"Head {strongest['head']} of layer {strongest['layer']} puts" in found.text


def test_chat_shows_the_control_tokens_that_were_sent(smollm2):
    found = chat.station(smollm2)
    assert "Paris" in found.facts["answer"] and found.facts["finish"] in ("end", "stop")
    assert found.facts["control_tokens"] == 5
    assert "<|im_start|>│user│↵│What│·is" in found.items[0].to_terminal(100, color=False)


def test_a_model_without_a_template_is_told_so(shown):
    found = shown["chat"]
    assert found.facts == {"has_template": False} and "no chat template" in found.text


def test_a_model_is_trained_and_looked_into(shown):
    found = shown["training"]
    facts, (curve, written, expected) = found.facts, found.items
    assert facts["steps"] == STEPS and facts["n_tokens"] == STEPS * 16 * 64
    assert facts["tokens_per_second"] == pytest.approx(facts["n_tokens"] / facts["seconds"])
    # two layers of norms, four projections and an mlp of four times the width; the head is tied
    assert facts["n_parameters"] == 1024 * 128 + 4 * (12 * 128**2 + 2 * 2 * 128) + 2 * 128
    first, *_, last = facts["validation_loss"].values()
    assert last < first < math.log(1024) + 0.1
    assert list(facts["samples"]) == ["0", "2", "4"] and len(set(facts["samples"].values())) == 3
    # a fresh model knows nothing: all tokens are nearly as likely
    assert facts["entropy_nats"]["before"] == pytest.approx(math.log(1024), abs=0.1) and facts["entropy_nats"]["after"] < math.log(1024)
    assert expected.data is not None and facts["prompt"] in expected.title
    assert {row["series"] for row in curve.data.rows} == {"training", "validation"} and len(written.rows) == 3
    assert f"{last:.2f} nats per token" in found.text and all("\ufffd" not in row["text"] for row in written.rows)


def test_a_tour_tells_its_events_and_a_part_of_it_is_a_report(tiny_lm):
    events = touring(tiny_lm, ["architecture", "attention"])
    assert next(events) == Entered("architecture", 1, 2)
    done = next(events)
    assert isinstance(done, Visited) and done.name == "architecture"
    document = html(tiny_lm, [done], seconds=1.0, total=2)
    assert "stopped after 1 of 2 stations" in document and 'id="architecture"' in document
    assert "http://" not in document.split("<script")[0]


def test_facts_are_plain_values(shown, tmp_path):
    done = [Visited(name, station, 0.5) for name, station in shown.items()]
    data = facts(done, tmp_path / "index.html", 1.234)
    assert list(json.loads(json.dumps(data))) == ["report", "seconds", "stations"]
    assert list(data["stations"]) == [name for name in NAMES if name != "kv_cache"]


@pytest.mark.parametrize("width", [20, 80, 120])
def test_no_station_is_wider_than_the_window(shown, width):
    for station in shown.values():
        for item in (*station.items, *station.more):
            assert max(map(cell_len, item.to_terminal(width, color=False).split("\n"))) <= width


def test_tiny_has_the_widths_the_numbers_above_rely_on():
    config = build()
    assert (config.n_layers, config.n_kv_heads, config.d_head, config.context_length) == (2, 2, 16, 256)
