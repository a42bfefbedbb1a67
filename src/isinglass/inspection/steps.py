"""A line that ran, and what it gave."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Value:
    """What a name held after its line. Tensors have shape, dtype, first values, mean and std; `text` tells the rest."""

    name: str
    text: str
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    first: tuple[float, ...] = ()
    mean: float | None = None
    std: float | None = None

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.name} = {self.text}"
        numbers = ", ".join(f"{number:.4g}" for number in self.first)
        spread = "" if self.mean is None or self.std is None else f" · mean {self.mean:.3g}, std {self.std:.3g}"
        return f"{self.name} {' × '.join(map(str, self.shape)) or 'a number'} {self.dtype} [{numbers}, …]{spread}"


@dataclass(frozen=True)
class Step:
    """One line that ran. `depth` counts the calls around it; `layer` is the block it ran in, such as "layers.3", or None."""

    file: str
    line: int
    source: str
    depth: int
    function: str
    layer: str | None
    part: str | None
    values: tuple[Value, ...]

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"
