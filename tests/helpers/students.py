"""Classes as students write them, right and with each known mistake: (what stands in the right class, what stands there instead)."""

from __future__ import annotations

HEAD = "import math\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n"

ATTENTION = (
    HEAD
    + """
class MyAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        super().__init__()
        self.n_heads, self.d_head = num_heads, d_out // num_heads
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("later", torch.triu(torch.ones(context_length, context_length), diagonal=1).bool())

    def split(self, x):
        b, t, d = x.shape
        return x.view(b, t, self.n_heads, self.d_head).transpose(1, 2)

    def forward(self, x):
        b, t, d = x.shape
        later = self.later[:t, :t]
        q, k, v = self.split(self.W_query(x)), self.split(self.W_key(x)), self.split(self.W_value(x))
        scores = q @ k.transpose(-2, -1) / self.d_head**0.5
        scores = scores.masked_fill(later, float("-inf"))
        weights = torch.softmax(scores, dim=-1)
        weights = self.dropout(weights)
        z = weights @ v
        z = z.transpose(1, 2).reshape(b, t, d)
        return self.out_proj(z)
"""
)
_MASKED = '        scores = scores.masked_fill(later, float("-inf"))\n'
_SOFTMAX = "torch.softmax(scores, dim=-1)"
_PROJECTED = "self.split(self.W_query(x)), self.split(self.W_key(x)), self.split(self.W_value(x))"
_Q, _K, _V = _PROJECTED.split(", ")
_VIEWED = ("x.view(b, t, self.n_heads, self.d_head).transpose(1, 2)", "x.view(b, self.n_heads, t, self.d_head)")
_MERGED = ("z.transpose(1, 2).reshape(b, t, d)", "z.reshape(b, t, d)")
ATTENTION_MISTAKES = {
    "no_scale": ((" / self.d_head**0.5", ""),),
    "scale_d_model": (("self.d_head**0.5", "d**0.5"),),
    "scale_d_head": (("self.d_head**0.5", "self.d_head"),),
    "scale_multiplied": (("/ self.d_head**0.5", "* self.d_head**0.5"),),
    "scale_n_heads": (("self.d_head**0.5", "self.n_heads**0.5"),),
    "scale_after_softmax": ((" / self.d_head**0.5", ""), (_SOFTMAX, _SOFTMAX + " / self.d_head**0.5")),
    "softmax_over_queries": (("dim=-1", "dim=-2"),),
    "softmax_over_heads": (("dim=-1", "dim=1"),),
    "softmax_over_batch": (("dim=-1", "dim=0"),),
    "no_softmax": ((_SOFTMAX, "scores"),),
    "mask_with_zero": (('float("-inf")', "0.0"),),
    "mask_after_softmax": ((_MASKED, ""), (_SOFTMAX, _SOFTMAX + ".masked_fill(later, 0.0)")),
    "mask_added": ((_MASKED, "        scores = scores + (~later).float()\n"),),
    "no_mask": ((_MASKED, ""),),
    "mask_turned_round": (("later = self.later[:t, :t]", "later = self.later[:t, :t].T"),),
    "mask_hides_self": (("diagonal=1", "diagonal=0"),),
    "mask_one_ahead": (("diagonal=1", "diagonal=2"),),
    "one_head": (("= num_heads, d_out // num_heads", "= 1, d_out"),),
    "heads_by_view": (_VIEWED,),
    "merge_by_view": (_MERGED,),
    "both_by_view": (_VIEWED, _MERGED),
    "queries_and_keys_exchanged": ((_PROJECTED, f"{_K}, {_Q}, {_V}"),),
    "keys_from_queries": ((_PROJECTED, f"{_Q}, {_Q}, {_V}"),),
    "values_from_keys": ((_PROJECTED, f"{_Q}, {_K}, {_K}"),),
    "values_from_queries": ((_PROJECTED, f"{_Q}, {_K}, {_Q}"),),
    "keys_and_values_exchanged": ((_PROJECTED, f"{_Q}, {_V}, {_K}"),),
    "values_not_projected": ((_PROJECTED, f"{_Q}, {_K}, self.split(x)"),),
    "weights_transposed": (("z = weights @ v", "z = weights.transpose(-2, -1) @ v"),),
    "projection_not_applied": (("return self.out_proj(z)", "return z"),),
    "projection_without_bias": (("return self.out_proj(z)", "return F.linear(z, self.out_proj.weight)"),),
    "residual_inside": (("return self.out_proj(z)", "return x + self.out_proj(z)"),),
}  # fmt: skip

LAYER_NORM = (
    HEAD
    + """
class LayerNorm(nn.Module):
    def __init__(self, emb_dim):
        super().__init__()
        self.eps = 1e-5
        self.scale = nn.Parameter(torch.ones(emb_dim))
        self.shift = nn.Parameter(torch.zeros(emb_dim))

    def forward(self, x):
        mean = x.mean(dim=-1, keepdim=True)
        var = x.var(dim=-1, keepdim=True, unbiased=False)
        normalised = (x - mean) / torch.sqrt(var + self.eps)
        return self.scale * normalised + self.shift
"""
)
_ROOT = "torch.sqrt(var + self.eps)"
LAYER_NORM_MISTAKES = {
    "unbiased_variance": ((", unbiased=False", ""),),
    "no_eps": ((" + self.eps", ""),),
    "eps_outside": ((_ROOT, "(torch.sqrt(var) + self.eps)"),),
    "eps_1e-6": (("1e-5", "1e-6"),),
    "eps_1e-8": (("1e-5", "1e-8"),),
    "eps_1e-12": (("1e-5", "1e-12"),),
    "eps_1e-3": (("1e-5", "1e-3"),),
    "divided_by_variance": ((_ROOT, "(var + self.eps)"),),
    "not_divided": ((f" / {_ROOT}", ""),),
    "mean_kept": (("(x - mean)", "x"),),
    "rms_norm": (("(x - mean)", "x"), ("var = x.var(dim=-1, keepdim=True, unbiased=False)", "var = x.square().mean(dim=-1, keepdim=True)")),
    "over_time": (("dim=-1", "dim=1"), ("dim=-1", "dim=1")),
    "over_batch": (("dim=-1", "dim=0"), ("dim=-1", "dim=0")),
    "over_batch_and_time": (("dim=-1", "dim=(0, 1)"), ("dim=-1", "dim=(0, 1)")),
    "over_time_and_features": (("dim=-1", "dim=(1, 2)"), ("dim=-1", "dim=(1, 2)")),
    "over_everything": (("dim=-1", "dim=(0, 1, 2)"), ("dim=-1", "dim=(0, 1, 2)")),
    "weight_not_used": (("self.scale * ", ""),),
    "weight_added": (("self.scale * ", "self.scale + "),),
    "bias_not_used": ((" + self.shift", ""),),
}

GELU = (
    HEAD
    + """
class GELU(nn.Module):
    def forward(self, x):
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
"""
)
_FORMULA = "0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))"
GELU_MISTAKES = {
    "exact": ((_FORMULA, "F.gelu(x)"),),
    "quick": ((_FORMULA, "x * torch.sigmoid(1.702 * x)"),),
    "relu": ((_FORMULA, "F.relu(x)"),),
    "silu": ((_FORMULA, "F.silu(x)"),),
    "sigmoid": ((_FORMULA, "torch.sigmoid(x)"),),
    "tanh": ((_FORMULA, "torch.tanh(x)"),),
    "erf_without_root": ((_FORMULA, "0.5 * x * (1 + torch.erf(x))"),),
    "erf_without_half": ((_FORMULA, "x * (1 + torch.erf(x / math.sqrt(2)))"),),
    "phi_alone": ((_FORMULA, "0.5 * (1 + torch.erf(x / math.sqrt(2)))"),),
    "tanh_without_half": (("0.5 * x", "x"),),
    "tanh_without_x": (("0.5 * x *", "0.5 *"),),
    "tanh_without_root": (("math.sqrt(2 / math.pi) * ", ""),),
    "tanh_root_of_two": (("math.sqrt(2 / math.pi)", "math.sqrt(2) / math.pi"),),
    "tanh_two_over_pi": (("math.sqrt(2 / math.pi)", "(2 / math.pi)"),),
    "tanh_root_of_pi": (("math.sqrt(2 / math.pi)", "math.sqrt(math.pi / 2)"),),
    "tanh_without_cube": ((" + 0.044715 * x**3", ""),),
    "tanh_square": (("x**3", "x**2"),),
    "tanh_misplaced_point": (("0.044715", "0.44715"),),
    "tanh_one_minus": (("1 + torch.tanh", "1 - torch.tanh"),),
}

BLOCK = (
    ATTENTION
    + GELU.removeprefix(HEAD)
    + LAYER_NORM.removeprefix(HEAD)
    + """
class FeedForward(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(cfg["emb_dim"], 4 * cfg["emb_dim"]), GELU(), nn.Linear(4 * cfg["emb_dim"], cfg["emb_dim"]))

    def forward(self, x):
        return self.layers(x)


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.att = MyAttention(
            d_in=cfg["emb_dim"], d_out=cfg["emb_dim"], context_length=cfg["context_length"],
            num_heads=cfg["n_heads"], dropout=cfg["drop_rate"], qkv_bias=cfg["qkv_bias"],
        )
        self.ff = FeedForward(cfg)
        self.norm1, self.norm2 = LayerNorm(cfg["emb_dim"]), LayerNorm(cfg["emb_dim"])
        self.drop_shortcut = nn.Dropout(cfg["drop_rate"])

    def forward(self, x):
        x = x + self.drop_shortcut(self.att(self.norm1(x)))
        x = x + self.drop_shortcut(self.ff(self.norm2(x)))
        return x
"""
)
_A, _M = "x = x + self.drop_shortcut(self.att(self.norm1(x)))", "x = x + self.drop_shortcut(self.ff(self.norm2(x)))"
BLOCK_MISTAKES = {
    "post_norm": ((_A, "x = self.norm1(x + self.att(x))"), (_M, "x = self.norm2(x + self.ff(x))")),
    "no_residuals": ((_A, "x = self.att(self.norm1(x))"), (_M, "x = self.ff(self.norm2(x))")),
    "no_attention_residual": ((_A, "x = self.att(self.norm1(x))"),),
    "no_mlp_residual": ((_M, "x = self.ff(self.norm2(x))"),),
    "residual_of_the_norm": ((_A, "x = self.norm1(x); x = x + self.att(x)"), (_M, "x = self.norm2(x); x = x + self.ff(x)")),
    "no_norms": ((_A, "x = x + self.att(x)"), (_M, "x = x + self.ff(x)")),
    "no_attention_norm": ((_A, "x = x + self.att(x)"),),
    "no_mlp_norm": ((_M, "x = x + self.ff(x)"),),
    "first_norm_twice": ((_M, "x = x + self.ff(self.norm1(x))"),),
    "second_norm_twice": ((_A, "x = x + self.att(self.norm2(x))"),),
    "norms_exchanged": ((_A, "x = x + self.att(self.norm2(x))"), (_M, "x = x + self.ff(self.norm1(x))")),
    "norm_inside": ((_A, "x = x + self.norm1(self.att(x))"), (_M, "x = x + self.norm2(self.ff(x))")),
    "mlp_reads_input": ((_A, "a = self.att(self.norm1(x))"), (_M, "x = x + a + self.ff(self.norm2(x))")),
    "mlp_first": ((_A, _M + "\n        " + _A), (_M + "\n        return", "return")),
    # of its parts
    "exact": ((_FORMULA, "F.gelu(x)"),),
    "relu": ((_FORMULA, "F.relu(x)"),),
    "no_activation": ((_FORMULA, "x"),),
    "no_scale": ATTENTION_MISTAKES["no_scale"],
    "softmax_over_queries": ATTENTION_MISTAKES["softmax_over_queries"],
    "mask_with_zero": ATTENTION_MISTAKES["mask_with_zero"],
    "unbiased_variance": LAYER_NORM_MISTAKES["unbiased_variance"],
}  # fmt: skip

GPT = (
    BLOCK
    + """
class GPTModel(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.tok_emb = nn.Embedding(cfg["vocab_size"], cfg["emb_dim"])
        self.pos_emb = nn.Embedding(cfg["context_length"], cfg["emb_dim"])
        self.drop_emb = nn.Dropout(cfg["drop_rate"])
        self.trf_blocks = nn.Sequential(*[TransformerBlock(cfg) for _ in range(cfg["n_layers"])])
        self.final_norm = LayerNorm(cfg["emb_dim"])
        self.out_head = nn.Linear(cfg["emb_dim"], cfg["vocab_size"], bias=False)

    def forward(self, ids):
        b, t = ids.shape
        tokens = self.tok_emb(ids)
        positions = self.pos_emb(torch.arange(t))
        x = self.drop_emb(tokens + positions)
        x = self.trf_blocks(x)
        x = self.final_norm(x)
        logits = self.out_head(x)
        return logits
"""
)
GPT_MISTAKES = {
    "no_positions": (("tokens + positions", "tokens"),),
    "positions_from_one": (("torch.arange(t)", "torch.arange(1, t + 1).clamp(max=11)"),),
    "one_position": (("torch.arange(t)", "torch.zeros(t, dtype=torch.long)"),),
    "last_position": (("torch.arange(t)", "torch.full((t,), t - 1)"),),
    "positions_reversed": (("torch.arange(t)", "torch.arange(t).flip(0)"),),
    "tokens_scaled": (("= self.tok_emb(ids)", "= self.tok_emb(ids) * 32**0.5"),),
    "no_final_norm": (("x = self.final_norm(x)", "pass"),),
    "first_layer_alone": (("x = self.trf_blocks(x)", "x = self.trf_blocks[0](x)"),),
    "first_layer_each_time": (("x = self.trf_blocks(x)", "x = self.trf_blocks[0](self.trf_blocks[0](x))"),),
    "no_layers": (("x = self.trf_blocks(x)", "pass"),),
    "softmax_in_the_model": (("return logits", "return logits.softmax(-1)"),),
    "log_softmax_in_the_model": (("return logits", "return logits.log_softmax(-1)"),),
    # of its parts
    "no_scale": ATTENTION_MISTAKES["no_scale"],
    "no_mask": ATTENTION_MISTAKES["no_mask"],
    "exact": BLOCK_MISTAKES["exact"],
    "no_mlp_residual": BLOCK_MISTAKES["no_mlp_residual"],
    "unbiased_variance": LAYER_NORM_MISTAKES["unbiased_variance"],
}


def with_changes(source: str, changes: tuple[tuple[str, str], ...]) -> str:
    """The class with a mistake in it; each change must find its place."""
    for old, new in changes:
        if old not in source:
            raise ValueError(f"{old!r} does not stand in the source")
        source = source.replace(old, new, 1)
    return source
