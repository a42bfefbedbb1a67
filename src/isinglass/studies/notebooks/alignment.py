# %% [markdown]
# # Alignment on two translations
#
# A small model first learns to write verses of the Bible to their references, from the King James Version and the World English Bible
# alike. Then the newer translation is preferred: a reward model learns to tell which of two is liked better, DPO learns from the pairs
# directly, and PPO lets the model write and follows the reward. Whether a policy has learned it can be seen without any model, by
# counting words that only the old translation has.
#
# `README.md` beside this notebook holds the comparison.

# %%
from pathlib import Path

from IPython.display import display

from isinglass.core.errors import IsinglassError
from isinglass.report.document import Document, Heading
from isinglass.studies.alignment import Aligned, Begun, Effort, aligning, beginner, short_verses

# %% tags=["parameters"]
quick = False  # True: the same stages with a few steps
seed = 0

# %% [markdown]
# ## Preference pairs
#
# Short verses whose translations differ: prompt is the reference, chosen the newer text, rejected the older.

# %%
verses = short_verses()
effort = Effort(supervised=20, reward=4, dpo=4, ppo=2, batch_size=8, max_tokens=12, verses=8) if quick else Effort()
verses = verses[::20] if quick else verses
lm = beginner(verses)
print(f"{len(verses):,} verses; {sum(weight.numel() for weight in lm.model.parameters()):,} weights")
print(verses[0]["reference"], "|", verses[0]["web"], "|", verses[0]["kjv"])

# %% [markdown]
# ## Supervised, reward, DPO, PPO
#
# The reference policy of DPO and PPO is the supervised model; the figures of each stage are its own.

# %%
found = None
for event in aligning(lm, verses, effort, seed=seed):
    if isinstance(event, Begun):
        print(event.stage)
    elif isinstance(event, Aligned):
        found = event
if found is None:
    raise IsinglassError("the stages ended without a comparison")
display(found.table)
display(found.verses)

# %%
Path("figures").mkdir(exist_ok=True)
for name, figure in found.figures.items():
    figure.save(f"figures/{name}.svg")
    display(figure)

# %% [markdown]
# ## What was found

# %%
policies = {row["policy"]: row for row in found.table.rows}
first, *others = (policies[name] for name in ("supervised", "dpo", "ppo"))


def told(row: dict) -> str:
    """What a policy won and what it gave for it, in words chosen by the figures."""
    fewer = row["archaic words"] < first["archaic words"]
    shorter = row["words"] < 0.8 * first["words"]
    reward = "higher" if row["reward"] > first["reward"] else "no higher"
    return (
        f"**{row['policy']}**: its reward is {reward} than that of the supervised policy ({row['reward']:.2f} against "
        f"{first['reward']:.2f}), at {row['KL (k3)']:.1f} nats per response from it. "
        f"It writes {'fewer' if fewer else 'no fewer'} archaic words per verse "
        f"({row['archaic words']:.2f} against {first['archaic words']:.2f})"
        + (
            f", and its verses are much shorter ({row['words']:.1f} words against {first['words']:.1f}): part of the gain is made by "
            "saying less."
            if shorter
            else f", in verses of {row['words']:.1f} words against {first['words']:.1f}."
        )
    )


Document(
    "Alignment on two translations",
    [
        f"A model of {sum(weight.numel() for weight in lm.model.parameters()):,} weights; {effort.supervised} supervised steps, "
        f"{effort.reward} of the reward model, {effort.dpo} of DPO and {effort.ppo} of PPO, {effort.batch_size} examples each; "
        f"{effort.verses} verses held out from all stages.",
        found.table,
        *(told(row) for row in others),
        Heading("Verses side by side"),
        found.verses,
        Heading("Curves"),
        *found.figures.values(),
    ],
).save("README.md")
