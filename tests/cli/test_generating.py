"""generate and chat: streams, options, being stopped."""

from __future__ import annotations

import io
import json
import signal
import subprocess

import pytest

import isinglass as ig
from helpers.command import command
from isinglass.cli.generate import Row, harmless
from isinglass.cli.sampling import Sampling
from isinglass.generation.chat import reply
from isinglass.text.template import Message


def generate(cli, folder, *options, prompt="Hello there"):
    return cli("generate", folder, prompt, "--max-tokens", "6", "--json", *options).json


def test_the_stream_is_the_text(cli, tiny_folder):
    text = generate(cli, tiny_folder)["text"]
    streamed = cli("generate", tiny_folder, "Hello there", "--max-tokens", "6")
    assert streamed.out == text + "\n" and "6 tokens in" in streamed.err and "--max-tokens reached" in streamed.err
    assert cli("generate", tiny_folder, "Hello there", "--max-tokens", "6", "--no-stream", "--quiet") == (0, text + "\n", "")


def test_the_result_says_everything(cli, tiny_folder):
    found = generate(cli, tiny_folder)
    assert found["strategy"] == "greedy" and found["finish"] == "length" and found["prompt"] == "Hello there"
    assert len(found["ids"]) == len(found["log_probs"]) == 6 and all(value < 0 for value in found["log_probs"])
    assert 0 < found["first_token_seconds"] <= found["seconds"]


def test_temperature_zero_is_greedy_and_seeds_decide(cli, tiny_folder):
    greedy = generate(cli, tiny_folder)["ids"]
    assert generate(cli, tiny_folder, "--temperature", "0")["ids"] == greedy
    assert generate(cli, tiny_folder, "--strategy", "sample", "--temperature", "0")["ids"] == greedy
    hot = [generate(cli, tiny_folder, "--temperature", "3", "--seed", seed)["ids"] for seed in (1, 1, 2)]
    assert hot[0] == hot[1] != hot[2]


def test_what_became_of_drafted_tokens_is_told(cli, tiny_folder):
    assert generate(cli, tiny_folder)["speculated"] is None
    asked = ("--strategy", "speculative(draft=prompt_lookup(ngram=2), n_tokens=3)", "--ignore-end")
    found = generate(cli, tiny_folder, *asked, prompt="one two one two one two")
    counts = found["speculated"]
    assert found["ids"] == generate(cli, tiny_folder, "--ignore-end", prompt="one two one two one two")["ids"]
    assert counts["accepted"] + counts["passes"] == 6 and counts["proposed"] >= counts["accepted"]
    assert counts["acceptance"] == counts["accepted"] / counts["proposed"] and counts["tokens_per_pass"] == 6 / counts["passes"]
    told = cli("generate", tiny_folder, "one two one two one two", "--max-tokens", "6", *asked).err
    assert f"{counts['accepted']} of {counts['proposed']} drafted tokens accepted ({counts['acceptance']:.0%}), " in told
    assert f", {counts['tokens_per_pass']:.2f} tokens per pass; " in told
    assert "drafted" not in cli("generate", tiny_folder, "one two", "--max-tokens", "6").err


@pytest.mark.parametrize(
    ("options", "expression"),
    [
        (Sampling(), "greedy"),
        (Sampling(temperature=0.5), "sample(temperature=0.5)"),
        (Sampling(top_k=5, min_p=0.1, repetition=1.2, top_p=0.9), "sample(top_p=0.9, top_k=5, min_p=0.1, repetition=1.2)"),
        (Sampling(strategy="sample(top_k=5)", temperature=0.5), "sample(top_k=5)"),
    ],
)
def test_options_spell_a_strategy(options, expression):
    assert str(options.expression()) == expression


def test_options_and_their_expression_choose_the_same(cli, tiny_folder):
    by_options = generate(cli, tiny_folder, "--temperature", "2", "--top-k", "50")
    by_strategy = generate(cli, tiny_folder, "--strategy", "sample(temperature=2.0, top_k=50)")
    assert by_options["ids"] == by_strategy["ids"]


def test_a_stop_text_ends_it_and_is_not_shown(cli, tiny_folder):
    text = generate(cli, tiny_folder)["text"]
    stop = text[len(text) // 2 :][:3]
    ran = cli("generate", tiny_folder, "Hello there", "--max-tokens", "6", "--stop", stop)
    assert ran.out == text[: text.index(stop)] + "\n" and "a stop text was met" in ran.err


def test_several_prompts_make_a_table(cli, tiny_folder, tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("Hello there\n\nOnce upon a time, far away\n", encoding="utf-8")
    ran = cli("generate", tiny_folder, "--prompts-file", path, "--max-tokens", "6", "--json")
    rows = ran.json["generations"]
    assert [row["prompt"] for row in rows] == ["Hello there", "Once upon a time, far away"]
    assert rows[0]["ids"] == generate(cli, tiny_folder)["ids"]  # batch mates change nothing
    assert "prompt" in cli("generate", tiny_folder, "--prompts-file", path, "--max-tokens", "6").out


def test_a_prompt_from_stdin(process, tiny_folder):
    ran = process("generate", tiny_folder, "-", "--max-tokens", "2", "--json", input="Grüße".encode())
    assert ran.json["prompt"] == "Grüße"


def test_nothing_a_model_says_can_drive_the_terminal():
    assert harmless("a\x1b[2Jb\tc\nd\x07") == "a␛[2Jb\tc\nd␇"


def test_ctrl_c_keeps_what_is_there(long_folder):
    asked = command("generate", long_folder, "Hello there", "--max-tokens", "40000", "--ignore-end")
    running = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    begun = running.stdout.read(10)  # type: ignore[union-attr]
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert err.decode().endswith("stopped\n") and "Traceback" not in err.decode()
    assert len(begun) == 10 and out.endswith(b"\n")


def test_ctrl_c_gives_json_of_what_is_there(cli, tiny_folder, monkeypatch, tmp_path):
    interrupt_after(3, monkeypatch)
    path = tmp_path / "part.json"
    ran = cli("generate", tiny_folder, "Hello there", "--max-tokens", "6", "--json", "--save", path)
    assert ran.code == 130 and ran.err.endswith("stopped\n")
    assert ran.json["finish"] == "stopped" and len(ran.json["ids"]) == 3
    assert json.loads(path.read_text(encoding="utf-8")) == ran.json


def interrupt_after(n_tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send this process a SIGINT, as Ctrl-C does, when a row has so many tokens for the first time."""
    take, sent = Row.add, []

    def add(row: Row, event: object) -> None:
        take(row, event)  # type: ignore[arg-type]
        if len(row.ids) == n_tokens and not sent:
            sent.append(True)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Row, "add", add)


def test_ctrl_c_during_an_export_leaves_nothing(tmp_path):
    running = subprocess.Popen(command("export", "smollm2", tmp_path / "out"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while running.poll() is None and not list(tmp_path.glob(".out.*")):
        try:
            running.wait(timeout=0.01)
        except subprocess.TimeoutExpired:
            continue
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (130, b"stopped\n"), (out, err)
    assert list(tmp_path.iterdir()) == []


def talk(cli, monkeypatch, folder, *lines, options=()):
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    path = folder.parent / "chat.json"
    ran = cli("chat", folder, "--max-tokens", "4", "--save", path, *options)
    return ran, json.loads(path.read_text(encoding="utf-8"))["messages"]


def test_a_chat_remembers_what_was_said(cli, monkeypatch, chat_folder):
    ran, messages = talk(cli, monkeypatch, chat_folder, "One.", "", "Two.", options=["--system", "Be brief."])
    assert ran.code == 0 and [one["role"] for one in messages] == ["system", "user", "assistant", "user", "assistant"]
    lm = ig.load(chat_folder)
    history = [Message(one["role"], one["content"]) for one in messages[:-1]]
    assert messages[-1]["content"] == reply(lm, history, max_tokens=4).text
    assert ran.out == f"{messages[2]['content']}\n{messages[4]['content']}\n"


def test_a_chat_forgets_and_ends_when_told_to(cli, monkeypatch, chat_folder):
    ran, messages = talk(cli, monkeypatch, chat_folder, "One.", "/reset", "Two.", "/exit", "Three.")
    assert "forgotten" in ran.err and [one["content"] for one in messages if one["role"] == "user"] == ["Two."]


def test_ctrl_c_stops_an_answer_and_keeps_the_conversation(cli, monkeypatch, chat_folder):
    interrupt_after(2, monkeypatch)
    ran, messages = talk(cli, monkeypatch, chat_folder, "One.", "Two.")
    assert ran.code == 0 and "stopped" in ran.err
    assert [one["role"] for one in messages] == ["user", "assistant", "user", "assistant"]


def test_a_message_that_does_not_fit_is_refused_and_the_chat_goes_on(cli, monkeypatch, chat_folder):
    ran, messages = talk(cli, monkeypatch, chat_folder, "x" * 500, "Two.")
    assert "the model's context holds 400" in ran.err and ran.code == 0
    assert [one["content"] for one in messages if one["role"] == "user"] == ["Two."]


def test_one_answer_as_json(process):
    found = process("chat", "smollm2", "What is the capital of France?", "--json", "--quiet").json
    assert "Paris" in found["answer"]["text"] and found["answer"]["finish"] == "end"
    assert found["messages"][-1] == {"role": "assistant", "content": found["answer"]["text"]}
