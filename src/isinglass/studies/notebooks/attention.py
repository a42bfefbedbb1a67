# %% [markdown]
# # A position scheme in depth
#
# One mechanism of attention: what it solves, how it works, what it costs, measured here, and where it is used. Four can be asked for: rope,
# alibi, sliding_window and flash.
#
# Beside this notebook: `task4_research_report.pdf`, `measurements.csv`, `visualizations/` and `README.md`.

# %%
import inspect
import textwrap

import torch
from IPython.display import display

from isinglass.core.errors import unknown
from isinglass.core.units import size
from isinglass.report.document import Document, Heading
from isinglass.studies.attention_measures import LEARNED, LONGEST, costs, extrapolation, relative_error
from isinglass.studies.attention_subjects import SUBJECTS
from isinglass.studies.prose import origin, words

# %% tags=["parameters"]
quick = False  # True: shorter training and shorter texts
mechanism = "rope"  # or alibi, sliding_window, flash
seed = 0

# %% [markdown]
# ## The mechanism, as it stands in this package

# %%
if mechanism not in SUBJECTS:
    raise unknown("mechanism", mechanism, SUBJECTS)
subject = SUBJECTS[mechanism]
source = textwrap.dedent(inspect.getsource(subject.source))
print(subject.title, source, sep="\n\n")

# %% [markdown]
# ## What is measured
#
# Of positions: small models that differ in their positions alone learn from short texts and read longer ones. Of windows and flash: time
# and memory
# beside full attention as the text grows.

# %%
torch.manual_seed(seed)
measured = costs(mechanism, subject.kind, quick=quick) if subject.kind else None
found = measured or extrapolation(mechanism, quick=quick, seed=seed)
display(found.table)
display(found.figure)

# %% [markdown]
# ## The report


# %%
def of_positions() -> str:
    """What the small models show, for RoPE and ALiBi."""
    name = {"rope": "rotary", "alibi": "alibi"}[mechanism]
    others = [one for one in found.losses if one != name]
    risen = {one: found.growth(one) for one in found.losses}
    told = ", ".join(f"{one} {risen[one]:+.2f}" for one in others)
    steady = min(risen, key=risen.__getitem__)
    verdict = (
        f"{name} holds best of the three"
        if steady == name
        else f"{steady} holds better than {name} ({risen[steady]:+.3f} against {risen[name]:+.3f})"
    )
    overhead = found.seconds[name] / found.seconds["learned"] - 1
    first = found.losses[name][0] - found.losses["learned"][0]
    at_length = (
        f"{abs(first):.2f} nats {'lower' if first < 0 else 'higher'} than with learned positions"
        if abs(first) >= 0.005
        else "equal to that with learned positions"
    )
    extra = ""
    if mechanism == "rope":
        extra = (
            f" That scores depend on distance alone holds to rounding: moving 64 queries and keys on by 1,000 places changes no product by "
            f"more than "
            f"{relative_error():.0e} of its size."
        )
    return (
        f"Three small models (2 layers of 64, equal but for their positions) learned from texts of {LEARNED} tokens of the King James "
        f"Version. At that "
        f"length the loss with {name} is {found.losses[name][0]:.2f} nats per token, {at_length}. From there to {LONGEST} tokens it moves "
        f"by "
        f"{risen[name]:+.3f} nats; with the others by {told}: {verdict}. "
        + ("Learned positions break down because their rows beyond the trained length are noise. " if risen["learned"] > 0.1 else "")
        + f"A pass over {LONGEST} tokens takes {found.seconds[name] * 1000:.1f} ms, {overhead:+.0%} against learned positions. Memory for "
        f"positions: no weights, where a learned table has a row for every place.{extra}\n\n"
        f"The trade-off: a pass costs {'a little more' if overhead > 0.01 else 'no more'} time, positions take no memory, and quality "
        f"within the trained "
        f"length is {'not worse' if first < 0.005 else 'a little worse'}. These are small models trained for a minute, so the order of the "
        f"three is "
        "worth more than the numbers."
        + (
            " Press et al. report the same order: linear biases, rotary, absolute positions."
            if risen["alibi"] <= risen["rotary"] <= risen["learned"]
            else " Press et al. report another order: linear biases, rotary, absolute positions."
        )
    )


def of_costs() -> str:
    """What time and memory show, for windows and flash."""
    full, other = found.of("full")[-1], found.of(subject.kind)[-1]
    (time_full, memory_full), (time_other, memory_other) = found.powers("full"), found.powers(subject.kind)
    faster = full.time_seconds / other.time_seconds
    first_full, first_other = found.of("full")[0], found.of(subject.kind)[0]
    early = first_full.time_seconds / first_other.time_seconds
    said = (
        f"On this machine's processor, with 4 heads of 64 in fp32: at {full.length:,} tokens full attention takes "
        f"{full.time_seconds * 1000:.0f} ms and "
        f"{size(full.extra_bytes)} beside its inputs, {subject.kind} {other.time_seconds * 1000:.0f} ms and {size(other.extra_bytes)}: "
        f"{faster:.1f} times as fast with {full.extra_bytes / other.extra_bytes:.0f} times less memory. At {first_full.length} tokens the "
        f"ratio of times is "
        f"{early:.1f}. From there on time grows with the power {time_full:.1f} of the length for full attention and {time_other:.1f} for "
        f"{subject.kind}, "
        f"memory with {memory_full:.1f} and {memory_other:.1f}. "
    )
    if mechanism == "sliding_window":
        return said + (
            f"The cache takes {size(other.kv_bytes)} at any length, where full attention keeps {size(full.kv_bytes)} at {full.length:,} "
            f"tokens.\n\n"
            "The trade-off is quality at a distance for speed and memory: the result is another one than that of full attention. "
            "How much quality is lost depends on the text and on the layers, so a window is chosen before training, and papers report "
            "small losses on "
            "language and larger ones on tasks of exact recall."
        )
    return said + (
        "\n\nThe trade-off: quality is untouched, since the result is exact; memory falls from the square of the length to the length; "
        "speed here comes from "
        "tiles that a causal mask leaves empty, which are skipped, and from staying in the processor's caches. What it cannot show is the "
        "gain of a "
        "fused program on an accelerator: Dao et al. report 2 to 4 times for version 1 against standard attention in training, and Dao "
        "about "
        "twice that for version 2, up to 73 % of an A100's peak."
    )


HOW = {
    True: "Measured with `isinglass bench attention`'s own functions: random queries, keys and values, batch 1, one pass forward under a "
    "causal "
    "mask, the median of several rounds after one that warms up; memory is the most that is held beside the inputs, counted at every "
    "operation and "
    "not estimated. Small sizes are noisy, so powers are fitted over all lengths.",
    False: "The models are trained here and now, from the same seed, with the same texts in the same order and the same optimiser; nothing "
    "but the "
    "position differs. Each is then read over a held-out part of the same book in windows that do not overlap, so every length sees the "
    "same words. "
    "Longer windows should help, since more of the text is known.",
}
CONCLUSION = (
    "What is said of quality at large size rests on the papers named below; what is said of time, memory and small models was measured in "
    "this "
    "run and can be repeated with the command that stands beneath each figure. Another machine will give other times; the order of the "
    "curves and "
    "the powers with which they grow should be the same. Where they are not, that would be worth a look before a choice is made."
)
performance = HOW[bool(subject.kind)] + "\n\n" + (of_costs() if subject.kind else of_positions())
references = "\n".join(f"{n}. {one}" for n, one in enumerate(subject.references, start=1))
prose = {
    "Background": subject.background,
    "Technical details": subject.how,
    "Implementation": subject.implementation,
    "Comparison with standard attention": subject.compared,
    "Performance analysis": performance,
    "Applications": subject.used,
    "Limitations": subject.limits,
    "Conclusion": f"{subject.verdict} {CONCLUSION}",
}
n_words = words(list(prose.values()))
print(f"{n_words} words")
text = []
for heading, said in prose.items():
    text += [Heading(heading), said]
    if heading == "Technical details":
        text += [f"```text\n{subject.formulas}\n```"]
    if heading == "Implementation":
        text += [f"```python\n{source.rstrip()}\n```"]
    if heading == "Performance analysis":
        text += [found.table, found.figure]
text += [Heading("References"), references]

# %% [markdown]
# ## What is written

# %%
made = origin("attention", f"mechanism {mechanism}, seed {seed}")
found.figure.save(f"visualizations/{mechanism}.png")
found.table.save("measurements.csv")
Document(subject.title, [*text, made]).save("task4_research_report.pdf")
note = (
    "`task4_research_report.pdf`: the report. `measurements.csv`: what was measured. Run it again: `isinglass study attention --out FOLDER "
    f"--set mechanism={mechanism}`; also: {', '.join(name for name in SUBJECTS if name != mechanism)}."
)
Document(subject.title, [made, note, *text]).save("README.md")
