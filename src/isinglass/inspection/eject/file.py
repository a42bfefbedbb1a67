"""The file: header, settings, parts in the order in which they are needed, and what one does with a model."""

from __future__ import annotations

import re
import textwrap

import isinglass
from isinglass.inspection.eject.model import Written, written
from isinglass.inspection.eject.parts import number
from isinglass.inspection.eject.source import Edits, piece
from isinglass.models.config import EncoderDecoderConfig, ModelConfig
from isinglass.models.transformer import on_meta

_IMPORTS = {
    r"\bmath\.": "import math",
    r"\bIterator\[": "from collections.abc import Iterator",
    r"@dataclass": "from dataclasses import dataclass",
}


def eject(config: ModelConfig, *, source: str = "a config") -> str:
    """The model of `config` as the text of one Python file: only what this model uses, and no import but torch.

    Its parameters have the names they have here, and its logits are the same for rows without padding. `source` is what its header says
    that it comes from. EngineError for what cannot be ejected: hierarchical models, and parts from files of the user's own.

    >>> from isinglass.models.presets import tiny
    >>> text = eject(tiny.build(), source="tiny")
    >>> "class Rotary(nn.Module):" in text, "import isinglass" in text
    (True, False)
    """
    model = written(on_meta(config))
    parts = "\n\n\n".join([*model.pieces.values(), *_uses(config, model)])
    needed = [line for pattern, line in _IMPORTS.items() if re.search(pattern, parts)]
    functional = ["import torch.nn.functional as F"] if re.search(r"\bF\.", parts) else []
    imports = "\n".join([*needed, *[""] * bool(needed), "import torch", *functional, "from torch import Tensor, nn"])
    return "\n\n".join([_header(config, source), imports, _settings(config, parts) + "\n", parts]) + "\n"


def _header(config: ModelConfig, source: str) -> str:
    kind = config.architecture.replace("_", "-")
    article = "An" if kind[0] in "aeiou" else "A"
    # what was typed stands in a docstring: nothing of it may end that or be an escape
    typed = source.replace("\\", "\\\\").replace('"""', "'''")
    made = textwrap.fill(f"Made by isinglass {isinglass.__version__} from {typed}", 100, break_long_words=False, break_on_hyphens=False)
    return f'''"""{article} {kind} of the {config.family} family, whole in one file that needs torch and nothing else.

{made}

    python model.py                        build it with fresh weights, count them, run it
    python model.py model.safetensors      the same with the weights of a file

`isinglass export MODEL FOLDER --format isinglass` writes FOLDER/model.safetensors in these names.
Padding and caches are left out: all texts of a batch are of one length, and generating reads them anew.
"""'''


def _settings(config: ModelConfig, parts: str) -> str:
    """The constants that the parts read, each with what it means."""
    values = {
        "VOCAB_SIZE": (config.vocab_size, ""),
        "CONTEXT_LENGTH": (config.context_length, "the longest text, in tokens"),
        "D_MODEL": (config.d_model, "the width of the residual stream"),
        "D_FF": (config.d_ff, "the width inside a feed-forward layer"),
        "N_LAYERS": (config.n_layers, ""),
        "N_DECODER_LAYERS": (config.decoder_layers if isinstance(config, EncoderDecoderConfig) else 0, ""),
        "N_HEADS": (config.attention.n_heads, ""),
        "N_KV_HEADS": (config.n_kv_heads, "heads of keys and values"),
        "D_HEAD": (config.d_head, "the width of each head"),
        "NORM_EPS": (config.norm_eps, ""),
        "DROPOUT": (config.dropout, "while training"),
    }
    return "\n".join(
        f"{name} = {number(value)}" + (f"  # {meaning}" if meaning else "")
        for name, (value, meaning) in values.items()
        if re.search(rf"\b{name}\b", parts)
    )


def _uses(config: ModelConfig, model: Written) -> list[str]:
    """Fresh weights, loaded weights, a greedy continuation where there is one, and a run."""
    name = model.name
    made = {"config": "", 'on_meta(config).to_empty(device="cpu")': f"{name}()", "model.config.n_layers": "N_LAYERS", "Model": name}
    doc = "Fresh weights: normal(0, 0.02), smaller where they write to the residual stream; norms start at 1, biases at 0 (GPT-2)."
    fresh = piece("isinglass.models.transformer", "fresh", Edits(made, doc=doc))
    load = f'''def load(path: str) -> {name}:
    """The model with weights from a .safetensors file (needs that package) or a state_dict that torch saved."""
    if path.endswith(".safetensors"):
        from safetensors.torch import load_file

        weights = load_file(path)
    else:
        weights = torch.load(path, weights_only=True)
    model = {name}()
    model.load_state_dict(weights)
    return model'''
    main = [
        "import sys",
        "",
        "model = (load(sys.argv[1]) if len(sys.argv) > 1 else fresh(seed=0)).eval()",
        'print(f"{sum(weight.numel() for weight in model.parameters()):,} parameters")',
        f"ids = torch.tensor([{[n % config.vocab_size for n in range(1, min(8, config.context_length) + 1)]}])",
    ]
    if name == "Decoder":
        main += ['print("logits", list(model(ids).shape))', 'print("greedy", generate(model, ids, max_tokens=8)[0].tolist())']
    elif name == "EncoderDecoder":
        main += ["begun = torch.tensor([[0]])", 'print("logits", list(model(ids, begun).shape))']
        main += ['print("greedy", generate(model, ids, begun, max_tokens=8)[0].tolist())']
    elif name == "HeadedModel":
        main += ["for name, answer in model(ids).items():", "    print(name, list(answer.shape))"]
    else:
        main += ['print("hidden states", list(model(ids).shape))']
    run = 'if __name__ == "__main__":\n' + "\n".join(f"    {line}" if line else "" for line in main)
    return [fresh, load, *([_GENERATE[name]] if name in _GENERATE else []), run]


_GENERATE = {
    "Decoder": '''@torch.no_grad()
def generate(model: Decoder, ids: Tensor, max_tokens: int) -> Tensor:  # (batch, time) -> (batch, time + max_tokens)
    """The most likely token, again and again. Without a cache each step reads the whole text anew."""
    for _ in range(max_tokens):
        logits = model(ids[:, -CONTEXT_LENGTH:])
        ids = torch.cat([ids, logits[:, -1:].argmax(dim=-1)], dim=1)
    return ids''',
    "EncoderDecoder": '''@torch.no_grad()
def generate(model: EncoderDecoder, ids: Tensor, begun: Tensor, max_tokens: int) -> Tensor:
    """What follows `begun` when `ids` were read: the most likely token, again and again."""
    for _ in range(max_tokens):
        logits = model(ids, begun[:, -CONTEXT_LENGTH:])
        begun = torch.cat([begun, logits[:, -1:].argmax(dim=-1)], dim=1)
    return begun''',
}
