"""The normalisers and pretokenizers of `tokenizer.json`, in both directions."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, cast

from isinglass.core.errors import TokenizerError, unknown
from isinglass.text import normalize, pretokenize
from isinglass.text.charsmap import Charsmap, GraphemeCharsmap
from isinglass.text.patterns import GPT2
from isinglass.text.tokenizer import Stage

Json = Mapping[str, Any]
_PUNCTUATION = r"[!-/:-@\[-`{-~\p{P}]"


def parts_of(part: Json | None) -> list[Json]:
    """A part, or those of a sequence, flat."""
    if part is None:
        return []
    if part["type"] != "Sequence":
        return [part]
    inner = next(part[key] for key in ("normalizers", "pretokenizers", "processors", "decoders") if key in part)
    return [one for each in inner for one in parts_of(each)]


def _pattern(part: Json) -> str:
    kind, text = next(iter(part["pattern"].items()))
    return _escaped(text) if kind == "String" else text


def _escaped(text: str) -> str:
    """A pattern for this very text; a space needs no backslash, and reads better without."""
    return re.escape(text).replace(r"\ ", " ")


# Reading --------------------------------------------------------------------------------------------------------------


def normalizer_stages(part: Json | None) -> list[Stage]:
    """The stages of the "normalizer" entry."""
    return [stage for one in parts_of(part) for stage in _normalizer(one)]


def _normalizer(part: Json) -> list[Stage]:
    kind = part["type"]
    if kind in ("NFC", "NFD", "NFKC", "NFKD"):
        return [normalize.Form(kind)]
    readers = {
        "Lowercase": lambda: normalize.Lowercase(),
        "StripAccents": lambda: normalize.StripAccents(),
        "BertNormalizer": lambda: _bert(part),
        "Precompiled": lambda: GraphemeCharsmap(b64decode(part["precompiled_charsmap"] or "")),
        "Replace": lambda: normalize.Replace(_pattern(part), part["content"]),
        "Prepend": lambda: normalize.Prepend(part["prepend"]),
        "Strip": lambda: normalize.Strip(part["strip_left"], part["strip_right"]),
    }
    if kind == "ByteLevel":  # turns text into byte symbols, which `ByteBpe` does itself
        return []
    if kind not in readers:
        raise unknown("normalizer", kind, [*readers, "NFC", "NFD", "NFKC", "NFKD"], where="tokenizer.json", error=TokenizerError)
    return [readers[kind]()]


def _bert(part: Json) -> normalize.BertNormalizer:
    lower, strip = part.get("lowercase", True), part.get("strip_accents")
    clean, separate = part.get("clean_text", True), part.get("handle_chinese_chars", True)
    return normalize.BertNormalizer(clean, separate, lower if strip is None else strip, lower)


def pretokenizer_stages(part: Json | None) -> list[Stage]:
    """The stages of the "pre_tokenizer" entry."""
    return [stage for one in parts_of(part) for stage in _pretokenizer(one)]


def _pretokenizer(part: Json) -> list[Stage]:
    readers = {
        "ByteLevel": _byte_level,
        "Metaspace": _metaspace,
        "Split": _split,
        "BertPreTokenizer": lambda _: [pretokenize.BertWords()],
        "Digits": lambda part: [pretokenize.digits(part["individual_digits"])],
        "Punctuation": lambda part: [pretokenize.Split(_PUNCTUATION, part.get("behavior", "Isolated"))],
        "Whitespace": lambda _: [pretokenize.Matches(r"\w+|[^\w\s]+")],
        "WhitespaceSplit": lambda _: [pretokenize.Split(r"\s+", "Removed")],
        "CharDelimiterSplit": lambda part: [pretokenize.Split(_escaped(part["delimiter"]), "Removed")],
    }
    if part["type"] not in readers:
        raise unknown("pretokenizer", part["type"], readers, where="tokenizer.json", error=TokenizerError)
    return readers[part["type"]](part)


def _byte_level(part: Json) -> list[Stage]:
    front: list[Stage] = [normalize.SpaceInFront()] if part.get("add_prefix_space", True) else []
    return [*front, pretokenize.Matches(GPT2)] if part.get("use_regex", True) else front


def _metaspace(part: Json) -> list[Stage]:
    scheme = part.get("prepend_scheme") or ("always" if part.get("add_prefix_space", True) else "never")
    symbol = part.get("replacement", "▁")
    words: list[Stage] = [pretokenize.MetaspaceWords(symbol)] if part.get("split", True) else []
    return [normalize.Metaspace(symbol, scheme), *words]


def _split(part: Json) -> list[Stage]:
    behavior, inverted = part["behavior"], part.get("invert", False)
    if inverted and behavior == "Removed":
        return [pretokenize.Matches(_pattern(part))]
    if inverted and behavior != "Isolated":
        raise TokenizerError(f"tokenizer.json: Split with invert and behavior {behavior!r} is not supported")
    return [pretokenize.Split(_pattern(part), behavior)]


# Writing --------------------------------------------------------------------------------------------------------------


def write_normalizers(stages: Iterable[Stage]) -> dict[str, Any] | None:
    """The "normalizer" entry."""
    return _sequence([_written_normalizer(cast("normalize.Normalizer", stage)) for stage in stages], "normalizers")


def _written_normalizer(stage: normalize.Normalizer) -> dict[str, Any]:
    match stage:
        case normalize.Form(form):
            return {"type": form}
        case normalize.Lowercase() | normalize.StripAccents():
            return {"type": type(stage).__name__}
        case normalize.BertNormalizer(clean, separate, strip, lower):
            return {
                "type": "BertNormalizer",
                "clean_text": clean,
                "handle_chinese_chars": separate,
                "strip_accents": None if strip == lower else strip,
                "lowercase": lower,
            }
        case Charsmap(blob) | GraphemeCharsmap(blob):
            return {"type": "Precompiled", "precompiled_charsmap": b64encode(blob).decode()}
        case normalize.Replace(pattern, content):
            return {"type": "Replace", "pattern": _written_pattern(pattern), "content": content}
        case normalize.Prepend(content):
            return {"type": "Prepend", "prepend": content}
        case normalize.Strip(left, right):
            return {"type": "Strip", "strip_left": left, "strip_right": right}
        case _:
            raise TokenizerError(f"normaliser {stage!r} has no form in tokenizer.json")


def _written_pattern(pattern: str) -> dict[str, str]:
    literal = re.sub(r"\\(.)", r"\1", pattern)
    return {"String": literal} if _escaped(literal) == pattern else {"Regex": pattern}


def write_pretokenizers(stages: Iterable[Stage], *, byte_level: bool) -> dict[str, Any] | None:
    """The "pre_tokenizer" entry; byte-level vocabularies end with the step from text to byte symbols."""
    steps = list(stages)
    written: list[dict[str, Any]] = []
    for stage, following in zip(steps, [*steps, None][1:], strict=True):
        written += _written_pretokenizer(stage, split=isinstance(following, pretokenize.MetaspaceWords))
    last = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return _sequence([*written, last] if byte_level else written, "pretokenizers")


def _written_pretokenizer(stage: Stage, *, split: bool) -> list[dict[str, Any]]:
    cut = partial(dict, type="Split")
    match stage:
        case normalize.Metaspace(symbol, scheme):
            return [{"type": "Metaspace", "replacement": symbol, "prepend_scheme": scheme, "split": split}]
        case normalize.SpaceInFront():
            return [{"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": False}]
        case pretokenize.MetaspaceWords():
            return []
        case pretokenize.Matches(pattern):
            return [cut(pattern={"Regex": pattern}, behavior="Removed", invert=True)]
        case pretokenize.Split(pattern, behavior):
            return [cut(pattern=_written_pattern(pattern), behavior=behavior, invert=False)]
        case pretokenize.BertWords():
            return [{"type": "BertPreTokenizer"}]
        case _:
            raise TokenizerError(f"pretokenizer {stage!r} has no form in tokenizer.json")


def _sequence(parts: list[dict[str, Any]], key: str) -> dict[str, Any] | None:
    return {"type": "Sequence", key: parts} if len(parts) > 1 else parts[0] if parts else None
