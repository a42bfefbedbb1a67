from __future__ import annotations

from pathlib import Path

import pytest

import isinglass.assets.registry as registry_module
from isinglass.assets.registry import HubSource, PackageSource, builtin_registry, read_registry
from isinglass.core.errors import AssetError, ConfigError

# Published digests: tiktoken's openai_public.py for its own files, the model repositories for the rest.
PUBLISHED = {
    "gpt2-vocab": "1ce1664773c50f3e",
    "r50k_base": "306cd27f03c1a714",
    "p50k_base": "94b5ca7dff4d0076",
    "cl100k_base": "223921b76ee99bde",
    "o200k_base": "446a9538cb6c348e",
    "bert-base-uncased": "07eced375cec144d",
    "t5": "d60acb128cf7b7f2",
    "llama3": "82e9d31979e92ab9",
}
GOOD = """
[packages]
"p==1" = 10
[assets.x]
kind = "corpus"
title = "t"
licence = "l"
default = false
file = "f.txt"
bytes = 3
sha256 = "%s"
sources = [{ package = "p==1", file = "p/f.txt" }]
""" % ("0" * 64)


def test_builtin_names_kinds_and_embedded_set() -> None:
    registry = builtin_registry()
    assert {name for name in registry.assets if name not in registry.default_names()} == {
        "p50k_base", "llama3", "mistral-v1", "mistral-tekken"
    }  # fmt: skip
    assert [name for name, asset in registry.assets.items() if asset.kind == "weights"] == ["smollm2", "minilm"]
    assert [name for name, asset in registry.assets.items() if asset.kind == "corpus"] == ["kjv", "reviews", "web"]


@pytest.mark.parametrize(("name", "start"), PUBLISHED.items())
def test_digests_are_the_published_ones(name: str, start: str) -> None:
    assert builtin_registry().asset(name).sha256.startswith(start)


def test_every_asset_comes_from_a_pinned_package_first() -> None:
    for asset in builtin_registry().assets.values():
        assert isinstance(asset.sources[0], PackageSource), asset.name
        assert all(isinstance(source, HubSource) for source in asset.sources[1:]), asset.name


def test_unknown_asset_names_the_nearest() -> None:
    with pytest.raises(AssetError) as caught:
        builtin_registry().asset("cl100k-base")
    assert str(caught.value).startswith("unknown asset 'cl100k-base'\n  known: bert-base-uncased,")
    assert caught.value.hint == "did you mean 'cl100k_base'?  isinglass assets list"


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('kind = "corpus"', 'kind = "music"', "assets.x.kind is 'music', expected one of vocabulary, weights, corpus"),
        ("default = false", "", "assets.x.default is None, expected true or false"),
        ("bytes = 3", "bytes = -3", "assets.x.bytes is -3, expected a positive whole number"),
        ("bytes = 3", "bytes = true", "assets.x.bytes is True, expected a positive whole number"),
        ("0" * 64, "0" * 63, "expected 64 hexadecimal digits"),
        ('file = "f.txt"', 'file = "../f.txt"', "assets.x.file is '../f.txt', expected a file name"),
        ('file = "p/f.txt"', 'file = "/etc/passwd"', "assets.x.sources[0] is {'package': 'p==1', 'file': '/etc/passwd'}, expected"),
        ('package = "p==1", ', 'package = "p>=1", ', "sources[0].package is 'p>=1', expected a pinned requirement"),
        ('package = "p==1", ', 'package = "--index-url==1", ', "package is '--index-url==1', expected a pinned requirement"),
        ('package = "p==1", ', "", "assets.x.sources[0] is {'file': 'p/f.txt'}, expected"),
        ('"p==1" = 10', "", "packages has no size in bytes for 'p==1', a source of 'x'"),
        ('licence = "l"', 'licence = "l"\nlicense = "l"', "unknown key 'license' in registry.toml: assets.x"),
        ("[assets.x]", "[assets.X]", "a name may hold only a-z"),
        ("[assets.x]", "[assets.x", "is not valid TOML"),
    ],
)
def test_a_fault_in_the_registry_names_its_key(tmp_path: Path, old: str, new: str, text: str) -> None:
    path = tmp_path / "registry.toml"
    path.write_text(GOOD)
    assert read_registry(path).asset("x").bytes == 3
    assert GOOD.count(old) == 1
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        read_registry(path)
    assert text in str(caught.value)


def test_builtin_registry_is_parsed_once() -> None:
    assert registry_module.builtin_registry() is builtin_registry()
