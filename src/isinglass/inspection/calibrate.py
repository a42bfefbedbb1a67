"""Calibration of a model: on real text, token by token, and on questions with known answers, with none, and with a false premise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.answers import Answer, answer
from isinglass.inspection.quiz import QuizItem
from isinglass.inspection.reading import token_text
from isinglass.inspection.trace import trace
from isinglass.metrics.calibration import Calibration, auroc, brier_score, calibration
from isinglass.metrics.calibration_figures import reliability_figure
from isinglass.metrics.temperature import fit_temperature
from isinglass.show.finding import Finding
from isinglass.show.marks.bars import bars
from isinglass.show.marks.tokens import TokenStrips, compared
from isinglass.show.showable import Showable
from isinglass.show.table import Table

_CHARACTERS = 12  # of a text for each token of a passage: more than any usual vocabulary needs
_EXAMPLES = 12
_BEFORE = 6  # tokens that are shown before a predicted one


@dataclass(frozen=True, eq=False)
class Passages:
    """Predictions of the tokens of some passages: all but the first of each is predicted. `place` names (passage, position) of each row."""

    ids: list[list[int]]
    place: list[tuple[int, int]]
    logits: NDArray[np.float32]  # [tokens, vocab]: 4 bytes for each token of the vocabulary
    labels: NDArray[np.int64]

    def at(self, temperature: float) -> Scored:
        """What a temperature makes of them."""
        confidence, loss, brier = np.zeros(len(self.labels)), np.zeros(len(self.labels)), np.zeros(len(self.labels))
        for row, (logits, label) in enumerate(zip(self.logits, self.labels, strict=True)):  # one at a time: doubles of all would be large
            z = (logits.astype(np.float64) - logits.max()) / temperature
            p = np.exp(z)
            total = p.sum()
            p /= total
            confidence[row], loss[row], brier[row] = p.max(), math.log(total) - z[label], brier_score(p[None], [int(label)])
        top = self.logits.argmax(axis=1)
        return Scored(calibration(confidence, top == self.labels), top, float(loss.mean()), float(brier.mean()))


@dataclass(frozen=True, eq=False)
class Scored:
    """Confidence and correctness of the likeliest token of each row, `loss` (nats per token) and the Brier score over the vocabulary."""

    calibration: Calibration
    top: NDArray[np.int64]
    loss: float
    brier: float


@dataclass(frozen=True, eq=False)
class TextCalibration(Finding):
    """`before` and `after` are the measured passages at temperature 1 and at the fitted one, which was fitted on others."""

    lm: LM
    measured: Passages
    n_fitted: int
    temperature: float
    before: Scored
    after: Scored
    n_bins: int = 10
    command: str | None = None

    @property
    def table(self) -> Table:
        rows = [
            {"temperature": t, **one.calibration.measures(self.n_bins), "loss": one.loss, "Brier, whole vocabulary": one.brier}
            for t, one in ((1.0, self.before), (self.temperature, self.after))
        ]
        turned = [
            {"measure": name, **{f"T = {row['temperature']:.3g}": row[name] for row in rows}} for name in rows[0] if name != "temperature"
        ]
        notes = [
            f"confidence: probability of the likeliest token; right: it is the next one. ECE over {self.n_bins} bins",
            f"temperature fitted on {self.n_fitted} tokens of other passages (least loss), measured on these {len(self.measured.labels)}",
            "Brier: of the likeliest token being right; loss: nats per token; AURC: mean error rate over all coverages",
        ]
        return Table(turned, title="Confidence against correctness, next token", notes=notes, command=self.command)

    @property
    def mistakes(self) -> Table:
        """The wrong tokens that the model was surest of."""
        scored = self.before.calibration
        wrong = np.flatnonzero(~scored.correct)
        rows = []
        for row in wrong[np.argsort(-scored.confidence[wrong], kind="stable")][:_EXAMPLES]:
            passage, position = self.measured.place[row]
            ids = self.measured.ids[passage]
            rows.append(
                {
                    "before it": self.lm.tokenizer.decode(ids[max(0, position - _BEFORE) : position]),
                    "model": token_text(self.lm, int(self.before.top[row])), "text": token_text(self.lm, ids[position]),
                    "confidence": float(scored.confidence[row]),
                }
            )  # fmt: skip
        return Table(rows, title="Sure and wrong", units={"confidence": "ratio"} if rows else {})

    @property
    def strips(self) -> TokenStrips:
        named = {
            f"passage {number}": ([token_text(self.lm, id) for id in ids], ids) for number, ids in enumerate(self.measured.ids, start=1)
        }
        return compared(named, title="The exact tokens measured")

    @property
    def parts(self) -> tuple[Showable, ...]:
        bins = {f"T = {t:.3g}": one.calibration.bins(self.n_bins) for t, one in ((1.0, self.before), (self.temperature, self.after))}
        notes = [f"ECE, {self.n_bins} bins of equal width: " + ", ".join(f"{name} {_ece(self, n):.3f}" for n, name in enumerate(bins))]
        title = "Reliability of the next token: confidence against correctness"
        figure = reliability_figure(bins, title=title, notes=notes, command=self.command)
        coverage = self.before.calibration.coverage_figure(command=self.command)
        bars_of_bins = self.before.calibration.table(self.n_bins, title="Bins at temperature 1")
        return figure, self.table, coverage, bars_of_bins, self.mistakes, self.strips

    @property
    def data(self) -> dict[str, Any]:
        return {
            "temperature": self.temperature,
            "fitted_on_tokens": self.n_fitted,
            **{
                name: {**one.calibration.measures(self.n_bins), "loss_nats": one.loss, "brier_vocabulary": one.brier, "bins": rows}
                for name, one in (("before", self.before), ("after", self.after))
                for rows in [one.calibration.table(self.n_bins).rows]
            },
            "sure_and_wrong": self.mistakes.rows,
            "passages": self.measured.ids,
        }


def _ece(found: TextCalibration, number: int) -> float:
    return (found.before, found.after)[number].calibration.ece(found.n_bins)


def calibrate_text(
    lm: LM,
    text: str,
    *,
    n_passages: int = 8,
    passage_tokens: int = 64,
    n_bins: int = 10,
    progress: Callable[[int], object] = lambda count: None,
    command: str | None = None,
) -> TextCalibration:
    """Confidence against correctness of the next token, on passages drawn evenly from a text. Every other passage fits one temperature
    (least loss), the rest are measured before and after. `progress` is told of each passage that is read.

    Logits are kept: 4 bytes for each token of the text and of the vocabulary. Raises EngineError for a text too short for two passages
    of two tokens, passages longer than the context, or a model that does not continue a text.
    """
    lm.decoder  # noqa: B018 - says so when the model does not continue texts
    if not 2 <= passage_tokens <= lm.config.context_length:
        raise EngineError(f"passage_tokens = {passage_tokens!r}, expected 2 to the model's context of {lm.config.context_length}")
    if n_passages < 2:
        raise EngineError(f"n_passages = {n_passages!r}, expected at least 2", hint="one fits the temperature, another measures it")
    found = passages(lm, text, n_passages, passage_tokens)
    if len(found) < 2:
        raise EngineError(
            f"the text of {len(text):,} characters gives {len(found)} passages, expected at least two", hint="give a longer text"
        )
    fitted, measured = (_read(lm, found[start::2], progress) for start in (1, 0))
    temperature = fit_temperature(fitted.logits, fitted.labels)
    return TextCalibration(
        lm, measured, len(fitted.labels), temperature, measured.at(1.0), measured.at(temperature), n_bins, command
    )  # fmt: skip


def passages(lm: LM, text: str, count: int, n_tokens: int) -> list[list[int]]:
    """The ids of up to `count` stretches of `n_tokens` tokens, evenly spread over a text, each beginning with a word; none overlap."""
    step = max(1, len(text) // count)
    found = []
    for number in range(count):
        part = text[number * step : number * step + min(step, _CHARACTERS * n_tokens)]
        if number:  # the end of a word that was cut is left out
            part = part[next((place for place, char in enumerate(part) if char.isspace()), len(part)) :]
        part = part.strip()
        ids = lm.encode(part)[:n_tokens] if part else []
        found += [ids] if len(ids) > 1 else []
    return found


def _read(lm: LM, ids: list[list[int]], progress: Callable[[int], object]) -> Passages:
    logits = []
    for row in ids:
        logits.append(trace(lm, row).logits[0, :-1].float().numpy(force=True))
        progress(1)
    place = [(number, position) for number, row in enumerate(ids) for position in range(1, len(row))]
    return Passages(ids, place, np.concatenate(logits), np.array([id for row in ids for id in row[1:]]))


@dataclass(frozen=True, eq=False)
class QuizCalibration(Finding):
    """Answers to questions. `known` measures those with an answer (None where there is none)."""

    answers: tuple[Answer, ...]
    n_bins: int = 10
    command: str | None = None

    @property
    def known(self) -> Calibration | None:
        with_answer = [one for one in self.answers if one.correct is not None]
        return calibration([one.confidence for one in with_answer], [bool(one.correct) for one in with_answer]) if with_answer else None

    @property
    def detection(self) -> dict[str, float | None]:
        """AUROC of the entropy: how often a wrong answer has more of it than a right one, a question without an answer more than others."""
        entropy = np.array([one.entropy for one in self.answers])
        known = np.array([one.correct is not None for one in self.answers])
        wrong = np.array([one.correct is False for one in self.answers])
        found = {"wrong answers": auroc(entropy[known], wrong[known])}
        for kind in dict.fromkeys(one.item.kind for one in self.answers if one.correct is None):
            of_kind = np.array([one.item.kind == kind for one in self.answers]) & ~known
            found[f"{kind} questions"] = auroc(entropy[known | of_kind], of_kind[known | of_kind])
        return found

    @property
    def kinds(self) -> Table:
        rows = []
        for kind in dict.fromkeys(one.item.kind for one in self.answers):
            of_kind = [one for one in self.answers if one.item.kind == kind]
            right = [one.correct for one in of_kind if one.correct is not None]
            rows.append(
                {
                    "kind": kind, "questions": len(of_kind), "accuracy": fmean(right) if right else None,
                    "mean confidence": fmean(one.confidence for one in of_kind), "median entropy": median(one.entropy for one in of_kind),
                    "mean entropy": fmean(one.entropy for one in of_kind),
                }
            )  # fmt: skip
        told = [f"{name} {'–' if value is None else f'{value:.2f}'}" for name, value in self.detection.items()]
        notes = [
            "right: the greedy continuation begins with an accepted answer; confidence: product of its tokens' probabilities",
            "entropy: of the first token that is not blank, in nats, over the whole vocabulary",
            f"entropy as a detector (AUROC, 0.5 is chance, 1 perfect): {', '.join(told)}",
        ]
        units = {"accuracy": "ratio", "mean confidence": "ratio", "median entropy": "nats", "mean entropy": "nats"}
        return Table(rows, title="Certainty by kind of question", units=units, notes=notes, command=self.command)

    @property
    def table(self) -> Table:
        units = {"confidence": "ratio", "P(accepted)": "ratio", "entropy": "nats"}
        return Table([one.row() for one in self.answers], title="Every question", units=units)

    @property
    def parts(self) -> tuple[Showable, ...]:
        rows = self.kinds.rows
        doubt = bars(
            [row["kind"] for row in rows], [row["mean entropy"] for row in rows], axis="mean entropy", unit="nats", command=self.command,
            title="Doubt by kind of question: entropy of the first token",
        )  # fmt: skip
        known = self.known
        if known is None:
            return doubt, self.kinds, self.table
        title = "Reliability of answers: confidence against correctness"
        measured = Table([known.measures(self.n_bins)], title="Questions with a known answer")
        turned = Table(
            [{"measure": name, "value": value} for name, value in measured.rows[0].items()], title="Questions with a known answer"
        )
        return (
            known.figure(self.n_bins, title=title, command=self.command), self.kinds, turned, doubt,
            known.coverage_figure(command=self.command), self.table,
        )  # fmt: skip

    @property
    def data(self) -> dict[str, Any]:
        known = self.known
        return {
            "known": None if known is None else {**known.measures(self.n_bins), "bins": known.table(self.n_bins).rows},
            "kinds": self.kinds.rows,
            "auroc_of_entropy": self.detection,
            "questions": [{**one.row(), "tokens": one.tokens, "accepted": list(one.item.accepted), "top": one.top} for one in self.answers],
        }


def calibrate_quiz(
    lm: LM,
    items: Sequence[QuizItem],
    *,
    n_bins: int = 10,
    progress: Callable[[int], object] = lambda count: None,
    command: str | None = None,
) -> QuizCalibration:
    """Ask all items (`read_quiz`) and measure those with an answer; the others show what doubt looks like where there is none to know.

    EngineError for a model that does not continue a text.
    """
    return QuizCalibration(tuple(answer(lm, items, progress)), n_bins, command)
