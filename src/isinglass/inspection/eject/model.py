"""Whole models as text: the classes on top, which hold the stacks together."""

from __future__ import annotations

from dataclasses import dataclass

from isinglass.core.errors import EngineError
from isinglass.inspection.eject.heads import head
from isinglass.inspection.eject.parts import Pieces, norm
from isinglass.inspection.eject.source import Edits, piece
from isinglass.inspection.eject.stack import Acts, Stack, block, embedded, made, masks, run, stack_of
from isinglass.models.encoder import Encoder
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.models.headed import HeadedModel
from isinglass.models.transformer import Decoder, Model

_TOO_LONG = [
    "if ids.shape[1] > CONTEXT_LENGTH:",
    '    raise ValueError(f"{ids.shape[1]} tokens do not fit the context of {CONTEXT_LENGTH}")',
]
_HEAD = "F.linear({}, self.embed_tokens.weight)  # tied: the embedding, used the other way round"


@dataclass(frozen=True)
class Written:
    """A model as text: the name of its class, the pieces in order, and how it is called in an example."""

    name: str
    pieces: Pieces


def written(model: Model) -> Written:
    """The classes of a model. EngineError for one that has no such form."""
    if isinstance(model, Decoder):
        return Written("Decoder", _decoder(model, headed=False))
    if isinstance(model, Encoder):
        return Written("Encoder", _encoder(model))
    if isinstance(model, EncoderDecoder):
        return Written("EncoderDecoder", _encoder_decoder(model))
    if isinstance(model, HeadedModel) and isinstance(model.body, Decoder | Encoder):
        return Written("HeadedModel", _headed(model))
    raise EngineError(
        f"cannot eject a {model.config.architecture} model", details=["known: decoder, encoder, encoder_decoder, and those with heads"]
    )


def _class(name: str, doc: str, init: list[str], methods: dict[str, list[str]]) -> str:
    lines = [f"class {name}(nn.Module):", f'    """{doc}"""', "", "    def __init__(self) -> None:", "        super().__init__()"]
    lines += [f"        {line}" for line in init]
    for header, body in methods.items():
        signature, _, comment = header.partition("  # ")
        lines += ["", f"    def {signature}:" + (f"  # {comment}" if comment else ""), *(f"        {line}" for line in body)]
    return "\n".join(lines)


def _places(stack: Stack, acts: Acts) -> list[str]:
    """The line that counts the tokens, where something asks for it."""
    asked = acts.masked or embedded(stack, "x") != "x"
    return ["i = torch.arange(ids.shape[1], device=ids.device)"] if asked else []


def _dropped(x: str, dropout: float) -> str:
    return f"self.dropout({x})" if dropout else x


def _decoder(model: Decoder, *, headed: bool) -> Pieces:
    config = model.config
    stack = stack_of(model.layers, model.positions, config.attention.mask)
    acts = Acts.of(stack.attentions, config.context_length)
    names, mask_pieces = masks(stack.masks) if acts.masked else ({}, {})
    created, pieces = made(stack, acts, "N_LAYERS")
    made_norm, norm_pieces = norm(model.norm)
    init = [
        "self.embed_tokens = nn.Embedding(VOCAB_SIZE, D_MODEL)",
        *["self.dropout = nn.Dropout(DROPOUT)"] * bool(config.dropout),
        *created,
        f"self.norm = {made_norm}",
        *["self.lm_head = nn.Linear(D_MODEL, VOCAB_SIZE, bias=False)"] * (model.lm_head is not None),
    ]
    x = _dropped(embedded(stack, "self.embed_tokens(ids)"), config.dropout)
    hidden = [*_TOO_LONG, *_places(stack, acts), f"x = {x}", *run(stack, acts, names), "return self.norm(x)"]
    if headed:
        methods = {"forward(self, ids: Tensor) -> Tensor  # (batch, time) -> (batch, time, d_model)": hidden}
        doc = "Token ids in, one vector for each token out."
    else:
        answer = "self.lm_head(self.norm(x))" if model.lm_head is not None else _HEAD.format("self.norm(x)")
        methods = {"forward(self, ids: Tensor) -> Tensor  # (batch, time) -> (batch, time, vocab)": [*hidden[:-1], f"return {answer}"]}
        doc = "Token ids in, logits over the vocabulary out."
    parts = pieces | mask_pieces | block(stack.layers[0], acts, config.dropout) | norm_pieces
    return {**parts, "Decoder": _class("Decoder", doc, init, methods)}


def _encoder(model: Encoder) -> Pieces:
    config = model.config
    stack = stack_of(model.layers, model.positions, config.attention.mask)
    acts = Acts.of(stack.attentions, config.context_length)
    names, mask_pieces = masks(stack.masks) if acts.masked else ({}, {})
    created, pieces = made(stack, acts, "N_LAYERS")
    made_norm, norm_pieces = norm(stack.layers[0].attention_norm)
    segmented = model.embed_segments is not None
    init = [
        "self.embed_tokens = nn.Embedding(VOCAB_SIZE, D_MODEL)",
        *["self.embed_segments = SegmentEmbedding()"] * segmented,
        *created[:-1],
        *[f"self.embed_norm = {made_norm}"] * (model.embed_norm is not None),
        *["self.dropout = nn.Dropout(DROPOUT)"] * bool(config.dropout),
        created[-1],
        *[f"self.norm = {made_norm}"] * (model.norm is not None),
    ]
    scaled = "" if config.embedding_scale == 1 else " * " + _scale(config.embedding_scale, config.d_model, 0.5)
    x = embedded(stack, f"self.embed_tokens(ids){scaled}") + " + self.embed_segments(segments)" * segmented
    x = _dropped(f"self.embed_norm({x})" if model.embed_norm is not None else x, config.dropout)
    body = [
        *_TOO_LONG, *_places(stack, acts), f"x = {x}", *run(stack, acts, names), "return x" if model.norm is None else "return self.norm(x)"
    ]  # fmt: skip
    segments = ", segments: Tensor | None = None" * segmented
    methods = {f"forward(self, ids: Tensor{segments}) -> Tensor  # (batch, time) -> (batch, time, d_model)": body}
    if segmented:
        edits = Edits(
            {"n_segments": str(config.n_segments), "d_model": "D_MODEL", "torch.compiler.is_compiling()": "True"}, frozenset({"_check"})
        )
        pieces["SegmentEmbedding"] = piece("isinglass.nn.embedding", "SegmentEmbedding", edits)
    parts = pieces | mask_pieces | block(stack.layers[0], acts, config.dropout) | norm_pieces
    return {**parts, "Encoder": _class("Encoder", "Token ids in, one vector for each token out.", init, methods)}


def _scale(value: float, d_model: int, power: float) -> str:
    return f"D_MODEL**{power}" if value == d_model**power else repr(value)


def _headed(model: HeadedModel) -> Pieces:
    body = model.body
    pieces = _decoder(body, headed=True) if isinstance(body, Decoder) else _encoder(body)  # type: ignore[arg-type]
    created = {}
    for name, each in model.heads.items():
        created[name], needed = head(each, model.config.dropout)  # type: ignore[arg-type]
        pieces |= needed
    segmented = isinstance(body, Encoder) and body.embed_segments is not None
    parameter, argument = (", segments: Tensor | None = None", ", segments") if segmented else ("", "")
    heads = ", ".join(f'"{name}": {making}' for name, making in created.items())
    init = [f"self.body = {type(body).__name__}()", f"self.heads = nn.ModuleDict({{{heads}}})"]
    forward = [
        f"hidden = self.body(ids{argument})",
        "return {name: head(hidden, self.body.embed_tokens.weight) for name, head in self.heads.items()}",
    ]
    methods = {f"forward(self, ids: Tensor{parameter}) -> dict[str, Tensor]": forward}
    return {**pieces, "HeadedModel": _class("HeadedModel", "A body and its heads: the answer of each head by its name.", init, methods)}


def _encoder_decoder(model: EncoderDecoder) -> Pieces:
    config = model.config
    reading = stack_of(model.encoder.layers, model.encoder.positions, config.attention.mask)
    writing = stack_of(model.decoder.layers, model.decoder.positions, config.decoder_attention.mask)
    acts = Acts.of([*reading.attentions, *writing.attentions], config.context_length)
    names, pieces = masks({**reading.masks, **writing.masks}) if acts.masked else ({}, {})
    made_norm, norm_pieces = norm(model.encoder.norm)
    stacks: Pieces = {}
    for name, stack, count in (("Encoder", reading, "N_LAYERS"), ("Decoder", writing, "N_DECODER_LAYERS")):
        created, needed = made(stack, acts, count)
        pieces |= needed
        init = [*created, f"self.norm = {made_norm}", *["self.dropout = nn.Dropout(DROPOUT)"] * bool(config.dropout)]
        read = ", source" * (name == "Decoder")
        start = embedded(stack, "x")
        body = [
            *["i = torch.arange(x.shape[1], device=x.device)"] * bool(_places(stack, acts)),
            *[f"x = {_dropped(start, config.dropout)}"] * (start != "x" or bool(config.dropout)),
            *run(stack, acts, names, source=read),
            f"return {_dropped('self.norm(x)', config.dropout)}",
        ]
        doc = "Reads a text: vectors in, vectors out." if name == "Encoder" else "Writes a text, while looking at what was read."
        added = ", source: Tensor" * (name == "Decoder")
        pieces |= block(stack.layers[0], acts, config.dropout)
        stacks[f"{name}Stack"] = _class(
            f"{name}Stack", doc, init, {f"forward(self, x: Tensor{added}) -> Tensor  # (batch, time, d_model)": body}
        )
    return {**pieces, **norm_pieces, **stacks, "EncoderDecoder": _two_stacks(model)}


def _two_stacks(model: EncoderDecoder) -> str:
    config, untied = model.config, model.lm_head is not None
    scaled = "" if config.head_scale == 1 else " * " + _scale(config.head_scale, config.d_model, -0.5)
    init = [
        "self.embed_tokens = nn.Embedding(VOCAB_SIZE, D_MODEL)",
        "self.encoder, self.decoder = EncoderStack(), DecoderStack()",
        *["self.lm_head = nn.Linear(D_MODEL, VOCAB_SIZE, bias=False)"] * untied,
    ]
    hidden = f"self.decoder(self.embed_tokens(decoder_ids), source){scaled}"
    body = [
        "if max(ids.shape[1], decoder_ids.shape[1]) > CONTEXT_LENGTH:",
        '    raise ValueError(f"texts of {ids.shape[1]} and {decoder_ids.shape[1]} tokens: the context is {CONTEXT_LENGTH}")',
        "source = self.encoder(self.embed_tokens(ids))",
        f"x = {hidden}",
        f"return {'self.lm_head(x)' if untied else _HEAD.format('x')}",
    ]
    header = "forward(self, ids: Tensor, decoder_ids: Tensor) -> Tensor  # (batch, source), (batch, time) -> (batch, time, vocab)"
    return _class("EncoderDecoder", "A text and what has been written so far in, logits for what comes next out.", init, {header: body})
