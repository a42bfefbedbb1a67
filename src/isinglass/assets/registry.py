"""The list of vocabularies, weights and corpora, and where each can come from (`registry.toml`)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from isinglass.core.errors import AssetError, ConfigError, unknown

Kind = Literal["vocabulary", "weights", "corpus"]


@dataclass(frozen=True)
class PackageSource:
    """A file inside a pinned package of the Python index."""

    package: str
    file: str

    @property
    def distribution(self) -> str:
        return self.package.partition("==")[0]


@dataclass(frozen=True)
class HubSource:
    """A file of a Hugging Face repository; used only when asked for."""

    hub: str
    file: str


Source = PackageSource | HubSource


@dataclass(frozen=True)
class Asset:
    """One file: what it is, how to recognise it (`bytes`, `sha256`) and its sources in order."""

    name: str
    kind: Kind
    title: str
    licence: str
    default: bool
    file: str
    bytes: int
    sha256: str
    sources: tuple[Source, ...]
    preset: str = ""  # weights alone, without settings: the preset they fit
    vocabulary: str = ""  # weights without a vocabulary: the tokenizer they were trained with


@dataclass(frozen=True)
class Registry:
    """All known assets by name, and the size in bytes of each package they come in."""

    assets: Mapping[str, Asset]
    package_bytes: Mapping[str, int]

    def asset(self, name: str) -> Asset:
        """The asset of this name. Raises AssetError, with the nearest known name."""
        if name not in self.assets:
            raise unknown("asset", name, self.assets, more="isinglass assets list", error=AssetError)
        return self.assets[name]

    def default_names(self) -> list[str]:
        """The embedded set: what the tour and the tests need."""
        return [asset.name for asset in self.assets.values() if asset.default]


def read_registry(path: Path) -> Registry:
    """Read and check a registry file. Raises ConfigError that names the key at fault.

    >>> read_registry(Path(__file__).with_name("registry.toml")).asset("gpt2-vocab").bytes
    456318
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    assets = {name: _asset(name, fields, f"{path.name}: assets.{name}") for name, fields in content.get("assets", {}).items()}
    package_bytes = content.get("packages", {})
    for asset in assets.values():
        for source in asset.sources:
            if isinstance(source, PackageSource) and not _is_size(package_bytes.get(source.package)):
                raise ConfigError(f"{path.name}: packages has no size in bytes for {source.package!r}, a source of {asset.name!r}")
    return Registry(assets, package_bytes)


@cache
def builtin_registry() -> Registry:
    """The registry that comes with the package."""
    return read_registry(Path(__file__).with_name("registry.toml"))


def _is_size(value: object) -> bool:
    return type(value) is int and value > 0


def _is_plain_path(value: object) -> bool:
    """A relative path that cannot leave the folder it is joined to."""
    return isinstance(value, str) and value != "" and not value.startswith("/") and ".." not in PurePosixPath(value).parts


_CHECKS = {
    "kind": (lambda v: v in get_args(Kind), "one of " + ", ".join(get_args(Kind))),
    "title": (lambda v: isinstance(v, str) and v, "a text"),
    "licence": (lambda v: isinstance(v, str) and v, "a text"),
    "default": (lambda v: isinstance(v, bool), "true or false"),
    "file": (lambda v: _is_plain_path(v) and "/" not in v, "a file name"),
    "bytes": (_is_size, "a positive whole number"),
    "sha256": (lambda v: isinstance(v, str) and re.fullmatch("[0-9a-f]{64}", v), "64 hexadecimal digits"),
    "sources": (lambda v: isinstance(v, list) and v, "a list of at least one source"),
    "preset": (lambda v: v is None or (isinstance(v, str) and v), "a text"),
    "vocabulary": (lambda v: v is None or (isinstance(v, str) and v), "a text"),
}


def _asset(name: str, fields: dict[str, Any], where: str) -> Asset:
    if not re.fullmatch("[a-z0-9_-]+", name):
        raise ConfigError(f"{where}: a name may hold only a-z, 0-9, '-' and '_'")
    if extra := fields.keys() - _CHECKS.keys():
        raise unknown("key", min(extra), _CHECKS, where=where)
    for key, (check, expected) in _CHECKS.items():
        if not check(fields.get(key)):
            raise ConfigError(f"{where}.{key} is {fields.get(key)!r}, expected {expected}")
    sources = tuple(_source(source, f"{where}.sources[{i}]") for i, source in enumerate(fields["sources"]))
    return Asset(**{**fields, "name": name, "sources": sources})


def _source(fields: Any, where: str) -> Source:
    keys = set(fields) if isinstance(fields, dict) else set()
    if keys not in ({"package", "file"}, {"hub", "file"}) or not _is_plain_path(fields["file"]):
        raise ConfigError(f'{where} is {fields!r}, expected {{ package = "name==version", file = "path/inside" }} or the same with hub')
    if "hub" in keys:
        return HubSource(**fields)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!]+", fields["package"]):
        raise ConfigError(f"{where}.package is {fields['package']!r}, expected a pinned requirement such as 'name==1.2.3'")
    return PackageSource(**fields)
