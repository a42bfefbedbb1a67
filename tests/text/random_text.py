"""Random strings that are unkind to tokenizers: many scripts, odd white space, marks, emoji, control characters, special strings."""

from __future__ import annotations

import random

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "[CLS]", "[SEP]", "[MASK]", "</s>", "<s>", "<unk>", "<extra_id_0>", "<|eot_id|>"]
WORDS = [
    "the",
    "of",
    "and",
    "Tokenization",
    "unhappiness",
    "don't",
    "I'LL",
    "we've",
    "HELLO's",
    "camelCase",
    "snake_case",
    "GPT-4",
    "$10/M",
    "3.14159",
    "2024",
    "naïve",
    "café",
    "Ångström",
    "ſ's",
    "def",
    "calculate(a,",
    "b):",
    "return",
    "x+=1;",
    "//",
    "#include",
    "<stdio.h>",
    "http://example.com/?q=1&r=2",
    "e.g.",
    "U.S.A.",
    "...",
    "!!!",
    "?!",
    "--",
    "“quoted”",
    "‘it’s’",
    "—",
    "…",
    "привет",
    "мир",
    "Здравствуйте",
    "你好世界",
    "東京タワー",
    "こんにちは",
    "カタカナ",
    "ﾊﾝｶｸ",
    "안녕하세요",
    "สวัสดี",
    "नमस्ते",
    "مرحبا",
    "שלום",
    "γειά",
    "ΣΊΣΥΦΟΣ",
    "İstanbul",
    "straße",
    "ﬁne",
    "Ⅷ",
    "½",
    "①",
    "²³",
    "x̄",
    "é",
    "n̈",
    "q̣̇",
    "각",
    "Å",
    "㎏",
    "￥１２３",
    "ａｂｃ",
    "゛ﾞ",
    "ﷺ",
    "̈",
    "¨",
    "◌̂",
    "𝔘𝔫𝔦",
    "𠀀",
    "🙂",
    "👍🏽",
    "👨\u200d👩\u200d👧\u200d👦",
    "🇩🇪🇫🇷",
    "❤️",
    "☃",
    "▁",
    "▁▁",
    "Ġ",
    "Ċ",
    "##",
    "##ing",
    "<0x0A>",
]
SPACES = [
    " ",
    "  ",
    "   ",
    "\n",
    "\n\n",
    "\r\n",
    "\t",
    " \n",
    "\n ",
    "\u00a0",
    "\u3000",
    "\u2009",
    "\u200b",
    "\u2028",
    "\u0085",
    "\v",
    "\f",
    " " * 9,
]
CONTROLS = [
    "\0",
    "\x01",
    "\x1b",
    "\x1c",
    "\x1f",
    "\x7f",
    "\x80",
    "\u00ad",
    "\u200d",
    "\u200e",
    "\u202e",
    "\ufeff",
    "\ufffd",
    "\ufe0f",
    "\ue000",
]
RANGES = [
    (0x20, 0x7E), (0x20, 0x7E), (0x20, 0x7E), (0xA0, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF), (0x5D0, 0x5EA), (0x621, 0x64A), (0x904, 0x94D),
    (0xE01, 0xE3A), (0x1E00, 0x1EFF), (0x2010, 0x2027), (0x2190, 0x21FF), (0x3041, 0x3096), (0x30A1, 0x30FA), (0x4E00, 0x9FA5),
    (0xAC00, 0xD7A3), (0xFF01, 0xFF5E), (0x300, 0x36F), (0x1F300, 0x1F5FF), (0x1F600, 0x1F64F),
]  # fmt: skip


def tied_text(random: random.Random, *, longest: int = 12) -> str:
    """A string of repeated letters, syllables and words, which can be cut in several equally good ways."""
    parts: list[str] = []
    for _ in range(random.randint(1, longest)):
        parts.append(
            random.choice(["a", "ab", "abab", "ba", "na", "xy", ".", "!", "=", "-", "the", "banana", "the ", "он", "é", "1", "10"])
        )
        parts[-1] *= random.randint(1, 30)
        parts.append(random.choice(["", " ", "  ", "of ", "7"]))
    return "".join(parts)


def random_text(random: random.Random, *, longest: int = 12) -> str:
    """A string of up to `longest` parts; the same seed gives the same strings."""
    parts: list[str] = []
    for _ in range(random.randint(0, longest)):
        kind = random.random()
        if kind < 0.4:
            parts.append(random.choice(WORDS))
        elif kind < 0.65:
            parts.append(random.choice(SPACES) if random.random() < 0.6 else " ")
        elif kind < 0.72:
            parts.append("".join(random.choice("0123456789") for _ in range(random.randint(1, 8))))
        elif kind < 0.75:
            parts.append(random.choice(CONTROLS))
        elif kind < 0.78:
            parts.append(random.choice(SPECIAL))
        elif kind < 0.8:
            parts.append(random.choice(["a", " ", "=", "ab", "ё", "🙂", "\n"]) * random.randint(1, 40))
        else:
            low, high = random.choice(RANGES)
            parts.append("".join(chr(random.randint(low, high)) for _ in range(random.randint(1, 6))))
        if random.random() < 0.3:
            parts.append(" ")
    return "".join(parts)
