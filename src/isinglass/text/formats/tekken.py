"""Mistral's `tekken.json`: byte-level BPE whose ranks stand behind a block of control tokens.

Format: mistralai/mistral-common, `tokens/tokenizers/tekken.py`.
"""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path

from isinglass.core.errors import TokenizerError
from isinglass.text.algorithms.bpe import ByPiece, ByteBpe
from isinglass.text.decoders import Plain
from isinglass.text.pretokenize import Matches
from isinglass.text.special import AddedToken
from isinglass.text.surround import Surround
from isinglass.text.tokenizer import Stages, Tokenizer

# Files without a list of their own have these, in this order.
_DEFAULT_SPECIAL = [
    *("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
    *("[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]"),
    *("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"),
]


def read(path: Path) -> Tokenizer:
    """The tokenizer of a tekken file."""
    document = json.loads(path.read_text("utf-8"))
    try:
        config = document["config"]
        reserved = config["default_num_special_tokens"]
        kept = config["default_vocab_size"] - reserved
        ranks = {b64decode(entry["token_bytes"]): entry["rank"] for entry in document["vocab"] if entry["rank"] < kept}
        listed = document.get("special_tokens")
        names = [entry["token_str"] for entry in listed] if listed else _DEFAULT_SPECIAL
        pattern = config["pattern"]
    except (KeyError, TypeError, ValueError) as error:
        raise TokenizerError(f"{path} is no tekken file: {error!r}") from error
    names = [*names, *(f"<SPECIAL_{at}>" for at in range(len(names), reserved))]
    special = {name: at for at, name in enumerate(names)}
    vocab = {token: rank + reserved for token, rank in ranks.items()}
    bos = special.get("<s>")
    return Tokenizer(
        path.stem,
        ByteBpe(vocab, ByPiece(vocab), whole=vocab),
        Plain(),
        pretokenizers=Stages.same(Matches(pattern)),
        added=tuple(AddedToken(name, id) for name, id in special.items()),
        surround=Surround.ends(before=() if bos is None else (bos,)),
        bos_id=bos,
        eos_id=special.get("</s>"),
    )
