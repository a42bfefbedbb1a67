"""The layers that the class notes sketch, in our words and with their names of weights, and how ours take over those weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from isinglass.models.encoder import Encoder
from isinglass.nn.attention import kernels, masks, positions
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.layer import Attention, Parts
from isinglass.nn.block import Block, PostNormBlock
from isinglass.nn.feedforward import family as feedforwards
from isinglass.nn.feedforward_layer import FeedForwardDims
from isinglass.nn.norms import build_norm

_EPS = 1e-5  # of torch's LayerNorm


class NotesAttention(nn.Module):
    """`SimpleAttention` (one head, no biases, no output) and `MultiHeadAttention` of the notes, with hidden scores of -1e9 as there."""

    def __init__(self, d_model: int, n_heads: int = 1, *, simple: bool = False) -> None:
        super().__init__()
        self.n_heads, self.d_k = n_heads, d_model // n_heads
        self.W_q, self.W_k, self.W_v = (nn.Linear(d_model, d_model, bias=not simple) for _ in range(3))
        self.W_o = nn.Identity() if simple else nn.Linear(d_model, d_model)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The answer and the weights. Keys and values are cut with the length of the query, as the notes do it."""
        batch, time, width = query.shape
        q, k, v = (
            layer(x).view(batch, time, self.n_heads, self.d_k).transpose(1, 2)
            for layer, x in ((self.W_q, query), (self.W_k, key), (self.W_v, value))
        )
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.d_k)
        if mask is not None:
            scores.masked_fill_(mask == 0, -1e9)
        weights = scores.softmax(dim=-1)
        return self.W_o((weights @ v).transpose(1, 2).reshape(batch, time, width)), weights


class NotesBlock(nn.Module):
    """`TransformerBlock` of the notes without its dropout: post-norm, ReLU."""

    def __init__(self, d_model: int, n_heads: int, d_ff: int) -> None:
        super().__init__()
        self.attention = NotesAttention(d_model, n_heads)
        self.linear1, self.linear2 = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.norm1(x + self.attention(x, x, x, mask)[0])
        return self.norm2(x + self.linear2(self.linear1(x).relu()))


class NotesClassifier(nn.Module):
    """`SimpleTransformerClassifier` of the notes (exercise 1) without its dropout."""

    def __init__(self, vocab_size: int, d_model: int, n_heads: int, n_layers: int, n_labels: int) -> None:
        super().__init__()
        self.d_model = d_model
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.blocks = nn.ModuleList(NotesBlock(d_model, n_heads, 4 * d_model) for _ in range(n_layers))
        self.classifier = nn.Linear(d_model, n_labels)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.embedding(ids) * math.sqrt(self.d_model)
        x = x + encoding(ids.shape[1], self.d_model)
        for block in self.blocks:
            x = block(x, mask)
        return self.classifier(x.mean(dim=1))


def encoding(n_positions: int, d_model: int) -> Tensor:
    """The table of the notes' `PositionalEncoding`."""
    table = torch.zeros(n_positions, d_model)
    position = torch.arange(n_positions, dtype=torch.float)[:, None]
    slowness = torch.exp(torch.arange(0, d_model, 2).float() * (-math.log(10_000.0) / d_model))
    table[:, 0::2], table[:, 1::2] = torch.sin(position * slowness), torch.cos(position * slowness)
    return table


def attention(d_model: int, n_heads: int, *, mask: str = "full", bias: str = "all", position: str = "none") -> Attention:
    """A layer of ours with fresh weights; `bias` "none" for the simple one."""
    dims = Dims(d_model=d_model, n_heads=n_heads, n_kv_heads=n_heads, d_head=d_model // n_heads, context_length=512)
    families = ((positions.family, position), (masks.family, mask), (kernels.family, "sdpa"))
    return Attention(dims, Parts(*(family.resolve(name, dims) for family, name in families)), bias)


@torch.no_grad()
def take_attention(ours: Attention, theirs: NotesAttention) -> Attention:
    """Our layer with the notes' weights; where they have no output projection ours becomes the identity."""
    for name, given in (("q_proj", theirs.W_q), ("k_proj", theirs.W_k), ("v_proj", theirs.W_v), ("o_proj", theirs.W_o)):
        layer = getattr(ours, name)
        if isinstance(given, nn.Identity):
            layer.weight.copy_(torch.eye(layer.weight.shape[0]))
        else:
            layer.load_state_dict(given.state_dict())
    return ours


def block(d_model: int, n_heads: int, d_ff: int, *, kind: type[Block | PostNormBlock] = PostNormBlock) -> Block | PostNormBlock:
    """A block of ours: the parts of the notes, the norm after each sum or before each half."""
    forward = feedforwards.resolve("mlp(activation='relu')", FeedForwardDims(d_model, d_ff))
    first, second = (build_norm("layer_norm", d_model, _EPS) for _ in range(2))
    return kind(first, attention(d_model, n_heads), second, forward, 0.0).eval()


@torch.no_grad()
def take_block(ours: Block | PostNormBlock, theirs: NotesBlock) -> Block | PostNormBlock:
    """Our block with the notes' weights."""
    take_attention(ours.attention, theirs.attention)
    pairs = (
        (ours.mlp.up_proj, theirs.linear1), (ours.mlp.down_proj, theirs.linear2),
        (ours.attention_norm, theirs.norm1), (ours.mlp_norm, theirs.norm2),
    )  # fmt: skip
    for mine, given in pairs:
        mine.load_state_dict(given.state_dict())  # type: ignore[union-attr]
    return ours


@torch.no_grad()
def take_classifier(body: Encoder, out: nn.Linear, theirs: NotesClassifier) -> None:
    """Our encoder and the linear layer of its head with the notes' weights."""
    body.embed_tokens.load_state_dict(theirs.embedding.state_dict())
    for mine, given in zip(body.layers, theirs.blocks, strict=True):
        take_block(mine, given)  # type: ignore[arg-type]
    out.load_state_dict(theirs.classifier.state_dict())
