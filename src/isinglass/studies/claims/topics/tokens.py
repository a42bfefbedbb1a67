"""Tokens: how the notes say that texts split, and how they do."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from isinglass.studies.claims.claim import Claim, Finding, equal
from isinglass.text.load import tokenizer

PRICE = "GPT-4 costs $10/M tokens"
NUMBERS = {"2024": ("20 24", "2 0 2 4"), "3.14159": ("3 . 14 15 9",)}
HELLO_IN_THAI = "สวัสดี"
GPT = ("gpt2", "cl100k_base", "o200k_base")
FIVE = (*GPT, "bert-base-uncased", "t5")
CODE = "def calculate_sum(a, b):"


def split(name: str, text: str) -> list[str]:
    """The pieces of a text as one reads them: byte-level pieces as text, others as the vocabulary writes them."""
    tok = tokenizer(name)
    by_bytes = isinstance(next(iter(tok.algorithm.vocab), ""), bytes)
    return [tok.token_bytes(token.id).decode("utf-8", "replace") if by_bytes else token.piece for token in tok.tokens(text)]


def loses(name: str, text: str) -> bool:
    """Whether the ids do not give the text back."""
    tok = tokenizer(name)
    return tok.decode(tok.encode(text)) != text


def shown(pieces: Sequence[str]) -> str:
    return "|".join(pieces)


def command(text: str, *names: str) -> str:
    return f"isinglass tokens{' compare' if len(names) > 1 else ''} {shlex.quote(text)} --with {','.join(names)}"


def splits(name: str, text: str, *claimed: str) -> Claim:
    """A word and the pieces the notes give."""

    def check() -> Finding:
        pieces = split(name, text)
        return Finding(shown(pieces), equal(list(claimed), pieces))

    return Claim(f"{name} splits {text!r} as {shown(claimed)}", check, command(text, name))


def claims() -> list[Claim]:
    """Section "Tokenization - Deep Dive" and the first step of "How LLMs Work"."""
    return [
        Claim("'Hello, world!' has the ids 15496, 11, 995, 0", _hello_ids, command("Hello, world!", "gpt2", "cl100k_base", "o200k_base")),
        splits("gpt2", "Hello, world!", "Hello", ",", " world", "!"),
        splits("bert-base-uncased", "Hello, world!", "Hello", ",", "world", "!"),
        splits("t5", "Hello, world!", "▁Hello", ",", "▁world", "!"),
        splits("t5", "Hello world", "▁Hello", "▁world"),
        splits("cl100k_base", "tokenization", "token", "ization"),
        splits("cl100k_base", "unhappiness", "un", "happiness"),
        splits("bert-base-uncased", "playing", "play", "##ing"),
        splits("bert-base-uncased", "unbelievable", "un", "##believable"),
        *_price_example(),
        Claim("English 'hello' is 1 token", _hello_is_one, command("hello", *FIVE)),
        Claim(f"Thai {HELLO_IN_THAI!r} is 3 to 6 tokens", _thai, command(HELLO_IN_THAI, *FIVE)),
        *(
            Claim(f"{text!r} splits as {' or '.join(ways)}", _number(text, ways), command(text, *GPT, "t5"))
            for text, ways in NUMBERS.items()
        ),
        Claim(f"{CODE!r} is 10 tokens, each sign its own", _code, command(CODE, *GPT)),
        Claim("GPT models use <BOS> and <EOS>", _gpt_specials, "isinglass tokens show gpt2"),
        Claim("BPE starts with a vocabulary of characters", _bpe_start, "isinglass tokens show gpt2"),
        Claim("SentencePiece treats text as a raw byte stream", _bytes_stream, command("① 🪟", "t5")),
        Claim("subword vocabularies hold 32K to 256K tokens", _sizes, command("", *GPT, "bert-base-uncased", "t5", "smollm2")),
        Claim("subword tokenizers have no out-of-vocabulary words", _unknown, command(HELLO_IN_THAI, "bert-base-uncased", "t5", "gpt2")),
        Claim("GPT-2 gives logits for 50,257 tokens", _gpt2_size, "isinglass model show gpt2"),
    ]


def _hello_ids() -> Finding:
    claimed, found = [15496, 11, 995, 0], {name: tokenizer(name).encode("Hello, world!") for name in GPT}
    right = [name for name, ids in found.items() if ids == claimed]
    return Finding(
        "; ".join(f"{name} {ids}" for name, ids in found.items()), "true" if len(right) == len(GPT) else "partly" if right else "false"
    )


def _price_example() -> list[Claim]:
    """The notes' one worked tokenization, said to be GPT-4's."""

    def finding(claimed: object, measure: Callable[[], object]) -> Callable[[], Finding]:
        def check() -> Finding:
            truth = measure()
            return Finding(shown(truth) if isinstance(truth, list) and isinstance(truth[0], str) else str(truth), equal(claimed, truth))

        return check

    def n_tokens() -> int:
        return tokenizer("cl100k_base").count(PRICE)

    pieces = ["GPT", "-", "4", " costs", " $", "10", "/", "M", " tokens"]
    facts: list[tuple[str, object, Callable[[], object]]] = [
        ("is 9 tokens for GPT-4", 9, n_tokens),
        (f"splits as {shown(pieces)}", pieces, lambda: split("cl100k_base", PRICE)),
        (
            "has the ids 38, 11, 19, 7194, 400, 605, 14, 44, 11460",
            [38, 11, 19, 7194, 400, 605, 14, 44, 11460],
            lambda: tokenizer("cl100k_base").encode(PRICE),
        ),
        ("has 23 characters", 23, lambda: len(PRICE)),
        ("has 2.56 characters per token", 2.56, lambda: round(len(PRICE) / n_tokens(), 2)),
    ]
    rows = [Claim(f"{PRICE!r} {says}", finding(claimed, measure), command(PRICE, "cl100k_base")) for says, claimed, measure in facts]
    return [*rows, Claim("there, numbers split into single digits", _digits, command("10", "cl100k_base"))]


def _digits() -> Finding:
    pieces = split("cl100k_base", PRICE)
    return Finding(f"'10' is {'one token' if '10' in pieces else 'split'} in {shown(pieces)}", "false" if "10" in pieces else "true")


def _hello_is_one() -> Finding:
    counts = {name: tokenizer(name).count("hello") for name in FIVE}
    return Finding(", ".join(f"{name} {n}" for name, n in counts.items()), equal({1}, set(counts.values())))


def _thai() -> Finding:
    counts = {name: tokenizer(name).count(HELLO_IN_THAI) for name in FIVE}
    inside = [3 <= n <= 6 for n in counts.values()]
    lost = [name for name in FIVE if loses(name, HELLO_IN_THAI)]
    truth = f"{', '.join(f'{name} {n}' for name, n in counts.items())}; read as unknown by {', '.join(lost)}"
    return Finding(truth, "true" if all(inside) else "partly" if any(inside) else "false")


def _number(text: str, ways: Sequence[str]) -> Callable[[], Finding]:
    def check() -> Finding:
        found = {name: [piece.removeprefix("▁") for piece in split(name, text)] for name in (*GPT, "t5")}
        right = [" ".join(filter(None, pieces)) in ways for pieces in found.values()]
        verdict = "true" if all(right) else "partly" if any(right) else "false"
        return Finding("; ".join(f"{name} {shown(pieces)}" for name, pieces in found.items()), verdict)

    return check


def _code() -> Finding:
    claimed = ["def", " calculate", "_", "sum", "(", "a", ",", " b", ")", ":"]
    found = {name: split(name, CODE) for name in GPT}
    text = "; ".join(f"{name} {len(pieces)}: {shown(pieces)}" for name, pieces in found.items())
    return Finding(text, "true" if claimed in found.values() else "false")


def _gpt_specials() -> Finding:
    special = list(tokenizer("gpt2").special)
    return Finding(
        f"GPT-2 has {len(special)} special token: {', '.join(special)}", "true" if {"<BOS>", "<EOS>"} <= set(special) else "false"
    )


def _bpe_start() -> Finding:
    first = list(tokenizer("gpt2").algorithm.vocab)[:257]
    singles = sum(1 for piece in first if len(piece) == 1)
    return Finding(f"GPT-2's starts with {singles} single bytes; characters outside ASCII are several of them", "partly")


def _bytes_stream() -> Finding:
    text, tok = "① 🪟", tokenizer("t5")
    back = tok.decode(tok.encode(text))
    return Finding(f"T5 reads {text!r} as {shown(split('t5', text))}, back {back!r}: normalised characters, not bytes", equal(text, back))


def _sizes() -> Finding:
    sizes = {name: tokenizer(name).vocab_size for name in (*GPT, "bert-base-uncased", "t5", "smollm2")}
    inside = [32_000 <= size <= 256_000 for size in sizes.values()]
    return Finding(", ".join(f"{name} {size:,}" for name, size in sizes.items()), "true" if all(inside) else "partly")


def _unknown() -> Finding:
    names = ("bert-base-uncased", "t5", "gpt2")
    lost = {name: loses(name, HELLO_IN_THAI) for name in names}
    text = ", ".join(f"{name} {'loses it' if one else 'keeps it'}" for name, one in lost.items())
    return Finding(
        f"of {HELLO_IN_THAI!r} {text}: only byte-level vocabularies read everything",
        "partly" if len(set(lost.values())) > 1 else equal(False, lost["t5"]),
    )


def _gpt2_size() -> Finding:
    size = tokenizer("gpt2").vocab_size
    return Finding(f"{size:,}", equal(50_257, size))
