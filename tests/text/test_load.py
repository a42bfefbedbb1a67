"""Names, files and folders: what is found, what it is taken for, and how it is refused."""

from __future__ import annotations

import base64
import io
import json
import shutil

import pytest
import sentencepiece

from isinglass.assets.find import find
from isinglass.core.errors import TokenizerError
from isinglass.text.formats import gguf, gpt2, protobuf, tokenizer_json_read
from isinglass.text.load import tokenizer as load

TEXT = "Hello, naïve world 2024! 🙂"


@pytest.mark.parametrize(
    "asset, file, name",
    [
        ("gpt2-vocab", "vocab.bpe", "gpt2"),
        ("cl100k_base", "x.tiktoken", "cl100k_base"),
        ("cl100k_base", "tokenizer.model", "cl100k_base"),  # as Llama 3 names its rank file
        ("t5", "spiece.model", "t5"),
        ("t5", "tokenizer.model", "t5"),
        ("bert-base-uncased", "vocab.txt", "bert-base-uncased"),
        ("bert-tokenizer-json", "tokenizer.json", "bert-base-uncased"),
    ],
)
def test_files_and_folders(asset, file, name, tokenizer, tmp_path):
    shutil.copy(find(asset), tmp_path / file)
    expected = tokenizer(name).encode(TEXT, add_special=True)
    assert load(tmp_path / file).encode(TEXT, add_special=True) == expected
    assert load(str(tmp_path)).encode(TEXT, add_special=True) == expected


def test_gguf_file(tokenizer):
    assert load(find("smollm2")).fingerprint == tokenizer("smollm2").fingerprint


def test_gpt2_files_together(facts, tokenizer, tmp_path):
    shutil.copy(facts / "data" / "gpt2_vocab.bpe", tmp_path / "vocab.bpe")
    shutil.copy(facts / "data" / "gpt2_encoder.json", tmp_path / "encoder.json")
    assert load(tmp_path).fingerprint == tokenizer("gpt2").fingerprint
    (tmp_path / "encoder.json").write_text(json.dumps({"Ġworld": 3}))
    with pytest.raises(TokenizerError, match="gives 'Ġworld' the id 3, but its merges give 995"):
        load(tmp_path)


def test_names_that_are_not_known():
    with pytest.raises(TokenizerError) as caught:
        load("gtp2")
    assert str(caught.value).startswith("unknown tokenizer 'gtp2'\n  known: bert-base-uncased, cl100k_base, gpt2,")
    assert "hint: did you mean 'gpt2'?" in str(caught.value)
    with pytest.raises(TokenizerError, match=r"no vocabulary at 'models/x.json': there is no such file or folder\n  names: gpt2"):
        load("models/x.json")


@pytest.mark.parametrize(
    "file, content, message",
    [
        ("tokenizer.json", b"{", "tokenizer.json is no JSON: Expecting"),
        ("tokenizer.json", b'{"a": 1}', "is no tokenizer.json that can be read: KeyError 'model'"),
        ("tokenizer.json", b'{"model": {"type": "Bigram", "vocab": {}}}', "holds a model of type 'Bigram': expected BPE"),
        ("vocab.txt", b"a\nb\n", r"vocab.txt is no BERT vocabulary: it has no \[UNK\], \[CLS\], \[SEP\]"),
        ("vocab.bpe", b"#version: 0.2\nab\n", "vocab.bpe:2: 'ab' is no merge: expected two byte-level symbols"),
        ("x.tiktoken", b"YQ== 0\nYg==\n", "x.tiktoken, entry 2: expected a base64 token and its rank"),
        ("x.tiktoken", b"YQ== 0\nYg== 1\n", r"holds 2 ranks, which is none of the published(.|\n)*known: r50k_base \(50256\)"),
        ("spiece.model", b"\n\x90\x4e", "protocol buffer ends early"),
        ("tekken.json", b'{"vocab": [{"token_bytes": "AA=="}]}', "is no tekken file: KeyError"),
        ("tokenizer.model", b"\x89PNG", "is no vocabulary file that can be read\n  expected one of tokenizer.json"),
    ],
)
def test_files_that_cannot_be_read(file, content, message, tmp_path):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(TokenizerError, match=message):
        load(tmp_path / file)


def test_an_empty_folder(tmp_path):
    with pytest.raises(TokenizerError, match=r"no vocabulary in folder .*\n  looked for tokenizer.json, tekken.json"):
        load(tmp_path)


def test_gguf_metadata_that_cannot_be_read(smollm2_metadata):
    with pytest.raises(TokenizerError, match=r"this GGUF file holds no tokenizer\n  expected the metadata key 'tokenizer.ggml.model'"):
        gguf.read({})
    with pytest.raises(TokenizerError, match=r"unknown tokenizer 'rwkv' in tokenizer.ggml.model\n  known: bert, gpt2, llama, t5"):
        gguf.read({"tokenizer.ggml.model": "rwkv"})
    with pytest.raises(TokenizerError, match=r"unknown pretokenizer 'smolm' in tokenizer.ggml.pre(.|\n)*did you mean 'smollm'"):
        gguf.read({**smollm2_metadata, "tokenizer.ggml.pre": "smolm"})
    with pytest.raises(TokenizerError, match=r"incomplete: 'tokenizer.ggml.merges' is missing"):
        gguf.read({key: value for key, value in smollm2_metadata.items() if not key.endswith("merges")})
    with pytest.raises(TokenizerError, match="merge 0 of this GGUF file, 'Ġ ☃', names a token that is not in its vocabulary"):
        gguf.read({**smollm2_metadata, "tokenizer.ggml.merges": ["Ġ ☃"]})


def test_gguf_of_the_other_kinds(tokenizer):
    """Metadata as llama.cpp writes it for SentencePiece and BERT models."""
    from isinglass.text.formats.sentencepiece import parse

    for name, kind in (("t5", "t5"), ("mistral-v1", "llama")):
        expected = tokenizer(name)
        model = parse(find(name).read_bytes())
        metadata = {
            "tokenizer.ggml.model": kind,
            "tokenizer.ggml.tokens": [piece.text for piece in model.pieces],
            "tokenizer.ggml.scores": [piece.score for piece in model.pieces],
            "tokenizer.ggml.token_type": [piece.kind for piece in model.pieces],
            "tokenizer.ggml.precompiled_charsmap": list(model.charsmap),
            "tokenizer.ggml.bos_token_id": model.bos_id,
            "tokenizer.ggml.eos_token_id": model.eos_id,
            "tokenizer.ggml.add_eos_token": kind == "t5",
        }
        assert gguf.read(metadata).encode(TEXT, add_special=True) == expected.encode(TEXT, add_special=True)
    bert = tokenizer("bert-base-uncased")
    pieces = sorted(bert.algorithm.vocab, key=bert.algorithm.vocab.__getitem__)
    stored = [p if p in bert.special else p[2:] if p.startswith("##") and len(p) > 2 else "▁" + p for p in pieces]
    assert gguf.read({"tokenizer.ggml.model": "bert", "tokenizer.ggml.tokens": stored}).encode(TEXT) == bert.encode(TEXT)


def test_vocab_bpe_of_another_size(tmp_path):
    (tmp_path / "vocab.bpe").write_text("#version: 0.2\nh e\nhe l\n", encoding="utf-8")
    tok = gpt2.read(tmp_path / "vocab.bpe")
    assert (tok.vocab_size, tok.encode("hel")) == (259, [257])
    assert tok.encode("<|endoftext|>", special="parse") == [258] == [tok.eos_id]


def test_names_of_first_and_last_token_come_from_beside(tmp_path):
    added = [{"id": 2, "content": "<x>", "special": True}, {"id": 3, "content": "</s>", "special": True}]
    document = {"added_tokens": added, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(document))
    assert (load(tmp_path).bos_id, load(tmp_path).eos_id) == (None, 3)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": {"content": "<x>"}, "chat_template": "{{ x }}"}))
    (tmp_path / "chat_template.jinja").write_text("{{ y }}")
    tok = load(tmp_path)
    assert (tok.bos_id, tok.eos_id, tok.chat_template) == (2, 3, "{{ y }}")


@pytest.mark.parametrize("entry, message", [
    ({"normalizer": {"type": "Nmt"}}, "unknown normalizer 'Nmt' in tokenizer.json"),
    ({"pre_tokenizer": {"type": "UnicodeScripts"}}, "unknown pretokenizer 'UnicodeScripts' in tokenizer.json"),
    ({"decoder": {"type": "CTC"}}, "decoder CTC is not supported"),
])  # fmt: skip
def test_parts_that_are_not_known(entry, message):
    with pytest.raises(TokenizerError, match=message):
        tokenizer_json_read.build({"model": {"type": "BPE", "vocab": {}, "merges": []}, **entry}, name="x")


def test_an_added_token_found_after_normalisation():
    document = {
        "added_tokens": [{"id": 9, "content": "new york", "normalized": True}],
        "normalizer": {"type": "Lowercase"},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, " ": 2}, "merges": []},
    }
    tok = tokenizer_json_read.build(document, name="x")
    assert tok.encode("A New York b") == [0, 2, 9, 2, 1] and tok.count("A New York b") == 5
    assert [(t.id, t.start, t.end) for t in tok.tokens("A New York b")][2] == (9, 2, 10)


def test_protocol_buffers():
    message = b"\x08\x96\x01" + b"\x12\x07testing" + b"\x1d\x00\x00\x80\x3f" + b"\x21" + b"\0" * 8
    assert list(protobuf.fields(message)) == [(1, 150), (2, b"testing"), (3, 1.0), (4, 0.0)]
    with pytest.raises(TokenizerError, match="this is no protocol buffer: field kind 3"):
        list(protobuf.fields(b"\x0b"))


def test_ranks_out_of_base64_are_bytes(tmp_path, tokenizer):
    line = find("cl100k_base").read_bytes().splitlines()[995].split()
    assert tokenizer("cl100k_base").token_bytes(int(line[1])) == base64.b64decode(line[0])


def test_spaces_behind_words_are_refused(tmp_path):
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(  # type: ignore[attr-defined]
        sentence_iterator=iter(["the cat sat on the mat"] * 20), model_writer=file, vocab_size=20, treat_whitespace_as_suffix=True,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    path = tmp_path / "suffix.model"
    path.write_bytes(file.getvalue())
    with pytest.raises(TokenizerError, match="treat_whitespace_as_suffix"):
        load(path)
