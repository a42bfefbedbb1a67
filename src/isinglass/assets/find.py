"""Where an asset is on this machine: an explicit path, the user's cache, or an installed package. Never the network."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isinglass.core.errors import AssetError
from isinglass.core.files import write_atomic
from isinglass.core.units import size

from .registry import Asset, PackageSource, Registry, builtin_registry


def find(name: str, *, registry: Registry | None = None, cache: Path | None = None) -> Path:
    """The path of an asset, whose content has been checked against the registry's sha256.

    Looked for in order: the file that `ISINGLASS_ASSET_<NAME>` names, the cache folder, installed distributions (which are
    never imported). A file is hashed once; the result is remembered with its size and time of change.

    Raises AssetError: unknown name, not on this machine, or a file with another content.

    >>> find("gpt2-vocab").name  # doctest: +SKIP
    'vocab.bpe'
    """
    asset = (registry or builtin_registry()).asset(name)
    cache = cache or cache_folder()
    variable = override_variable(name)
    if variable in os.environ:
        return _checked(Path(os.environ[variable]), asset, cache, hint=f"{variable} names this file: correct or unset it")
    cached = cached_path(asset, cache)
    if cached.is_file():
        return _checked(cached, asset, cache, hint=f"isinglass assets get {name}  fetches it again")
    for path in _installed(asset):
        if path.stat().st_size == asset.bytes and file_sha256(path, cache) == asset.sha256:
            return path
    raise AssetError(
        f"asset {name!r} ({asset.title}; {size(asset.bytes)}) is not on this machine",
        details=[f"not at {cached}", f"not named by {variable}", "not in an installed package"],
        hint=f"isinglass assets get {name}",
    )


def listing(*, registry: Registry | None = None, cache: Path | None = None) -> list[dict[str, Any]]:
    """One row for each known asset: name, kind, title, licence, bytes, default, present, path (None when not present)."""
    registry = registry or builtin_registry()
    rows = []
    for asset in registry.assets.values():
        try:
            path = find(asset.name, registry=registry, cache=cache)
        except AssetError:
            path = None
        rows.append({
            "name": asset.name, "kind": asset.kind, "title": asset.title, "licence": asset.licence, "bytes": asset.bytes,
            "default": asset.default, "present": path is not None, "path": None if path is None else str(path),
        })  # fmt: skip
    return rows


def cache_folder() -> Path:
    """`ISINGLASS_CACHE`, else `isinglass` in the user's cache folder (`XDG_CACHE_HOME` or ~/.cache)."""
    if own := os.environ.get("ISINGLASS_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isinglass"


def cached_path(asset: Asset, cache: Path) -> Path:
    """Where the cache keeps an asset: a folder for each name, since file names such as tokenizer.json repeat."""
    return cache / "assets" / asset.name / asset.file


def override_variable(name: str) -> str:
    """The environment variable that names a file of the user for an asset.

    >>> override_variable("gpt2-vocab")
    'ISINGLASS_ASSET_GPT2_VOCAB'
    """
    return "ISINGLASS_ASSET_" + name.upper().replace("-", "_")


def file_sha256(path: Path, cache: Path) -> str:
    """The sha256 of a file, remembered in the cache for as long as its path, size and time of change stay the same."""
    status = path.stat()
    state = f"{status.st_size} {status.st_mtime_ns}"
    stamp = cache / "verified" / hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:32]
    try:
        digest, _, known_state = stamp.read_text().partition(" ")
        if known_state == state:
            return digest
    except (OSError, UnicodeDecodeError):
        pass  # no stamp yet, or a damaged one: hash the file
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, not correctness
        write_atomic(stamp, f"{digest} {state}")
    return digest


def _checked(path: Path, asset: Asset, cache: Path, *, hint: str) -> Path:
    if not path.is_file():
        raise AssetError(f"asset {asset.name!r}: there is no file {str(path)!r}", hint=hint)
    digest = file_sha256(path, cache)
    if digest != asset.sha256:
        raise wrong_hash(asset, str(path), digest, path.stat().st_size, hint=hint)
    return path


def wrong_hash(asset: Asset, where: str, digest: str, n_bytes: int, *, hint: str) -> AssetError:
    """The error for a file whose content is not the asset's."""
    return AssetError(
        f"asset {asset.name!r}: {where!r} has a wrong sha256",
        details=[f"expected {asset.sha256} ({asset.bytes:,} bytes)", f"found    {digest} ({n_bytes:,} bytes)"],
        hint=hint,
    )


def _installed(asset: Asset) -> Iterator[Path]:
    """The asset's files inside installed distributions; any version will do, because the hash decides."""
    from importlib.metadata import PackageNotFoundError, distribution

    for source in asset.sources:
        if isinstance(source, PackageSource):
            try:
                path = Path(str(distribution(source.distribution).locate_file(source.file)))
            except PackageNotFoundError:
                continue
            if path.is_file():
                yield path
