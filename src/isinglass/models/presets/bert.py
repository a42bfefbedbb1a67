"""BERT: an encoder with learned positions, segment embeddings, LayerNorm after each half, GELU, biases everywhere.

What: reads a text from both sides at once; `heads` say what is made of it: masked_lm, next_sentence, classification(n_labels=3), span, ...
Why: the encoder that fine-tuned classifiers, sentence embeddings and rerankers come from.
Cost: 110M (base), 335M (large) or 22.7M parameters (minilm-l6)
Used by: BERT, MiniLM, Sentence-BERT
Paper: Devlin et al. 2018, BERT; Wang et al. 2020, MiniLM
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isinglass.core.errors import CheckpointError, unknown
from isinglass.models.config import EncoderConfig
from isinglass.models.names import NameMap, Rename, simple
from isinglass.models.presets._settings import arguments, config, settings

EXAMPLE = dict(n_layers=2, d_model=32, n_heads=4, vocab_size=256)
MODEL_TYPE = "bert"

SIZES: dict[str, dict[str, Any]] = {
    "base": dict(d_model=768, n_layers=12, n_heads=12),
    "large": dict(d_model=1024, n_layers=24, n_heads=16),
    "minilm-l6": dict(d_model=384, n_layers=6, n_heads=12, heads=["pooling(kind='mean')", "pooler"]),
}
_DEFAULTS: dict[str, Any] = dict(
    vocab_size=30_522,
    context_length=512,
    position="learned",
    mask="full",
    bias="all",
    feedforward="mlp(activation='gelu')",
    norm="layer_norm",
    norm_eps=1e-12,
    norm_placement="post",
    n_segments=2,
    embedding_norm=True,
)
_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu", "silu": "silu"}

# their class -> the names of our heads
_HEADS = {
    "BertModel": ("pooler",),
    "BertForMaskedLM": ("masked_lm",),
    "BertForPreTraining": ("masked_lm", "next_sentence"),
    "BertForNextSentencePrediction": ("next_sentence",),
    "BertForSequenceClassification": ("classification",),
    "BertForQuestionAnswering": ("span",),
}


def build(size: str = "base", **overrides: Any) -> EncoderConfig:
    """A size with any setting of the model or its attention on top; d_ff is 4 d_model unless given."""
    flat = {**_DEFAULTS, **settings("bert", SIZES, size, overrides)}
    return config({"d_ff": 4 * flat["d_model"], **flat}, EncoderConfig)


def from_huggingface(theirs: Mapping[str, Any]) -> EncoderConfig:
    """Our config from the values of their `config.json`."""
    for option, usual in (("is_decoder", False), ("add_cross_attention", False), ("position_embedding_type", "absolute")):
        if theirs.get(option, usual) != usual:
            raise CheckpointError(f"config.json: {option} = {theirs[option]!r} is not supported for BERT, expected {usual!r}")
    kind = (theirs.get("architectures") or ["BertModel"])[0]
    if kind not in _HEADS:
        raise CheckpointError(f"config.json: a {kind!r} is not known here", details=[f"known: {', '.join(sorted(_HEADS))}"])
    act = theirs.get("hidden_act", "gelu")
    if act not in _ACTIVATIONS:
        raise unknown("hidden_act", act, _ACTIVATIONS, where="config.json", error=CheckpointError)
    function = _ACTIVATIONS[act]
    pooling = [f"pooling(kind={theirs['sentence_pooling']!r})"] if theirs.get("sentence_pooling") else []
    # transformers writes id2label when there are not two
    labels = len(theirs.get("id2label") or {}) or theirs.get("num_labels", 2)
    spelled = {"masked_lm": f"masked_lm(activation={function!r})", "classification": f"classification(n_labels={labels})"}
    return build(
        vocab_size=theirs.get("vocab_size", 30_522),
        context_length=theirs.get("max_position_embeddings", 512),
        d_model=theirs.get("hidden_size", 768),
        n_layers=theirs.get("num_hidden_layers", 12),
        n_heads=theirs.get("num_attention_heads", 12),
        d_ff=theirs.get("intermediate_size", 3072),
        norm_eps=theirs.get("layer_norm_eps", 1e-12),
        n_segments=theirs.get("type_vocab_size", 2),
        feedforward=f"mlp(activation='{function}')",
        heads=[
            *pooling,
            *(spelled.get(head, head) for head in _HEADS[kind] if head != "pooler" or theirs.get("add_pooling_layer") is not False),
        ],
    )


def _kind(ours: EncoderConfig) -> str | None:
    """Their class for our heads, whose mean over tokens has no weights; None when they have none."""
    heads = {arguments(head)[0] for head in ours.heads} - {"pooling"} or {"pooler"}
    return next((kind for kind, theirs in _HEADS.items() if set(theirs) == heads), None)


def to_huggingface(ours: EncoderConfig) -> dict[str, Any]:
    """The values of their `config.json`.

    Two keys are ours, and ignored by transformers: `sentence_pooling`, which it leaves to who uses the vectors, and `add_pooling_layer`, an
    argument of its BertModel.
    """
    heads, kind = dict(map(arguments, ours.heads)), _kind(ours)
    labels = heads.get("classification", {}).get("n_labels", 2)
    activation = arguments(ours.feedforward)[1].get("activation", "gelu")
    return dict(
        model_type=MODEL_TYPE,
        architectures=None if kind is None else [kind],
        vocab_size=ours.vocab_size,
        max_position_embeddings=ours.context_length,
        hidden_size=ours.d_model,
        num_hidden_layers=ours.n_layers,
        num_attention_heads=ours.attention.n_heads,
        intermediate_size=ours.d_ff,
        layer_norm_eps=ours.norm_eps,
        type_vocab_size=ours.n_segments,
        hidden_act={"gelu_tanh": "gelu_new"}.get(activation, activation),
        hidden_dropout_prob=ours.dropout,
        attention_probs_dropout_prob=0.0,
        id2label=None if labels == 2 else {str(n): f"LABEL_{n}" for n in range(labels)},
        label2id=None if labels == 2 else {f"LABEL_{n}": n for n in range(labels)},
        add_pooling_layer=False if kind == "BertModel" and "pooler" not in heads else None,
        sentence_pooling=heads["pooling"].get("kind", "mean") if "pooling" in heads else None,
    )


def _both(theirs: str, ours: str) -> dict[str, str]:
    """The weight and the bias of one layer."""
    return {f"{theirs}.{kind}": f"{ours}.{kind}" for kind in ("weight", "bias")}


def HUGGINGFACE(ours: EncoderConfig) -> NameMap:  # noqa: N802 - where the other presets have a table, this one depends on the heads
    """Weight names: those of the encoder, and of the heads this model has."""
    inner, layer = ("body." if ours.heads else ""), "bert.encoder.layer.{}."
    block = {
        **_both("attention.self.query", "attention.q_proj"),
        **_both("attention.self.key", "attention.k_proj"),
        **_both("attention.self.value", "attention.v_proj"),
        **_both("attention.output.dense", "attention.o_proj"),
        **_both("attention.output.LayerNorm", "attention_norm"),
        **_both("intermediate.dense", "mlp.up_proj"),
        **_both("output.dense", "mlp.down_proj"),
        **_both("output.LayerNorm", "mlp_norm"),
    }
    embeddings = {
        "bert.embeddings.word_embeddings.weight": "embed_tokens.weight",
        "bert.embeddings.position_embeddings.weight": "positions.0.weight",
        "bert.embeddings.token_type_embeddings.weight": "embed_segments.weight",
        **_both("bert.embeddings.LayerNorm", "embed_norm"),
    }
    return NameMap(
        renames=(
            *simple({theirs: inner + own for theirs, own in embeddings.items()}),
            *simple({layer + theirs: f"{inner}layers.{{}}.{own}" for theirs, own in block.items()}),
            *_head_names(ours),
        ),
        prefix="bert.",
        bare=_kind(ours) == "BertModel",
        # position_ids are 0, 1, 2, ...; the decoder's copies are tied to the embedding and to cls.predictions.bias
        ignored=(r"bert\.embeddings\.position_ids", r"cls\.predictions\.decoder\.(weight|bias)"),
    )


def _head_names(ours: EncoderConfig) -> tuple[Rename, ...]:
    heads = {arguments(head)[0] for head in ours.heads}
    pooled = next((f"heads.{head}.pooler.dense" for head in ("pooler", "next_sentence", "classification") if head in heads), "")
    return simple(
        {
            "cls.predictions.bias": "heads.masked_lm.bias",
            **_both("cls.predictions.transform.dense", "heads.masked_lm.dense"),
            **_both("cls.predictions.transform.LayerNorm", "heads.masked_lm.norm"),
            **(_both("bert.pooler.dense", pooled) if pooled else {}),
            **_both("cls.seq_relationship", "heads.next_sentence.out_proj"),
            **_both("classifier", "heads.classification.out_proj"),
            **_both("qa_outputs", "heads.span.out_proj"),
        }
    )
