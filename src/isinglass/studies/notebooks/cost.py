# %% [markdown]
# # What a support chatbot costs, and how to halve it
#
# 100,000 queries a month, 150 tokens each, answers of 200 tokens, three variations of every answer. What does that cost with four models,
# and how does the bill come down by half without worse answers?
#
# Beside this notebook: `cost_analysis.xlsx` with live formulas, `optimization_plan.pdf`, `visualizations/` and `README.md`. All numbers in
# them are of this run.

# %%
from IPython.display import display

import isinglass as ig
from isinglass.economics.break_even import break_even
from isinglass.economics.plan import plan
from isinglass.economics.report import PlanReport
from isinglass.economics.sensitivity import sensitivity
from isinglass.economics.traffic import total
from isinglass.economics.workload import Workload, read_workload
from isinglass.report.document import Document, Heading
from isinglass.studies.prose import in_words, origin, sections, words
from isinglass.studies.support.caching import cache_study, tfidf
from isinglass.studies.support.questions import labelled, stream
from isinglass.studies.support.routing import routing_study

# %% tags=["parameters"]
quick = False  # True: a shorter stream of questions
data = ""  # a workload of your own, in TOML
target = 0.5  # share of the bill that is to be saved
seed = 0

# %% [markdown]
# ## What it costs
#
# The assignment does not say whether three variations are three requests or one: both are here. The day is one on which all four models
# were sold.

# %%
MODELS = ["gpt-4o", "gpt-4o-mini", "groq/llama-70b", "groq/mixtral"]
chatbot = {
    "name": "Support chatbot", "model": "gpt-4o", "models": MODELS, "on": "2025-03-01", "requests": 100_000, "tokens_in": 150,
    "tokens_out": 200, "variations": 3, "wait_seconds": 10, "personal_share": 0.4, "growth": 0.05, "one_off_usd": 2000,
    "hardware": {"name": "rented GPU server", "usd_per_month": 500, "tokens_per_second": 400, "utilisation": 0.3},
}  # fmt: skip
asked = read_workload(data) if data else Workload(**chatbot)
counted = dict(requests=asked.requests, tokens_in=asked.tokens_in, tokens_out=asked.tokens_out, variations=asked.variations, on=asked.on)
quote = ig.price(models=list(asked.models or (asked.model,)), **counted)
display(quote.lines)
display(quote.figure)

# %% [markdown]
# ## What can be measured before anything is changed
#
# How many questions were asked before, and how many are simple enough for a small model? Both on the project's own support questions: a
# model of users, not users.

# %%
cached = cache_study(stream(400 if quick else 2000, seed=seed), tfidf)
routed = routing_study(labelled(), to="gpt-4o-mini")
display(cached.table)
display(routed.table)

# %% [markdown]
# ## The plan
#
# Savings are taken in order of their risk until the target is reached. The hit rate of exact matches is rounded down; the length of answers
# is an assumption.

# %%
savings = (
    "one_request",
    f"response_cache(hit_rate={int(cached.exact.hit_rate * 10) / 10})",
    routed.saving,
    "smaller_model(to='gpt-4o-mini')",
    "prompt_compression(kept=0.8)",
    "shorter_answers(kept=0.8)",
    "prefix_cache",
    "batch",
)
asked = asked if data else asked.model_copy(update={"savings": savings})
found = plan(asked, target=target)
display(found.table)
display(found.reasons)
display(found.figure)

# %% [markdown]
# ## Months ahead, a number that is off, and a machine of one's own

# %%
moved = sensitivity(found)
display(found.projection.figure)
display(moved.table)
even = None
if asked.hardware is not None and asked.hardware.tokens_per_second is not None:
    even = break_even(found.before, asked.hardware, requests=asked.requests)
    display(even.table)
    display(even.figure)

# %% [markdown]
# ## What is written

# %%
PlanReport.of(found).workbook.save("cost_analysis.xlsx")
quote.lines.save("costs.csv")
pictures = {"cost_comparison": quote.figure, "monthly_projection": found.projection.figure, "bill_after_each_step": found.figure}
for name, figure in (pictures | ({} if even is None else {"break_even": even.figure})).items():
    figure.save(f"visualizations/{name}.png")

# %%
start = found.before[0]
bill, end = total(found.before), total(found.after)
output_share = start.output_usd / start.usd_per_request
refused = {step.name: step for step in found.steps if not step.is_taken}


def where_the_money_goes() -> str:
    """The bill today, and its larger part."""
    cheapest = min((row for row in quote.lines.rows if row["reading"] == quote.lines.rows[-1]["reading"]), key=lambda row: row["usd"])
    times = start.rates.output / start.rates.input
    return (
        f"The chatbot answers {asked.requests:,} queries a month with {asked.model}, {asked.variations} variations each. As "
        f"{asked.reading} that is ${bill:,.2f} a month. Output is {output_share:.0%} of it: {asked.tokens_out} tokens come out at "
        f"{times:.1f} times the price of the {asked.tokens_in} that go in. "
        + (
            "So whatever shortens the prompt alone saves little, and whatever avoids or cheapens an answer saves much. "
            if output_share > 0.7
            else "So both sides are worth a look. "
        )
        + f"The cheapest line of the comparison is {cheapest['model']} at ${cheapest['usd']:,.2f}; price says nothing of quality, so a "
        "plan that rests on changing the model for everybody would need a comparison of answers first."
    )


def what_was_measured() -> str:
    """Cache and classifier."""
    best = ""
    if cached.best is not None:
        hits = cached.semantic[cached.best]
        best = f" A cache by meaning would find {hits.hit_rate:.0%}, {hits.wrong:.1%} of them wrongly."
    return (
        f"Two numbers were measured on support questions written for this project. Of {len(cached.queries):,} drawn questions a cache by "
        f"text finds {cached.exact.hit_rate:.0%} among those asked before.{best} A small classifier, judged on intents that it never saw, "
        f"sends {routed.share:.0%} of the questions to the smaller model; {routed.wrong:.1%} of what it sends is hard. Your own log will "
        f"give other numbers: measure it before the work begins."
    )


def the_plan() -> str:
    """What is taken and what it saves."""
    reached = "which reaches" if found.is_reached else "which does not reach"
    parts = [f"{step.name} (${step.usd:,.2f}, risk {step.saving.risk}: {step.why})" for step in found.taken]
    months = found.projection
    paid = "is not paid back within the year" if months.paid_back is None else f"is paid back in month {months.paid_back}"
    return (
        f"Savings were taken in order of their risk: {in_words(parts)}. The bill falls from ${bill:,.2f} to ${end:,.2f} a month: "
        f"{found.saving:.1%}, {reached} the target of {found.target:.0%}. With growth of {asked.growth:.0%} a month, the "
        f"${asked.one_off_usd:,.0f} that carrying it out costs {paid}. If one number is {moved.by:.0%} off, between "
        f"{min(min(one.saving_low, one.saving_high) for one in moved.moved):.0%} and "
        f"{max(max(one.saving_low, one.saving_high) for one in moved.moved):.0%} is saved."
    )


def not_done() -> str:
    """Why the others are left."""
    told = [
        f"{step.name}: {step.decision}, because {step.why}" for step in refused.values() if step.decision in ("does not apply", "too risky")
    ]
    left = [step.name for step in refused.values() if step.decision in ("not needed", "too small")]
    return "; ".join(told) + "." + (f" Left for later: {in_words(left)}." if left else "")


def machine() -> str:
    """The break-even."""
    if even is None or asked.hardware is None:
        return ""
    at = "at no volume" if even.at is None else f"from {even.at:,} queries a month on"
    return (
        f"A {asked.hardware.name} at ${even.machine_usd:,.0f} a month would cost less than today's bill {at}, if its model answers as well."
    )


steps = "\n".join(f"{number}. {line}" for number, line in enumerate((line for step in found.taken for line in step.saving.steps), start=1))
told = {
    "Where the money goes": where_the_money_goes(),
    "What was measured": what_was_measured(),
    "The plan": the_plan(),
    "Steps": steps,
    "What is not done, and why": not_done(),
}
text = [*sections(told), *([machine()] if machine() else [])]
made = origin("cost", f"prices of {found.situation.day}")
Document("A support chatbot at half the cost", [*text, found.figure, made]).save("optimization_plan.pdf")
print(f"{words(text)} words")

# %%
Document(
    "What a support chatbot costs",
    [
        made,
        "`cost_analysis.xlsx`: every figure as a live formula. `optimization_plan.pdf`: the plan in words. `visualizations/`: the charts. "
        "`costs.csv`: the comparison. Run it again: `isinglass study cost --out FOLDER`; your own workload: `--data workload.toml`.",
        *text,
        Heading("The comparison"),
        quote.lines,
        cached.table,
        routed.table,
        found.table,
        found.reasons,
        *([] if even is None else [even.table]),
        moved.table,
    ],
).save("README.md")
