"""Language models from before the Transformer: counted n-grams, a feed-forward network (Bengio et al. 2003), an LSTM."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

Surprise = Callable[[Tensor], Tensor]  # rows of ids [row, time] -> nats of each token but the first


class NGram:
    """Counts of up to `order` tokens in a row, interpolated after Witten and Bell (1991).

    p(w | h) = (count(h w) + kinds(h) p(w | h')) / (count(h) + kinds(h)), where h' is h without its first token and kinds(h) is how many
    different tokens followed h. Below the shortest context every token is equally likely.

    >>> model = NGram([0, 1, 0, 1, 0, 2], order=2, vocab_size=3)
    >>> round(float((-model.nats(torch.tensor([[0, 1]]))).exp()), 4)  # (2 + 2 * 1/3) / (3 + 2)
    0.5333
    """

    def __init__(self, ids: Sequence[int], order: int, vocab_size: int) -> None:
        if vocab_size**order >= 2**63:
            raise ValueError(f"order = {order} with {vocab_size} tokens: the number of an n-gram does not fit 64 bits")
        self.order, self.vocab_size = order, vocab_size
        stream = np.asarray(ids, dtype=np.int64)
        self.tables = [self._counted(stream, length) for length in range(1, order + 1)]

    def _counted(self, stream: NDArray[np.int64], length: int) -> tuple[NDArray[np.int64], ...]:
        """N-grams as numbers in ascending order with their counts; their contexts with the sum and the number of what follows."""
        grams, counts = np.unique(self._numbered(stream, length), return_counts=True)
        contexts, place = np.unique(grams // self.vocab_size, return_inverse=True)
        return grams, counts, contexts, np.bincount(place, counts).astype(np.int64), np.bincount(place)

    def _numbered(self, stream: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """Each run of `length` tokens as one number."""
        powers = self.vocab_size ** np.arange(length - 1, -1, -1, dtype=np.int64)
        return np.lib.stride_tricks.sliding_window_view(stream, length) @ powers

    @property
    def n_counts(self) -> int:
        """How many counts the model keeps: what parameters are to a network."""
        return sum(len(grams) for grams, *_ in self.tables)

    @property
    def once(self) -> float:
        """The share of the longest n-grams that occur once: of these nothing can be counted on."""
        return float((self.tables[-1][1] == 1).mean())

    def nats(self, rows: Tensor) -> Tensor:
        """The surprise of every token of the rows but the first."""
        return torch.stack([torch.from_numpy(self._of_row(row.numpy())) for row in rows]).float()

    def _of_row(self, row: NDArray[np.int64]) -> NDArray[np.float64]:
        p = np.full(len(row), 1 / self.vocab_size)
        for length, (grams, counts, contexts, sums, kinds) in enumerate(self.tables, start=1):
            numbers = self._numbered(row, length)
            seen, all_seen, kinds_seen = (
                _looked_up(keys, values, wanted)
                for keys, values, wanted in (
                    (grams, counts, numbers), (contexts, sums, numbers // self.vocab_size), (contexts, kinds, numbers // self.vocab_size)
                )
            )  # fmt: skip
            below = p[length - 1 :]
            p[length - 1 :] = np.where(all_seen > 0, (seen + kinds_seen * below) / np.maximum(all_seen + kinds_seen, 1), below)
        return -np.log(p[1:])


def _looked_up(keys: NDArray[np.int64], values: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """The value of each wanted key; 0 for one that is not there."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)


class FeedForwardLM(nn.Module):
    """Bengio et al. 2003: the vectors of the last `n_before` tokens side by side, one hidden layer, a score for each token."""

    def __init__(self, vocab_size: int, n_before: int = 4, width: int = 64, hidden: int = 256) -> None:
        super().__init__()
        self.n_before = n_before
        self.embed = nn.Embedding(vocab_size, width)
        self.hidden, self.out = nn.Linear(n_before * width, hidden), nn.Linear(hidden, vocab_size)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of the token after each place; what would stand before the text is zeros."""
        x = F.pad(self.embed(ids), (0, 0, self.n_before - 1, 0))
        x = x.unfold(1, self.n_before, 1).transpose(2, 3).flatten(2)
        return self.out(self.hidden(x).tanh())


class RecurrentLM(nn.Module):
    """An LSTM (Hochreiter and Schmidhuber 1997) that reads token after token."""

    def __init__(self, vocab_size: int, width: int = 64, hidden: int = 192) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, width)
        self.reader, self.out = nn.LSTM(width, hidden, batch_first=True), nn.Linear(hidden, vocab_size)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of the token after each place."""
        return self.out(self.reader(self.embed(ids))[0])


def nats(model: Callable[[Tensor], Tensor]) -> Surprise:
    """The surprise of every token of a row but the first, by a model that gives logits."""

    @torch.inference_mode()
    def of(rows: Tensor) -> Tensor:
        logits = model(rows[:, :-1])
        return F.cross_entropy(logits.transpose(1, 2), rows[:, 1:], reduction="none")

    return of


def learn(model: nn.Module, rows: Tensor, *, steps: int, batch_size: int, lr: float = 3e-3, seed: int = 0) -> nn.Module:
    """Train on rows of ids drawn at random: AdamW, the rate on half a cosine."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * step / steps)) / 2
        batch = rows[torch.randint(len(rows), (batch_size,), generator=generator)]
        loss = F.cross_entropy(model(batch[:, :-1]).transpose(1, 2), batch[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()
