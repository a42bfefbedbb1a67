"""Every bad input the command line can be given: one clear error, the right exit code, nothing left half written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from isinglass.assets.find import find


def refused(ran, code: int, *fragments: str) -> None:
    """One error in the house form, and nothing on stdout."""
    assert ran.code == code, ran
    assert ran.out == ""
    lines = ran.err.splitlines()
    assert lines[0].startswith("error: ") and sum(line.startswith("error: ") for line in lines) == 1
    assert "Traceback" not in ran.err
    for fragment in fragments:
        assert fragment in ran.err, ran.err


@pytest.fixture
def copied(tiny_folder, tmp_path) -> Path:
    """The tiny model's folder, to be damaged."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "copied"))


@pytest.mark.parametrize(
    ("arguments", "code", "fragments"),
    [
        (["predict", "smollm", "Hi"], 1, ["unknown model 'smollm'", "known: minilm, smollm2", "did you mean 'smollm2'?"]),
        (["predict", "./nowhere", "Hi"], 1, ["no file or folder './nowhere'", "isinglass assets list"]),
        (
            ["predict", "smollm2", "Hi", "--dtype", "float3"],
            2,
            ["unknown dtype 'float3'", "known: bfloat16, float32", "did you mean 'float32'?"],
        ),
        (["tokens", "Hi", "--with", "gtp2"], 1, ["unknown tokenizer 'gtp2'", "did you mean 'gpt2'?"]),
        (["tokens", "<|endoftext|>", "--special", "error"], 1, ["special token '<|endoftext|>' at offset 0"]),
        (["assets", "get", "gpt2-vocb"], 1, ["unknown asset 'gpt2-vocb'", "did you mean 'gpt2-vocab'?"]),
        (["explain", "sliding_windw"], 2, ["unknown variant 'sliding_windw'", "did you mean 'sliding_window'?"]),
        (["explain", "mask"], 2, ["unknown variant or family 'mask'", "did you mean 'masks'?"]),
        (["explain", "llama3"], 2, ["'llama3' stands in several families", "scalings.llama3", "isinglass explain "]),
        (["model", "show", "gtp2"], 1, ["unknown model 'gtp2'", "did you mean 'gpt2'?"]),
        (["model", "show", "gpt2(size='35m')"], 2, ["unknown size '35m' in gpt2", "known: 124m, 1558m, 355m, 774m"]),
        (["model", "show", "gpt2(d_model=100)"], 2, ["d_model = 100 is not divisible by attention.n_heads = 12", "96 or 108"]),
        (["model", "show", "tiny(n_kv_heads=3)"], 2, ["attention.n_kv_heads = 3 does not divide attention.n_heads = 4", "[1, 2, 4]"]),
        (["model", "show", "tiny(position='rotery')"], 2, ["unknown position 'rotery'", "did you mean 'rotary'?"]),
        (["model", "show", "tiny(n_layer=3)"], 2, ["unknown setting 'n_layer'", "did you mean 'n_layers'?"]),
        (["model", "show", "tiny(n_layers="], 2, ["cannot read the variant 'tiny(n_layers='", "at character"]),
        (["generate", "smollm2", "Hi", "--strategy", "sample(top_k="], 2, ["cannot read the variant 'sample(top_k='"]),
        (["generate", "smollm2", "Hi", "--strategy", "greddy"], 2, ["unknown strategy 'greddy'", "did you mean 'greedy'?"]),
        (["generate", "smollm2", "Hi", "--temperature", "-1"], 2, ["temperature = -1.0, expected a number >= 0", "0 is greedy"]),
        (["generate", "smollm2", "Hi", "--temperature", "nan"], 2, ["temperature = nan, expected a number >= 0"]),
        (["generate", "smollm2", "Hi", "--top-p", "0"], 2, ["top_p: p = 0.0, expected 0 < p <= 1"]),
        (["generate", "smollm2", "Hi", "--top-p", "2"], 2, ["top_p: p = 2.0, expected 0 < p <= 1"]),
        (["generate", "smollm2", "Hi", "--top-k", "0"], 2, ["top_k: k = 0"]),
        (["generate", "smollm2", "--prompts-file", "nowhere.txt"], 1, ["cannot read 'nowhere.txt': No such file or directory"]),
    ],
)
def test_refused_before_any_work(cli, arguments, code, fragments, tmp_path):
    saved = tmp_path / "result.json"
    refused(cli(*arguments, "--save", saved), code, *fragments)
    assert not saved.exists()


def test_a_file_that_is_not_utf8_is_named_with_the_place(cli, tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"first line\nna\xefve\n")
    refused(cli("tokens", "--file", path), 1, f"'{path}' is not UTF-8: byte 0xef at offset 13 (line 2)", "hint: convert it first: iconv")
    refused(cli("generate", "smollm2", "--prompts-file", path), 1, "byte 0xef at offset 13")


def test_stdin_that_is_not_utf8(process):
    refused(process("tokens", "-", input=b"\xff"), 1, "'stdin' is not UTF-8: byte 0xff at offset 0 (line 1)")


def test_a_file_without_prompts(cli, tmp_path):
    path = tmp_path / "empty.txt"
    path.write_text("\n \n", encoding="utf-8")
    refused(cli("generate", "smollm2", "--prompts-file", path), 2, f"'{path}' holds no prompt", "one prompt per line")


@pytest.mark.parametrize("verb", ["predict", "generate"])
def test_empty_and_too_long_prompts(cli, tiny_folder, verb):
    refused(cli(verb, tiny_folder, ""), 1, "prompt 0 is empty", "give at least one token")
    refused(cli(verb, tiny_folder, "a " * 100), 1, "tokens; the model's context holds 64", "shorten the prompt")


def test_an_empty_stop_text(cli, tiny_folder):
    refused(cli("generate", tiny_folder, "Hi", "--stop", "", "--json"), 1, "a stop string must not be empty")


def test_a_model_without_a_chat_template(cli, tiny_folder):
    refused(cli("chat", tiny_folder, "Hi"), 1, "this model has no chat template", "use generate")


def test_truncated_safetensors(cli, copied):
    path = copied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    refused(cli("predict", copied, "Hi"), 1, f"cannot read {str(path)!r}", "damaged or cut short")


def test_truncated_gguf(cli, tmp_path):
    path = tmp_path / "short.gguf"
    with find("smollm2").open("rb") as whole:
        path.write_bytes(whole.read(5_000_000))
    refused(cli("predict", path, "Hi"), 1, str(path))
    path.write_bytes(b"GGUF\x03")
    refused(cli("model", "show", path), 1, str(path))


def test_a_tensor_of_the_wrong_shape(cli, copied):
    path = copied / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"] = torch.ones(65)
    save_file(tensors, path)
    refused(cli("predict", copied, "Hi"), 1, "do not fit the model", "norm.weight is [65] in the file, [64] in the model")


def test_a_missing_and_an_unexpected_tensor(cli, copied):
    path = copied / "model.safetensors"
    tensors = load_file(path)
    tensors["model.nrom.weight"] = tensors.pop("model.norm.weight")
    save_file(tensors, path)
    refused(cli("predict", copied, "Hi"), 1, "missing: ", "unexpected: model.nrom.weight")


def test_an_unknown_key_in_our_config(cli, tiny_folder, tmp_path):
    folder = tmp_path / "ours"
    assert cli("export", tiny_folder, folder, "--format", "isinglass", "--quiet").code == 0
    config = folder / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("n_layers", "n_layer"), encoding="utf-8")
    refused(cli("model", "show", folder), 2, "config.toml", "unknown key", "n_layer", "did you mean 'n_layers'?")
    config.write_text("n_layers = = 3", encoding="utf-8")
    refused(cli("model", "show", folder), 2, "not readable as TOML", "line 1")


def test_a_config_of_an_unknown_family(cli, copied):
    (copied / "config.json").write_text(json.dumps({"model_type": "gpt_neox"}), encoding="utf-8")
    refused(cli("model", "show", copied), 1, "model_type 'gpt_neox' is not known here", "known: bert, gpt2, llama, mistral, mixtral, t5")


def test_an_asset_with_a_wrong_hash(cli, tmp_path, monkeypatch):
    wrong = tmp_path / "vocab.bpe"
    wrong.write_text("#version: 0.2\nĠ t\n", encoding="utf-8")
    monkeypatch.setenv("ISINGLASS_ASSET_GPT2_VOCAB", str(wrong))
    ran = cli("tokens", "Hi")
    refused(ran, 1, "has a wrong sha256", "expected 1ce16647", "found    ", "ISINGLASS_ASSET_GPT2_VOCAB")


def test_a_result_that_cannot_be_written(cli, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    ran = cli("tokens", "Hi", "--save", tmp_path / "file" / "out.json")
    assert ran.code == 1 and ran.err.startswith("error: cannot write ")


def test_a_format_the_result_does_not_have(cli, tiny_folder, tmp_path):
    ran = cli("generate", tiny_folder, "Hi", "--max-tokens", "2", "--save", tmp_path / "a.png")
    assert ran.code == 2 and "unknown file format '.png'" in ran.err and ".json, .md, .txt" in ran.err
    assert list(tmp_path.iterdir()) == []
