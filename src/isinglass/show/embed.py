"""What a page needs besides its figures: safe JSON, and the stylesheets and scripts that are kept as files under `static/`."""

from __future__ import annotations

import functools
import html
import json
import math
from collections.abc import Iterable
from importlib import resources
from typing import Any

from isinglass.show import theme

VEGA = "vega"  # the charts' JavaScript; everything else is a file under static/
_ORDER = (VEGA, "card", "figure", "attention_grid", "page", "document")


def plain(value: Any) -> Any:
    """`value` made of what JSON can say: numpy numbers and arrays as Python's, Decimal and dates as text, NaN and infinity as null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def to_json(value: Any, *, indent: int | None = None) -> str:
    """JSON text in which every number is finite."""
    return json.dumps(plain(value), ensure_ascii=False, indent=indent, allow_nan=False)


def script_json(value: Any) -> str:
    """JSON that may stand inside a `<script>` element: no character that could end the element or a line of JavaScript.

    >>> script_json("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = to_json(value)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def text(value: Any) -> str:
    """Text that may stand in an element or in a quoted attribute."""
    return html.escape(str(value), quote=True)


def static(name: str) -> str:
    """A file of this package's `static/` folder."""
    return resources.files("isinglass.show").joinpath("static", name).read_text("utf-8")


@functools.cache
def vega_bundle() -> str:
    """Vega-Embed, Vega-Lite and Vega as one script that needs no network. About 0.9 MB; made once per process."""
    import vl_convert

    bundle = vl_convert.javascript_bundle()  # pyright: ignore[reportCallIssue]  # its stub forgets that the snippet is optional
    return bundle.replace("</script", "<\\/script")


def shared(needs: Iterable[str]) -> str:
    """The `<style>` and `<script>` elements that fragments with these needs rely on; put it once on a page, before the fragments.

    Scripts are inline modules: nothing is fetched, so this works from `file://`, and a second copy on one page does no harm.
    """
    wanted = set(needs) | {"card"}
    parts = [f"<style>{theme.css_properties()}</style>"]
    for name in (name for name in _ORDER if name in wanted):
        if name == VEGA:
            parts.append(f'<script type="module">{vega_bundle()}</script>')
            continue
        folder = resources.files("isinglass.show").joinpath("static")
        if folder.joinpath(f"{name}.css").is_file():
            parts.append(f"<style>{static(f'{name}.css')}</style>")
        if folder.joinpath(f"{name}.js").is_file():
            parts.append(f'<script type="module">{static(f"{name}.js")}</script>')
    return "\n".join(parts)


def document(title: str, body: str, needs: Iterable[str]) -> str:
    """One self-contained HTML document."""
    return (
        '<!doctype html>\n<html lang="en" class="ig">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{text(title)}</title>\n{shared(needs)}\n</head>\n<body>\n{body}\n</body>\n</html>\n'
    )
