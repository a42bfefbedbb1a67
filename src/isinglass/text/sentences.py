"""Where the sentences of a text begin and end."""

from __future__ import annotations

import re

# the end of a sentence, or of a line that is a heading or stands before an empty one
_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9À-Þ])|\n\s*\n\s*|(?<=\n)(?=#)|(?m:^#.*\n+)")


def statements(text: str) -> list[tuple[int, int]]:
    """`sentences` without headings.

    >>> [("# Boats\\n\\nOne sails."[a:b]) for a, b in statements("# Boats\\n\\nOne sails.")]
    ['One sails.']
    """
    return [(start, end) for start, end in sentences(text) if not text.startswith("#", start)]


def sentences(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a text begin and end, without the spaces around them.

    >>> [("One. Two? 3 men."[a:b]) for a, b in sentences("One. Two? 3 men.")]
    ['One.', 'Two?', '3 men.']
    """
    cuts, found = [0], []
    for match in _END.finditer(text):
        cuts += [match.start(), match.end()] if match.group().lstrip().startswith("#") else [match.end()]
    for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True):
        piece = text[start:end]
        if piece.strip():
            left = len(piece) - len(piece.lstrip())
            found.append((start + left, start + len(piece.rstrip())))
    return found
