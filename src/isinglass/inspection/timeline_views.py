"""What may be watched over a training run: each view makes a measure, which takes the model of one checkpoint and gives named values.

A number is drawn as a line, a word is listed, and a sequence (one number per layer) becomes a map of layers over steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.generation.prompts import Prompt
from isinglass.inspection.heads import measure, repeated_random
from isinglass.inspection.reading import token_text
from isinglass.inspection.trace import trace
from isinglass.metrics.attention import added, means

Value = float | str | Sequence[float]
Measure = Callable[[LM], Mapping[str, Value]]
HEADS = {"induction": "induction score", "to_previous": "previous-token score", "duplicate": "duplicate-token score"}


def heads_view(seed: int = 0) -> Measure:
    """Scores of the best head on repeated random tokens (Olsson et al. 2022), which head it is, and the best induction head per layer."""

    def measured(lm: LM) -> dict[str, Value]:
        found = means(added([measure(given) for given in repeated_random(lm, seed)]))
        values: dict[str, Value] = {text: float(found[name].max()) for name, text in HEADS.items()}
        layer, head = divmod(int(found["induction"].argmax()), found["induction"].shape[1])
        return values | {"best induction head": f"{layer}.{head}", "induction score by layer": found["induction"].max(axis=1).tolist()}

    return measured


def predict_view(prompt: Prompt, answer: str, top: int = 5) -> Measure:
    """The probability of an answer's first token after a prompt, at the output and read off each layer (logit lens), and what is likeliest.

    Of each layer the last position goes through the final norm and the output head (nostalgebraist 2020); the last one is the output.
    EngineError for a model that is no decoder, or an answer without a token.
    """

    def measured(lm: LM) -> dict[str, Value]:
        model = lm.decoder
        ids = lm.tokenizer.encode(answer)
        if not ids:
            raise EngineError(f"the answer {answer!r} has no token", hint="give the text that should follow the prompt, such as ' Paris'")
        seen = trace(lm, prompt, taps=["layers.*.resid_post"])
        streams = [seen[f"layers.{layer}.resid_post"][0, -1] for layer in range(len(model.layers))]
        by_layer = [float(model.logits(model.norm(x)).double().softmax(-1)[ids[0]]) for x in streams]
        p = seen.logits[0, -1].double().softmax(-1)
        best = p.topk(min(top, len(p)))
        listed = ", ".join(
            f"{token_text(lm, id)!r} {value:.3f}" for value, id in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        )
        name = f"probability of {token_text(lm, ids[0])!r}"
        return {name: float(p[ids[0]]), "likeliest": listed, f"{name} by layer": by_layer}

    return measured


def loss_view() -> Measure:
    """Nothing but the losses, which every timeline has."""
    return lambda lm: {}


def likeliest(lm: LM, prompt: Prompt) -> str:
    """The text of the likeliest next token."""
    model = lm.decoder
    return model_text(lm, int(trace(lm, prompt).logits[0, -1, : model.config.vocab_size].argmax()))


def model_text(lm: LM, id: int) -> str:
    """A token as a text that encodes to it again. EngineError for bytes that are no text, or a special token."""
    text = lm.tokenizer.decode([id])
    if lm.tokenizer.encode(text)[:1] != [id]:
        raise EngineError(
            f"the likeliest token, {token_text(lm, id)!r}, is no text that can be asked for", hint="give an answer: --answer TEXT"
        )
    return text
