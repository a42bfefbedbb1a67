"""The files of the page: our own modules and stylesheet, those of `show`, and the charts' bundle."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import subprocess
import sys
from importlib import metadata, resources

from isinglass.assets.find import cache_folder
from isinglass.core.files import write_atomic
from isinglass.show import embed, theme

SHOW = ("card", "figure", "attention_grid")  # of show/static: what cards are made of
_MAKE = "import sys; from isinglass.show import embed; sys.stdout.buffer.write(embed.vega_bundle().encode())"
_KINDS = {"js": "text/javascript; charset=utf-8", "html": "text/html; charset=utf-8"}


@functools.cache
def own() -> dict[str, str]:
    """Our own modules by their path under `static/`."""
    found, waiting = {}, [("", resources.files("isinglass.web").joinpath("static"))]
    while waiting:
        path, place = waiting.pop()
        for child in place.iterdir():
            name = f"{path}{child.name}"
            if child.is_dir():
                waiting.append((f"{name}/", child))
            elif name.endswith((".js", ".css", ".html")):
                found[name] = child.read_text("utf-8")
    return found


@functools.cache
def stylesheet() -> str:
    """The one stylesheet: the theme's values, the cards of `show`, and the lab."""
    cards = [embed.static(f"{name}.css") for name in ("card", "attention_grid")]
    return "\n".join([theme.css_properties(), *cards, own()["lab.css"]])


@functools.cache
def modules() -> dict[str, str]:
    """Every script the page may load by its address, but for the charts' bundle."""
    show = {f"show/{name}.js": embed.static(f"{name}.js") for name in SHOW}
    return {**{name: text for name, text in own().items() if name.endswith(".js")}, **show}


def vega_address() -> str:
    """Its version is in its address, so that a browser may keep it for good."""
    return f"vega.js?v={metadata.version('vl-convert-python')}"


@functools.cache
def vega() -> bytes:
    """The charts' bundle, gzipped; made once per version and kept beside the assets.

    It is made in a process of its own: for some seconds it would hold Python's lock, and so the whole server.
    """
    file = cache_folder() / f"vega-{metadata.version('vl-convert-python')}.js.gz"
    if file.is_file():
        return file.read_bytes()
    made = subprocess.run([sys.executable, "-c", _MAKE], stdout=subprocess.PIPE, check=True).stdout
    bundle = gzip.compress(made, 6, mtime=0)
    with contextlib.suppress(OSError):  # without a cache it is made again next time
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, bundle)
    return bundle


@functools.cache
def tag(text: str) -> str:
    """An ETag."""
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'


def kind(name: str) -> str:
    return _KINDS[name.rpartition(".")[2]]
