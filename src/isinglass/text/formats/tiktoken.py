"""Rank files: one line for each token, its bytes in base64 and its rank, which is both its id and its place in the order of merges.

The file holds neither the pattern that cuts text nor the special tokens. Both follow from the vocabulary, which its size tells.
Llama 3's `tokenizer.model` is such a file. Format: openai/tiktoken, `load.py`.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from isinglass.core.errors import TokenizerError
from isinglass.text import patterns
from isinglass.text.algorithms.bpe import ByPiece, ByteBpe
from isinglass.text.decoders import Plain
from isinglass.text.pretokenize import Matches
from isinglass.text.special import AddedToken
from isinglass.text.surround import Surround
from isinglass.text.tokenizer import Stages, Tokenizer


@dataclass(frozen=True)
class Published:
    """What belongs to a published rank file: its pattern and its special tokens."""

    name: str
    pattern: str
    special: Mapping[str, int]
    bos: str | None = None
    eos: str | None = None


_CL100K_SPECIAL = ("<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")
_LLAMA3_NAMED = {
    0: "<|begin_of_text|>",
    1: "<|end_of_text|>",
    4: "<|finetune_right_pad_id|>",
    5: "<|step_id|>",
    6: "<|start_header_id|>",
    7: "<|end_header_id|>",
    8: "<|eom_id|>",
    9: "<|eot_id|>",
    10: "<|python_tag|>",
    11: "<|image|>",
}


def _llama3_special() -> dict[str, int]:
    """256 control tokens; those without a name of their own are numbered "reserved" ones."""
    free = iter(range(256))
    names = [_LLAMA3_NAMED[at] if at in _LLAMA3_NAMED else f"<|reserved_special_token_{next(free)}|>" for at in range(256)]
    return {name: 128_000 + at for at, name in enumerate(names)}


_END = "<|endoftext|>"
#: By the number of ranks, which differs between all published files.
PUBLISHED: Mapping[int, Published] = {
    50_256: Published("r50k_base", patterns.GPT2, {_END: 50_256}, bos=_END, eos=_END),
    50_280: Published("p50k_base", patterns.GPT2, {_END: 50_256}, bos=_END, eos=_END),
    100_256: Published(
        "cl100k_base",
        patterns.CL100K,
        {**{name: 100_257 + at for at, name in enumerate(_CL100K_SPECIAL)}, "<|endofprompt|>": 100_276},
        eos=_END,
    ),
    199_998: Published("o200k_base", patterns.O200K, {_END: 199_999, "<|endofprompt|>": 200_018}, eos=_END),
    128_000: Published("llama3", patterns.LLAMA3, _llama3_special(), bos="<|begin_of_text|>", eos="<|end_of_text|>"),
}


def read_ranks(path: Path) -> dict[bytes, int]:
    """The ranks of a file, by token."""
    ranks: dict[bytes, int] = {}
    try:
        for line in path.read_bytes().splitlines():
            if line:
                token, rank = line.split()
                ranks[b64decode(token)] = int(rank)
    except (ValueError, Base64Error) as error:
        raise TokenizerError(f"{path}, entry {len(ranks) + 1}: expected a base64 token and its rank") from error
    return ranks


def looks_like(start: bytes) -> bool:
    """Is this the start of a rank file? Its first line is `IQ== 0` or the like."""
    words = start.split(b"\n", 1)[0].split()
    try:
        return len(words) == 2 and words[1].isdigit() and len(b64decode(words[0], validate=True)) <= 256
    except (ValueError, Base64Error):
        return False


def read(path: Path) -> Tokenizer:
    """The tokenizer of a published rank file."""
    ranks = read_ranks(path)
    if len(ranks) not in PUBLISHED:
        raise TokenizerError(
            f"{path} holds {len(ranks)} ranks, which is none of the published vocabularies",
            details=[f"known: {', '.join(f'{one.name} ({size})' for size, one in sorted(PUBLISHED.items()))}"],
            hint="a rank file lacks its pattern and special tokens; give the tokenizer.json of the same model",
        )
    return build(ranks, PUBLISHED[len(ranks)])


def build(ranks: Mapping[bytes, int], published: Published, *, name: str | None = None) -> Tokenizer:
    """A tokenizer over ranks, with what the file does not say."""
    special = published.special
    bos, eos = special.get(published.bos or ""), special.get(published.eos or "")
    # OpenAI's vocabularies know an end only, and put nothing around a text; the others begin with their own token.
    begins = (bos,) if bos is not None and bos != eos else ()
    return Tokenizer(
        name or published.name,
        ByteBpe(ranks, ByPiece(ranks), whole=ranks),
        Plain(),
        pretokenizers=Stages.same(Matches(published.pattern)),
        added=tuple(AddedToken(content, id) for content, id in special.items()),
        surround=Surround.ends(before=begins),
        bos_id=bos,
        eos_id=eos,
    )
