"""A made-up world: a registry, a cache and a folder of packages, all below a temporary folder."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from isinglass.assets.registry import Registry, read_registry

SMALL, OTHER = b"one two three\n" * 50, b"four five six\n" * 30


@dataclass
class World:
    folder: Path

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def packages(self) -> Path:
        return self.folder / "packages"

    def registry(self, **assets: dict) -> Registry:
        """A registry of the named assets; each dict gives `content` and what differs from the usual fields."""
        lines = ["[packages]", '"made-up==1.0" = 100_000', '"made-up-too==1.0" = 100_000']
        for name, given in assets.items():
            content = given.pop("content")
            sources = given.pop("sources", [{"package": "made-up==1.0", "file": f"made_up/{name}.txt"}])
            rows = ", ".join("{ " + ", ".join(f'{k} = "{v}"' for k, v in source.items()) + " }" for source in sources)
            fields = {"kind": "corpus", "title": f"the text {name}", "licence": "CC0", "file": f"{name}.txt"} | given
            fields = {"sha256": hashlib.sha256(content).hexdigest()} | fields
            lines += [f"[assets.{name.replace('_', '-')}]", "default = true", f"bytes = {len(content)}", f"sources = [{rows}]"]
            lines += [f'{key} = "{value}"' for key, value in fields.items()]
        path = self.folder / "registry.toml"
        path.write_text("\n".join(lines))
        return read_registry(path)

    def build_wheel(self, files: dict[str, bytes], *, name: str = "made_up") -> Path:
        """A wheel that pip accepts, holding these files."""
        self.packages.mkdir(exist_ok=True)
        path = self.packages / f"{name}-1.0-py3-none-any.whl"
        info = f"{name}-1.0.dist-info"
        wheel = {
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n".encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": b"",
        }
        with zipfile.ZipFile(path, "w") as archive:
            for inside, content in (files | wheel).items():
                archive.writestr(inside, content)
        return path

    def left_over(self) -> list[str]:
        """Every file in the cache except the remembered hashes."""
        files = [path.relative_to(self.cache).as_posix() for path in self.cache.rglob("*") if path.is_file()]
        return sorted(file for file in files if not file.startswith("verified/"))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """pip sees only the world's folder of packages: no index, no settings of the user."""
    world = World(tmp_path)
    world.packages.mkdir()
    for variable, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(world.packages), "PIP_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(variable, value)
    return world
