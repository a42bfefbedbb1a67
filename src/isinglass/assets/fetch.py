"""Bring a source's file near: run pip in a child process, or ask the Hugging Face hub. Nothing fetched here is run or imported."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from isinglass.core.errors import AssetError, ExtraMissing

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Downloading:
    """How far the download of a package is. `total_bytes` is the registry's figure; a wheel for another platform may differ."""

    package: str
    received_bytes: int
    total_bytes: int


def fetch_package(requirement: str, total_bytes: int, folder: Path) -> Generator[Downloading, None, Path]:
    """Download a pinned package with pip into `folder`, yielding progress; returns the archive's path.

    pip runs as a child so that the user's own index, proxy and certificate settings apply. Closing the generator ends it.
    Raises AssetError with pip's last line.
    """
    target, scratch, log = folder / "archives" / requirement, folder / "scratch", folder / "pip.log"
    target.mkdir(parents=True)
    scratch.mkdir(exist_ok=True)
    # No pip cache: the file's place is our own cache. Python's version does not matter to a file that is never imported.
    options = ["--no-deps", "--no-cache-dir", "--ignore-requires-python", "--progress-bar=off", "--no-input", "--retries=3"]
    command = [sys.executable, "-m", "pip", "download", *options, f"--dest={target}", requirement]
    # pip downloads into the temporary folder first: keeping that inside `folder` shows progress and leaves nothing behind.
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch)) | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
        try:
            yield Downloading(requirement, 0, total_bytes)
            while _running(process):
                yield Downloading(requirement, min(_size(scratch) + _size(target), total_bytes), total_bytes)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    archives = [path for path in target.iterdir() if path.is_file()]
    if process.returncode != 0 or len(archives) != 1:
        raise _pip_failed(requirement, log.read_text(encoding="utf-8", errors="replace"))
    yield Downloading(requirement, total_bytes, total_bytes)
    return archives[0]


def fetch_from_hub(repository: str, file: str, folder: Path) -> Path:
    """Download one file of a Hugging Face repository into `folder`. Raises ExtraMissing or AssetError."""
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise ExtraMissing("huggingface_hub", "hub") from error
    try:
        return Path(hf_hub_download(repository, file, local_dir=folder / "hub" / repository))
    except Exception as error:  # the hub's client raises errors of several libraries
        raise AssetError(f"the Hugging Face hub gave no {file!r} of {repository!r}: {_last_line(str(error))}") from error


@contextmanager
def open_member(archive: Path, file: str) -> Iterator[IO[bytes]]:
    """Open one file inside a wheel (zip) or a source archive (tar, below its one top folder) for reading.

    Only the named member is read, as a stream: no path stored in the archive is ever written to. Raises AssetError.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as content, content.open(file) as member:
                yield member
        else:
            with tarfile.open(archive) as content:
                names = [info.name for info in content if info.isfile() and info.name.partition("/")[2] == file]
                member = content.extractfile(names[0]) if names else None
                if member is None:
                    raise KeyError(file)
                yield member
    except KeyError as error:
        raise AssetError(f"{archive.name} holds no file {file!r}") from error
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise AssetError(f"{archive.name} is damaged: {error}") from error


def _running(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(timeout=_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _size(folder: Path) -> int:
    total = 0
    for root, _, files in os.walk(folder):
        for file in files:
            try:
                total += (Path(root) / file).stat().st_size
            except OSError:
                continue  # pip removed it meanwhile
    return total


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason given")


def _pip_failed(requirement: str, log: str) -> AssetError:
    if "No module named pip" in log:
        return AssetError(f"{sys.executable} has no pip to download {requirement} with", hint=f"{sys.executable} -m ensurepip --upgrade")
    refused = [re.sub("<[^>]*>: ", "", line.partition(" broken by ")[2]) for line in log.splitlines() if "Retrying" in line]
    return AssetError(
        f"pip could not download {requirement}: {_last_line(log).removeprefix('ERROR: ')}",
        details=[f"no connection: {refused[-1]}"] if refused else [],
    )
