from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from isinglass.assets.find import cache_folder, cached_path, find, listing, override_variable
from isinglass.core.errors import AssetError

from .conftest import OTHER, SMALL, World


def _cached(world: World, content: bytes = SMALL) -> Path:
    path = world.cache / "assets" / "small" / "small.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def _installed(world: World, monkeypatch: pytest.MonkeyPatch, content: bytes = SMALL) -> Path:
    site = world.folder / "site"
    for inside, data in {
        "made_up-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n",
        "made_up/__init__.py": b"raise RuntimeError('this package was imported')\n",
        "made_up/small.txt": content,
    }.items():
        path = site / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    monkeypatch.syspath_prepend(str(site))
    return site / "made_up" / "small.txt"


def test_order_is_explicit_path_then_cache_then_installed_package(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = world.registry(small={"content": SMALL})
    installed = _installed(world, monkeypatch)
    assert find("small", registry=registry, cache=world.cache) == installed
    cached = _cached(world)
    assert find("small", registry=registry, cache=world.cache) == cached
    mine = world.folder / "mine.bin"
    mine.write_bytes(SMALL)
    monkeypatch.setenv("ISINGLASS_ASSET_SMALL", str(mine))
    assert find("small", registry=registry, cache=world.cache) == mine
    assert "made_up" not in sys.modules


def test_an_installed_package_with_another_content_is_passed_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = world.registry(small={"content": SMALL})
    _installed(world, monkeypatch, SMALL.swapcase())
    with pytest.raises(AssetError, match="is not on this machine"):
        find("small", registry=registry, cache=world.cache)


def test_missing_says_where_it_looked_and_how_to_get_it(world: World) -> None:
    with pytest.raises(AssetError) as caught:
        find("small", registry=world.registry(small={"content": SMALL}), cache=world.cache)
    assert str(caught.value) == (
        f"asset 'small' (the text small; {len(SMALL)} B) is not on this machine\n"
        f"  not at {world.cache}/assets/small/small.txt\n"
        "  not named by ISINGLASS_ASSET_SMALL\n"
        "  not in an installed package\n"
        "hint: isinglass assets get small"
    )


def test_wrong_hash_names_the_file_and_both_hashes(world: World) -> None:
    registry = world.registry(small={"content": SMALL})
    path = _cached(world, OTHER)
    with pytest.raises(AssetError) as caught:
        find("small", registry=registry, cache=world.cache)
    assert str(caught.value) == (
        f"asset 'small': '{path}' has a wrong sha256\n"
        f"  expected {registry.asset('small').sha256} ({len(SMALL)} bytes)\n"
        "  found    e74b8abfc2526f7159225b540ef4eb1f468457ec7b78c02a422b7c9bcaa13fd3 (420 bytes)\n"
        "hint: isinglass assets get small  fetches it again"
    )


@pytest.mark.parametrize("content", [OTHER, None])
def test_an_explicit_path_is_never_passed_over(world: World, monkeypatch: pytest.MonkeyPatch, content: bytes | None) -> None:
    registry = world.registry(small={"content": SMALL})
    _cached(world)
    mine = world.folder / "mine.txt"
    if content is not None:
        mine.write_bytes(content)
    monkeypatch.setenv("ISINGLASS_ASSET_SMALL", str(mine))
    with pytest.raises(AssetError) as caught:
        find("small", registry=registry, cache=world.cache)
    assert caught.value.message == (
        f"asset 'small': '{mine}' has a wrong sha256" if content else f"asset 'small': there is no file '{mine}'"
    )
    assert caught.value.hint == "ISINGLASS_ASSET_SMALL names this file: correct or unset it"


def test_the_hash_is_remembered_until_size_or_time_change(world: World) -> None:
    registry = world.registry(small={"content": SMALL})
    path = _cached(world)
    find("small", registry=registry, cache=world.cache)
    status = path.stat()
    path.write_bytes(SMALL.swapcase())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert find("small", registry=registry, cache=world.cache) == path  # same size and time: not read again
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(AssetError, match="has a wrong sha256"):
        find("small", registry=registry, cache=world.cache)


def test_a_damaged_stamp_only_costs_another_hash(world: World) -> None:
    registry = world.registry(small={"content": SMALL})
    path = _cached(world)
    find("small", registry=registry, cache=world.cache)
    (stamp,) = (world.cache / "verified").iterdir()
    good = stamp.read_text()
    stamp.write_bytes(b"\xff\xfe half a li")
    assert find("small", registry=registry, cache=world.cache) == path
    assert stamp.read_text() == good


def test_a_cache_that_cannot_be_written_still_finds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = world.folder / "mine.txt"
    mine.write_bytes(SMALL)
    monkeypatch.setenv("ISINGLASS_ASSET_SMALL", str(mine))
    world.cache.write_text("a file where the folder should be")
    assert find("small", registry=world.registry(small={"content": SMALL}), cache=world.cache) == mine


def test_finding_again_is_fast(world: World) -> None:
    registry = world.registry(small={"content": SMALL * 20_000})
    path = _cached(world, SMALL * 20_000)
    find("small", registry=registry, cache=world.cache)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        assert find("small", registry=registry, cache=world.cache) == path
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.020


def test_listing_has_a_row_for_each_asset(world: World) -> None:
    registry = world.registry(small={"content": SMALL}, broken={"content": OTHER}, away={"content": OTHER, "kind": "weights"})
    path = _cached(world)
    broken = cached_path(registry.asset("broken"), world.cache)
    broken.parent.mkdir()
    broken.write_bytes(b"x")
    rows = listing(registry=registry, cache=world.cache)
    assert [(row["name"], row["kind"], row["present"], row["path"]) for row in rows] == [
        ("small", "corpus", True, str(path)),
        ("broken", "corpus", False, None),
        ("away", "weights", False, None),
    ]
    assert {key: rows[0][key] for key in ("title", "licence", "bytes", "default")} == {
        "title": "the text small", "licence": "CC0", "bytes": 700, "default": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ISINGLASS_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/isinglass"),
        ({}, "/home/me/.cache/isinglass"),
    ],
)
def test_cache_folder(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for name in ("ISINGLASS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


def test_override_variable() -> None:
    assert override_variable("bert-base-uncased") == "ISINGLASS_ASSET_BERT_BASE_UNCASED"
