"""Two recurrent networks that read one row of letters and write another: through one vector (Sutskever et al. 2014), or with attention."""

from __future__ import annotations

import random
import string

import torch
from torch import Tensor, nn
from torch.nn import functional as F

START, N_IDS = 0, 1 + len(string.ascii_lowercase)


class Pairs(nn.Module):
    """An LSTM reads, another writes. With `attention` each step of the writer also mixes the reader's states (Luong et al. 2015, dot)."""

    def __init__(self, *, attention: bool, width: int = 32, hidden: int = 64) -> None:
        super().__init__()
        self.attention = attention
        self.embed = nn.Embedding(N_IDS, width)
        self.reader, self.writer = (nn.LSTM(width, hidden, batch_first=True) for _ in range(2))
        self.out = nn.Linear(2 * hidden if attention else hidden, N_IDS)

    def forward(self, source: Tensor, written: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits of each letter after those `written` so far, and the attention weights [batch, writing, reading]."""
        states, last = self.reader(self.embed(source))
        x, _ = self.writer(self.embed(written), last)
        if not self.attention:
            return self.out(x), None
        weights = (x @ states.transpose(1, 2)).softmax(dim=-1)
        return self.out(torch.cat([x, weights @ states], dim=-1)), weights


def reversals(count: int, length: int, seed: int) -> tuple[Tensor, Tensor]:
    """Rows of letters, and the same rows from their end."""
    generator = torch.Generator().manual_seed(seed)
    source = torch.randint(1, N_IDS, (count, length), generator=generator)
    return source, source.flip(1)


def learn(model: Pairs, *, steps: int, lengths: range, batch_size: int = 64, lr: float = 5e-3, seed: int = 0) -> Pairs:
    """Train on fresh rows, one length for each batch."""
    draw = random.Random(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    for step in range(steps):
        source, target = reversals(batch_size, draw.choice(lengths), seed * steps + step + 1)
        logits, _ = model(source, F.pad(target[:, :-1], (1, 0), value=START))
        loss = F.cross_entropy(logits.transpose(1, 2), target)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


@torch.inference_mode()
def right(model: Pairs, length: int, *, count: int = 100, seed: int = 10**6) -> float:
    """The share of letters written rightly, each after what the model itself wrote before."""
    source, target = reversals(count, length, seed + length)
    written = torch.full((count, 1), START)
    for _ in range(length):
        written = torch.cat([written, model(source, written)[0][:, -1:].argmax(dim=-1)], dim=1)
    return float((written[:, 1:] == target).float().mean())
