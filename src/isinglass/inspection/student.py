"""A class of someone's own, `my_module:MyAttention` or `./my.py:MyGPT`: imported, constructed and called, its errors told in one line.

Importing a file executes it, and so does calling what is in it.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

import isinglass
from isinglass.core.errors import ConfigError, DataError, EngineError, closest, unknown
from isinglass.core.variants import Call, parse

# What the constructors of books, courses and libraries call the same thing.
ALIASES: dict[str, tuple[str, ...]] = {
    "d_model": (
        "d_model", "d_in", "d_out", "emb_dim", "embed_dim", "embedding_dim", "n_embd", "n_embed", "hidden_size", "dim", "ndim", "width",
        "model_dim", "input_dim", "output_dim", "in_features", "features", "num_features", "normalized_shape", "size", "d_embed",
        "emb_size",
    ),
    "n_heads": ("n_heads", "num_heads", "n_head", "num_head", "heads", "nhead", "num_attention_heads", "h"),
    "d_head": ("d_head", "head_dim", "head_size", "d_k", "d_v"),
    "context_length": (
        "context_length", "block_size", "max_seq_len", "max_seq_length", "n_ctx", "seq_len", "max_len", "context_size", "n_positions",
        "max_length", "max_position_embeddings", "ctx_len", "window_size",
    ),
    "dropout": ("dropout", "drop_rate", "dropout_rate", "dropout_prob", "p", "attn_pdrop", "resid_pdrop", "embd_pdrop", "attn_dropout"),
    "bias": ("qkv_bias", "bias", "use_bias", "attention_bias"),
    "d_ff": ("d_ff", "d_mlp", "d_hidden", "hidden_dim", "ffn_dim", "ff_dim", "intermediate_size", "dim_feedforward", "d_inner"),
    "vocab_size": ("vocab_size", "n_vocab", "d_vocab", "vocab", "num_embeddings", "vocabulary_size"),
    "n_layers": ("n_layers", "num_layers", "n_layer", "num_blocks", "n_blocks", "depth", "num_hidden_layers"),
    "eps": ("eps", "layer_norm_eps", "layer_norm_epsilon", "epsilon", "norm_eps"),
    "causal": ("causal", "is_causal", "masked"),
}  # fmt: skip
_CONFIGS = ("cfg", "config", "conf", "hparams", "settings", "args", "options", "params")
_OURS, _TORCH = str(Path(isinglass.__file__).parent), str(Path(torch.__file__).parent)


@dataclass(frozen=True)
class Sizes:
    """The sizes a class is tried with: small, and different from one another, so that no two axes can be taken for the same."""

    d_model: int = 32
    n_heads: int = 4
    context_length: int = 12
    d_ff: int = 128
    vocab_size: int = 61
    n_layers: int = 2
    dropout: float = 0.1  # above 0, so that one sees whether it is off in eval mode
    eps: float = 1e-5
    bias: bool = True
    causal: bool = True

    @property
    def d_head(self) -> int:
        return self.d_model // self.n_heads

    def with_(self, given: Mapping[str, Any]) -> Sizes:
        """With arguments that go by any of their usual names. ConfigError when heads do not divide the width."""
        roles = {role: given[name] for role, names in ALIASES.items() for name in reversed(names) if name in given}
        known = {field.name for field in fields(self)}
        sizes = replace(self, **{role: value for role, value in roles.items() if role in known})
        if "d_model" in roles and "d_ff" not in roles:
            sizes = replace(sizes, d_ff=4 * sizes.d_model)
        if sizes.n_heads < 1 or sizes.d_model % sizes.n_heads:
            raise ConfigError(f"--args: {sizes.n_heads} heads do not divide a width of {sizes.d_model}", hint="try d_model=32,n_heads=4")
        return sizes

    def value(self, role: str) -> Any:
        return getattr(self, role)


class Settings(dict[str, Any]):
    """Settings that are read as `cfg["emb_dim"]` and as `config.n_embd` alike."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def parse_arguments(text: str) -> dict[str, Any]:
    """`d_model=32,n_heads=4` as a dictionary. ConfigError for what is not of that form.

    >>> parse_arguments("d_model=32, bias=False")
    {'d_model': 32, 'bias': False}
    """
    call = parse(f"arguments({text})")
    if not isinstance(call, Call) or call.args:
        raise ConfigError(f"cannot read --args {text!r}, expected NAME=VALUE,NAME=VALUE", hint='for example --args "d_model=32,n_heads=4"')
    return dict(call.kwargs)


def is_student(name: str) -> bool:
    """Whether a name is that of a class of someone's own, `module:Class`, and not that of a model."""
    module, colon, cls = name.rpartition(":")
    return bool(colon) and bool(module) and cls.isidentifier() and not Path(name).exists()


def load_object(name: str) -> Any:
    """What `my_module:Name` or `./folder/my.py:Name` names. The module is imported, which executes it.

    Raises DataError when it is not there, cannot be imported, or has nothing of that name.
    """
    place, colon, wanted = name.rpartition(":")
    if not colon or not place or not wanted:
        raise ConfigError(f"{name!r} names no class, expected module:Class", hint="for example ./my_attention.py:MyAttention")
    module = _module(place)
    if not hasattr(module, wanted):
        own = [key for key, value in vars(module).items() if callable(value) and getattr(value, "__module__", "") == module.__name__]
        raise unknown("class or function", wanted, own, where=place, error=DataError)
    return getattr(module, wanted)


def _module(place: str) -> ModuleType:
    path = Path(place).expanduser()
    is_file = path.suffix == ".py" or "/" in place
    if is_file and not path.is_file():
        raise DataError(f"no file {place!r}", hint="give the file with its path: ./my_attention.py:MyAttention")
    folder = str(path.parent.resolve()) if is_file else str(Path.cwd())
    sys.path.insert(0, folder)  # what stands beside the file can be imported by it, as when it is run
    try:
        with told(f"importing {place}"):
            return _from_file(path.resolve()) if is_file else importlib.import_module(place)
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"student_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise DataError(f"{str(path)!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    linecache.checkcache(str(path))
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def told(doing: str) -> Iterator[None]:
    """Errors of the student's code as one DataError with its file and line; what it prints goes to stderr, away from results."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as fault:
        raise _error(fault, doing) from None


def _error(fault: BaseException, doing: str) -> DataError:
    what = f"{type(fault).__name__}: {' '.join(str(fault).split())}".rstrip(": ")
    if isinstance(fault, SyntaxError) and fault.filename:
        return DataError(f"{_short(fault.filename)}, line {fault.lineno}: {what}", details=[f"while {doing}"])
    frames = [frame for frame in traceback.extract_tb(fault.__traceback__) if not _foreign(frame.filename)]
    if not frames:
        return DataError(f"{doing} failed: {what}")
    last = frames[-1]
    return DataError(f"{_short(last.filename)}, line {last.lineno}: {what}", details=[f"while {doing}", f"at: {last.line}"])


def _foreign(file: str) -> bool:
    return file.startswith((_OURS, _TORCH, "<")) or file in (contextlib.__file__, importlib.__file__)


def _short(file: str) -> str:
    """As seen from where the command was given."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def arguments_for(cls: Callable[..., Any], sizes: Sizes, given: Mapping[str, Any]) -> dict[str, Any]:
    """What to construct a class with, by the names of its parameters; `given` go before what names suggest.

    Raises ConfigError for a parameter that no name explains, and for one in `given` that the class does not have.
    """
    roles = {name: role for role, names in ALIASES.items() for name in names}
    parameters = _parameters(cls)
    settings = Settings({name: sizes.value(role) for name, role in roles.items()} | {"resid_dropout": sizes.dropout} | dict(given))
    chosen: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name in given:
            chosen[name] = given[name]
        elif name in _CONFIGS:
            chosen[name] = settings
        elif name in roles:
            chosen[name] = sizes.value(roles[name])
        elif parameter.default is parameter.empty:
            raise ConfigError(
                f"{_name(cls)} needs {name!r}, a name that says nothing to us",
                details=[f"its parameters: {', '.join(parameters)}"],
                hint=f'give it: --args "{name}=..."',
            )
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for name in given:
        if name not in chosen and name not in roles and not open_ended and not any(config in chosen for config in _CONFIGS):
            near = closest(name, parameters)
            raise ConfigError(
                f"{_name(cls)} takes no {name!r}",
                details=[f"its parameters: {', '.join(parameters) or 'none'}"],
                hint=f"did you mean {near!r}?" if near else "",
            )
    return chosen


def takes(cls: Callable[..., Any], role: str) -> bool:
    """Whether a class is told this size: by a parameter of one of its usual names, or in a config."""
    return any(name in ALIASES[role] or name in _CONFIGS for name in _parameters(cls))


def construct(cls: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """An object of the class, in eval mode when it is a module. DataError when its code fails."""
    with told(f"constructing {called(cls, arguments)}"):
        torch.manual_seed(0)
        made = cls(**arguments)
    return made.eval() if isinstance(made, nn.Module) else made


def called(cls: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """How a class was constructed, as one would write it."""
    shown = (f"{name}={'{...}' if isinstance(value, Settings) else repr(value)}" for name, value in arguments.items())
    return f"{_name(cls)}({', '.join(shown)})"


def make_module(name: str, given: Mapping[str, Any], sizes: Sizes) -> nn.Module:
    """The module that `my_module:MyGPT` names: an object, a class to construct, or a function that makes one. EngineError for others."""
    found = load_object(name)
    made = found if isinstance(found, nn.Module) else construct(found, arguments_for(found, sizes, given)) if callable(found) else found
    if not isinstance(made, nn.Module):
        raise EngineError(f"{name} is a {type(made).__name__}, expected a torch.nn.Module, a class of one or a function that makes one")
    return made.eval()


def tensor_of(answer: Any) -> torch.Tensor:
    """The tensor of an answer: itself, `.logits` of it, or the first of several. EngineError when there is none."""
    answer = getattr(answer, "logits", answer)
    first = next((part for part in answer if isinstance(part, torch.Tensor)), None) if isinstance(answer, tuple | list) else answer
    if not isinstance(first, torch.Tensor):
        raise EngineError(f"your forward returns a {type(answer).__name__}, expected a tensor")
    return first


def _parameters(cls: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(cls).parameters)
    except (TypeError, ValueError):
        return {}


def _name(thing: Any) -> str:
    return getattr(thing, "__name__", type(thing).__name__)
