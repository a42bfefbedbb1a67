"""A plain PyTorch character-level GPT, trained the way one would write it for oneself: the yardstick for `isinglass bench train`.

One file, only torch. The defaults are the public CPU recipe for Tiny Shakespeare (0.80M parameters, 1.5M tokens seen);
`--layers 6 --heads 6 --width 384 --context 256 --batch 64` is the 10.65M one.

    python benchmarks/peer_train.py tinyshakespeare.txt
    python benchmarks/peer_train.py tinyshakespeare.txt --steps 300 --threads 1

Prints one JSON object per evaluation, and one with `"final": true` at the end. `tokens_per_second` counts training steps only;
`seconds` is the whole wall time since the first step, evaluations included.
"""

import argparse
import json
import math
import resource
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn


class LayerNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, None, 1e-5)


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x):
        batch, time_, width = x.shape
        q, k, v = (part.view(batch, time_, self.heads, -1).transpose(1, 2) for part in self.qkv(x).split(width, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, time_, width))


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm_1, self.attention = LayerNorm(width), Attention(width, heads)
        self.norm_2 = LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        x = x + self.attention(self.norm_1(x))
        return x + self.down(F.gelu(self.up(self.norm_2(x))))


class GPT(nn.Module):
    def __init__(self, vocab, layers, heads, width, context):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab, width), nn.Embedding(context, width)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.norm = LayerNorm(width)
        self.head = nn.Linear(width, vocab, bias=False)
        self.head.weight = self.tokens.weight
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                residual = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * layers) if residual else 0.02)

    def forward(self, ids, targets):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        for layer in self.layers:
            x = layer(x)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def make_optimizer(model, lr, beta2):
    groups = [
        {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, beta2))


def learning_rate(step, args):
    if step < args.warmup:
        return args.lr * (step + 1) / (args.warmup + 1)
    done = (step - args.warmup) / max(1, args.steps - args.warmup)
    return args.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (args.lr - args.min_lr)


def draw(ids, args):
    starts = torch.randint(len(ids) - args.context, (args.batch,)).tolist()
    inputs = torch.stack([ids[s : s + args.context] for s in starts])
    targets = torch.stack([ids[s + 1 : s + 1 + args.context] for s in starts])
    return inputs, targets


@torch.no_grad()
def mean_loss(model, ids, args):
    return sum(model(*draw(ids, args)).item() for _ in range(args.eval_batches)) / args.eval_batches


def peak_rss_bytes():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def parse():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("text", type=Path)
    sizes = dict(layers=4, heads=4, width=128, context=64, batch=12, steps=2000, warmup=100, seed=1337)
    for name, value in {**sizes, "eval_every": 250, "eval_batches": 20, "threads": 0}.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    for name, value in dict(lr=1e-3, min_lr=1e-4, beta2=0.99, clip=1.0).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=value)
    return parser.parse_args()


def main():
    args = parse()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    text = args.text.read_text(encoding="utf-8")
    number = {character: i for i, character in enumerate(sorted(set(text)))}
    ids = torch.tensor([number[character] for character in text])
    train, val = ids[: int(0.9 * len(ids))], ids[int(0.9 * len(ids)) :]
    model = GPT(len(number), args.layers, args.heads, args.width, args.context)
    optimizer = make_optimizer(model, args.lr, args.beta2)
    began, training = time.perf_counter(), 0.0

    def report(step, **more):
        losses = dict(train_loss=mean_loss(model, train, args), val_loss=mean_loss(model, val, args))
        speed = step * args.batch * args.context / training if training else 0.0
        spent = dict(tokens_per_second=round(speed), seconds=round(time.perf_counter() - began, 2), peak_rss_bytes=peak_rss_bytes())
        print(json.dumps({"step": step, **{k: round(v, 4) for k, v in losses.items()}, **spent, **more}), flush=True)

    for step in range(args.steps):
        if step % args.eval_every == 0:
            report(step)
        step_began = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, args)
        loss = model(*draw(train, args))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), args.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        training += time.perf_counter() - step_began
    report(args.steps, final=True, parameters=sum(p.numel() for p in model.parameters()), torch=torch.__version__)


if __name__ == "__main__":
    main()
