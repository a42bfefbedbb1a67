"""What a piece of code has put out: each output in every form in which it can be shown, as notebooks keep it.

Source: the notebook file format 4.5, https://nbformat.readthedocs.io/en/latest/format_description.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

PLAIN = "text/plain"
ERROR = "application/vnd.jupyter.error"  # ename, evalue and traceback of an exception, as the format has them
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")  # colours, cursor movements, links
_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n|$)")  # what a progress bar has written over


@dataclass(frozen=True)
class Output:
    """One output: `kind` says where it came from, `data` maps MIME type -> content (pictures that are no text in base64).

    >>> Output("stdout", {"text/plain": "50 %\\r100 %"}).text
    '100 %'
    """

    kind: Literal["stdout", "stderr", "display", "result", "error"]
    data: Mapping[str, Any]

    @property
    def text(self) -> str:
        """It as plain text, the way it stands in a terminal at the end: without colours, progress bars at their last state."""
        plain = _ESCAPES.sub("", str(self.data.get(PLAIN, "")))
        return _OVERWRITTEN.sub("", plain.replace("\r\n", "\n"))

    def best(self, wanted: Sequence[str]) -> tuple[str, Any] | None:
        """The first of the `wanted` MIME types that it has, with its content; None when it has none of them."""
        return next(((mime, self.data[mime]) for mime in wanted if mime in self.data), None)

    def to_node(self, number: int | None) -> dict[str, Any]:
        """The output as a notebook holds it; `number` is its cell's place in the order of execution."""
        if self.kind in ("stdout", "stderr"):
            return {"output_type": "stream", "name": self.kind, "text": self.data[PLAIN]}
        if self.kind == "error":
            return {"output_type": "error", **self.data[ERROR]}
        shown = {"data": dict(self.data), "metadata": {}}
        if self.kind == "result":
            return {"output_type": "execute_result", "execution_count": number, **shown}
        return {"output_type": "display_data", **shown}


def from_nodes(nodes: Sequence[Mapping[str, Any]]) -> tuple[Output, ...]:
    """The outputs of a notebook's cell; pieces of one stream that follow one another become one."""
    found: list[Output] = []
    for node in nodes:
        made = _from_node(node)
        if found and made.kind in ("stdout", "stderr") and made.kind == found[-1].kind:
            made = Output(made.kind, {PLAIN: found.pop().data[PLAIN] + made.data[PLAIN]})
        found.append(made)
    return tuple(found)


def _from_node(node: Mapping[str, Any]) -> Output:
    match node["output_type"]:
        case "stream":
            return Output(node["name"], {PLAIN: node["text"]})
        case "error":
            said = {name: node[name] for name in ("ename", "evalue", "traceback")}
            return Output("error", {PLAIN: "\n".join(node["traceback"]), ERROR: said})
        case "execute_result":
            return Output("result", dict(node["data"]))
    return Output("display", dict(node["data"]))
