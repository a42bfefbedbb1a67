"""The claims of the class notes: verdicts typed from the public record, beside what the run finds."""

from __future__ import annotations

import shlex

import pytest

from isinglass.cli.main import main
from isinglass.core.errors import ConfigError
from isinglass.studies.claims.claim import Checked, checking, topics

FALSE = {
    "Groq can save 87 to 95 %": "84.25 %",
    "the last block wastes 6 places, about 4 %": "12 places, 10.7 %",
    "5 answers of 100 tokens to it, sharing the prompt, save about 60 %": "71.5 %",
    "cl100k_base splits 'unhappiness' as un|happiness": "un|h|appiness",
    "bert-base-uncased splits 'playing' as play|##ing": "playing",
    "bert-base-uncased splits 'unbelievable' as un|##believable": "unbelievable",
    "bert-base-uncased splits 'Hello, world!' as Hello|,|world|!": "hello|,|world|!",
    "'GPT-4 costs $10/M tokens' has 23 characters": "24",
    "'GPT-4 costs $10/M tokens' has 2.56 characters per token": "2.67",
    "'GPT-4 costs $10/M tokens' has the ids 38, 11, 19, 7194, 400, 605, 14, 44, 11460": "[38, 2898, 12, 19, 7194, 400, 605, 10482, 11460]",
    "there, numbers split into single digits": "'10' is one token",
    "'3.14159' splits as 3 . 14 15 9": "gpt2 3|.|14|159; cl100k_base 3|.|141|59",
    "SentencePiece treats text as a raw byte stream": "<unk>",
    "GPT models use <BOS> and <EOS>": "1 special token: <|endoftext|>",
    "Transformer-XL's score is Q K + Q R": "u, v",
}
PARTLY = {
    "'Hello, world!' has the ids 15496, 11, 995, 0": "gpt2 [15496, 11, 995, 0]; cl100k_base [9906, 11, 1917, 0]; o200k_base [13225, 11, 2375, 0]",
    "Thai 'สวัสดี' is 3 to 6 tokens": "gpt2 12, cl100k_base 6, o200k_base 4, bert-base-uncased 1, t5 2",
    "'2024' splits as 20 24 or 2 0 2 4": "gpt2 20|24; cl100k_base 202|4",
    "(q e^(im theta)) (k e^(in theta)) = q k e^(i(m - n) theta)": "conjugate",
}
TRUE = [
    "1,500 + 1,000 tokens cost $0.01375 with GPT-4o",
    "the same cost $0.001675 with Groq",
    "Groq saves 87.8 % of it",
    "'GPT-4 costs $10/M tokens' is 9 tokens for GPT-4",
    "cl100k_base splits 'tokenization' as token|ization",
    "strided by 5: token 10 sees 0, 5, 10, 15, 20",
    "Longformer: token 100 sees 90 to 110",
    "sinusoidal rows are 0 1 0 1 / 0.84 0.54 0.01 1.00 / 0.91 -0.42 0.02 1.00",
    "flash attention gives the same result as standard attention",
    "GPT-3 has 175B parameters",
]


@pytest.fixture(scope="module")
def found() -> dict[str, Checked]:
    checked = list(checking())
    assert len({one.claim.says for one in checked}) == len(checked)
    return {one.claim.says: one for one in checked}


@pytest.mark.parametrize("says", FALSE)
def test_false_claims_stand_beside_the_truth(found: dict[str, Checked], says: str) -> None:
    assert found[says].finding.verdict == "false"
    assert FALSE[says] in found[says].finding.truth


@pytest.mark.parametrize("says", PARTLY)
def test_claims_that_hold_in_part(found: dict[str, Checked], says: str) -> None:
    assert found[says].finding.verdict == "partly"
    assert PARTLY[says] in found[says].finding.truth


@pytest.mark.parametrize("says", TRUE)
def test_claims_that_hold(found: dict[str, Checked], says: str) -> None:
    assert found[says].finding.verdict == "true"


def test_every_command_of_ours_runs(found: dict[str, Checked], capsys: pytest.CaptureFixture[str]) -> None:
    commands = {one.claim.command for one in found.values() if one.claim.command.startswith("isinglass ")}
    for command in sorted(commands - {"isinglass verify claims --only arithmetic"}):
        assert main([*shlex.split(command)[1:], "--quiet"]) == 0, command
        assert capsys.readouterr().out.strip(), command


def test_an_unknown_topic_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"(?s)unknown topic 'token'.*known: arithmetic, attention, models, positions, tokens.*did you mean 'tokens'"
    ):
        list(checking(["token"]))


def test_topics_can_be_chosen() -> None:
    assert {one.topic for one in checking(["positions"])} == {"positions"}
    assert topics() == ["arithmetic", "attention", "models", "positions", "tokens"]
