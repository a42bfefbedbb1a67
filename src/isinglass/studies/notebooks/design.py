# %% [markdown]
# # An application of language models, designed
#
# One of five applications, from its description to what a month of it costs. The description is a file with assumptions about users and
# load;
# every other number is computed here: prices, savings, memory, the size of an adapter, the speed that is needed.
#
# Beside this notebook: `task5_design_document.pdf`, `architecture.png`, `cost_sheet.xlsx`, `visualizations/` and `README.md`.

# %%
from IPython.display import display

import isinglass as ig
from isinglass.core.units import count, size
from isinglass.economics.break_even import break_even
from isinglass.economics.plan import plan
from isinglass.economics.report import PlanReport
from isinglass.economics.sensitivity import sensitivity
from isinglass.economics.traffic import total
from isinglass.economics.workload import SECONDS
from isinglass.models import presets
from isinglass.models.adapted import adapt
from isinglass.models.summary import kv_bytes_per_token
from isinglass.models.transformer import on_meta
from isinglass.report.document import Document, Heading
from isinglass.show.marks.diagram import diagram
from isinglass.show.table import Table
from isinglass.studies.design.description import read_description
from isinglass.studies.design.description import scenario as described
from isinglass.studies.prose import in_words, origin, sections, words

# %% tags=["parameters"]
quick = False  # True: the local model writes fewer tokens when its speed is measured
scenario = "code_review"  # or medical, legal, tutoring, moderation
data = ""  # a description of your own, in TOML
target = 0.3  # share of the bill that is to be saved
seed = 0

# %% [markdown]
# ## The application

# %%
app = read_description(data) if data else described(scenario)
command = "isinglass study design --out FOLDER" + (f" --data {data}" if data else f" --set scenario={scenario}")
architecture = diagram(
    {one.name: one.kind for one in app.components}, [(one.source, one.target) for one in app.flows], title="Components", command=command
)
display(architecture)
numbered = enumerate(app.flows, start=1)
flows = Table([{"step": n, "from": one.source, "to": one.target, "what": one.carries} for n, one in numbered], title="Data flow")
starts = [sum(one.weeks for one in app.phases[:place]) for place in range(len(app.phases))]
spans = [
    {"phase": one.name, "weeks": f"{start + 1} to {start + one.weeks}", "roles": in_words(one.roles), "result": one.result}
    for start, one in zip(starts, app.phases, strict=True)
]
timeline = Table(spans, title="Timeline")
display(flows)
display(timeline)

# %% [markdown]
# ## What a month costs

# %%
SAVINGS = ("prefix_cache", "batch", "prompt_compression(kept=0.8)", "shorter_answers(kept=0.8)")
load = app.workload if app.workload.savings else app.workload.model_copy(update={"savings": SAVINGS})
models = list(load.models or (load.model,))
quote = ig.price(models=models, requests=load.requests, tokens_in=load.tokens_in, tokens_out=load.tokens_out, on=load.on, command=command)
found = plan(load, target=target)
moved = sensitivity(found) if found.taken else None  # without a saving no number matters
for shown in (quote.lines, found.table, found.reasons, *([] if moved is None else [moved.table])):
    display(shown)

# %% [markdown]
# ## A model on a machine of one's own
#
# Its memory and the size of an adapter follow from its architecture; weights are not needed for that. How fast a processor writes is
# measured
# with the small model at hand.

# %%
fallback = app.candidate("fallback")
own = on_meta(presets.family.resolve(fallback.preset)) if fallback and fallback.preset else None
lm = ig.load("smollm2")
spent = ig.generate(lm, "A design document says", max_tokens=16 if quick else 64, ignore_end=True).timings
small_weights = sum(weight.numel() for weight in lm.model.parameters())
peak = float(load.requests) * load.tokens_out / SECONDS * app.needs.peak
together = max(1.0, peak / load.tokens_out * app.needs.latency_seconds)
if own is not None:
    weights = sum(weight.numel() for weight in own.parameters())
    cache = kv_bytes_per_token(own.config, 2) * (load.tokens_in + load.tokens_out)
    adapted = adapt(own, "lora(rank=16)")
    trained = sum(weight.numel() for weight in adapted.parameters()) - weights
    print(f"{count(weights)} weights, {size(2 * weights)} in bf16, {size(cache)} of cache for each request; LoRA trains {count(trained)}")
even = (
    None
    if load.hardware is None or load.hardware.tokens_per_second is None
    else break_even(found.before, load.hardware, requests=load.requests)
)

# %% [markdown]
# ## The document

# %%
DUTIES = {
    "product owner": "decides what a good answer is and keeps the test cases",
    "domain expert": "writes reference answers and judges samples of real ones every week",
    "engineer": "builds gateway, index, router and checks, and owns their tests",
    "machine learning engineer": "trains adapters, measures every model on the test cases, and owns the choice between them",
    "operations": "runs the service, its alarms and its budget, and practises the switch to the fallback",
}
bill, end = total(found.before), total(found.after)
each = {row["model"]: float(row["usd"]) / load.requests for row in quote.lines.rows}


def purpose() -> str:
    """What it is for."""
    return (
        f"The application {app.purpose}. It is made for {app.users}. It works with {app.data}; {app.sensitivity}. Three principles follow. "
        "A person decides: the application proposes, with evidence, and what it proposes is stored beside what was decided. Data stay "
        "where "
        "they belong: one gateway sees them as they are, and everything behind it sees only what may pass. No answer is better than one "
        "without evidence: where the checks find none, the application says so. The load is an assumption, stated in the description: "
        f"{load.requests:,} requests a month with {load.tokens_in:,} tokens in and {load.tokens_out:,} out, growing by {load.growth:.0%} a "
        f"month."
    )


def architecture_in_words() -> str:
    """Components, data flow, stack."""
    parts = "; ".join(f"**{one.name}** {one.does}" for one in app.components)
    steps = ", ".join(f"({n}) {one.carries} from {one.source} to {one.target}" for n, one in enumerate(app.flows, start=1))
    return (
        f"The components: {parts}.\n\nData flow in this order: {steps}. Text that comes from outside is data on the whole way: it is put "
        f"into "
        "the prompt between marks, the models behind it have no tools, and an instruction that it holds can change a sentence at most, "
        "never "
        "what the application may do.\n\n"
        f"The stack is {in_words(app.stack)}. Every part is replaceable: the router alone knows which models exist, the checks alone may "
        "pass an answer on, and the log is what tests and training are made from."
    )


def choice() -> str:
    """Models, with their price."""
    told = " ".join(f"{one.model} is the {one.role} model, {one.why}." for one in app.models)
    cheapest = min(each, key=each.__getitem__)
    priced = in_words([f"${value:.4f} with {name}" for name, value in each.items()])
    return (
        f"{told} One request costs {priced}: {cheapest} is cheapest by a factor of {max(each.values()) / each[cheapest]:.1f} against the "
        "dearest, and price says nothing of quality. So each is judged on the same test cases before one is chosen, and again whenever a "
        "provider changes a version."
    )


def tuning() -> str:
    """Fine-tuning and the fallback, with what is computed."""
    said = (
        f"Strategy: {app.fine_tuning}. Prompts and retrieval come first, because they can be changed within a day; training begins when "
        "the log holds enough corrections."
    )
    if own is None or fallback is None:
        return said
    requests = f"{together:.0f} requests" if together > 1.5 else "one request"
    return said + (
        f" LoRA of rank 16 on every linear layer of {fallback.model} trains {count(trained)} of {count(weights)} weights, "
        f"{trained / weights:.2%}, so an adapter takes {size(2 * trained)} and several can be kept for comparison.\n\n"
        f"Fallbacks are tried in a fixed order: the small model when the main one is slow, then {fallback.model} on a machine of our own "
        f"when "
        f"the provider is down or data may not leave, at last an honest message with the evidence that was found. That model needs "
        f"{size(2 * weights)} for weights in bf16 and {size(cache)} of cache for each request of this length; at the peak {requests} are "
        f"answered at once, {size(2 * weights + cache * together)} in all. A processor is no way out: here a model of "
        f"{count(small_weights)} weights "
        f"writes {spent.tokens_per_second:.0f} tokens a second on one core or two, and {fallback.model} has {weights / small_weights:.0f} "
        f"times as many."
    )


def carrying_out() -> str:
    """Phases, roles, timeline."""
    phases = " ".join(f"{one.name} takes {one.weeks} weeks and ends with {one.result}." for one in app.phases)
    named = dict.fromkeys(role for one in app.phases for role in one.roles)
    duties = "; ".join(f"the {role} {DUTIES[role]}" for role in named if role in DUTIES)
    return (
        f"The plan takes {app.weeks} weeks in {len(app.phases)} phases. {phases} No phase begins before the result of the one before was "
        f"judged on the test cases.\n\nRoles and responsibilities: {duties}."
    )


def money() -> str:
    """The bill, the plan, what is uncertain."""
    taken = [f"{step.name} (${step.usd:,.2f}: {step.why})" for step in found.taken]
    refused = [f"{step.name}, because {step.why}" for step in found.steps if step.decision in ("does not apply", "too risky")]
    reached = "reaches" if found.is_reached else "does not reach"
    months = found.projection
    paid = "is not paid back within the year" if months.paid_back is None else f"is paid back in month {months.paid_back}"
    return (
        f"A month costs ${bill:,.2f} with {load.model} alone. "
        + (f"Savings, the least risky first: {in_words(taken)}. " if taken else "No saving applies. ")
        + f"That brings it to ${end:,.2f}, {found.saving:.1%} less, which {reached} the target of {found.target:.0%}. "
        + (f"Left out: {'; '.join(refused)}. " if refused else "")
        + uncertain()
        + f"The work of carrying the savings out is put at ${float(load.one_off_usd):,.0f}, which {paid}. The sheet holds every figure as "
        "a formula, so other assumptions take a minute."
    )


def uncertain() -> str:
    """How far the saving moves when a number of the workload is off."""
    if moved is None:
        return ""
    low, high = (pick(pick(one.saving_low, one.saving_high) for one in moved.moved) for pick in (min, max))
    return f"If one number of the workload is {moved.by:.0%} off, the saving lies between {low:.0%} and {high:.0%}. "


def performance() -> str:
    """What is required and how it is reached."""
    down = (1 - app.needs.availability) * SECONDS / 3600
    return (
        f"An answer may take {app.needs.latency_seconds:g} seconds. The busiest hour is taken as {app.needs.peak:g} times the mean, so "
        f"{peak:,.1f} output tokens a second are needed then. Available {app.needs.availability:.1%} of the time means at most "
        f"{down:.1f} hours of failure a month. Quality is {app.needs.quality}, measured on the fixed test cases before every release and "
        f"on a "
        "sample of real answers every week; a release that is worse on either does not go out. Answers are streamed, equal questions are "
        "answered from a cache, and the fixed part of the prompt stands first, so that the provider can keep it."
    )


def challenges() -> str:
    """Risks with mitigation."""
    return " ".join(f"**{one.risk.capitalize()}**: {one.mitigation}." for one in app.risks) + (
        " **The provider changes a model or a price**: versions are pinned, the test cases run every night, and the fallback has been "
        "practised. **The tests stop resembling real use**: every month a share of them is replaced by cases from the log."
    )


told = {
    "Purpose": purpose(),
    "System architecture": architecture_in_words(),
    "Model selection": choice(),
    "Fine-tuning and fallbacks": tuning(),
    "Implementation plan": carrying_out(),
    "Cost": money(),
    "Performance": performance(),
    "Challenges and mitigations": challenges(),
}
text = sections(told)
print(f"{words(text)} words")

# %% [markdown]
# ## What is written

# %%
made = origin("design", f"scenario {scenario}" if not data else f"description {data}", f"prices of {found.situation.day}")
architecture.save("architecture.png")
PlanReport.of(found).workbook.save("cost_sheet.xlsx")
pictures = {"cost_comparison": quote.figure, "monthly_projection": found.projection.figure, "bill_after_each_step": found.figure}
for name, figure in (pictures | ({} if even is None else {"break_even": even.figure})).items():
    figure.save(f"visualizations/{name}.png")
place = text.index(next(part for part in text if isinstance(part, Heading) and part.text == "Model selection"))
after = text.index(next(part for part in text if isinstance(part, Heading) and part.text == "Cost"))
Document(app.title, [*text[:place], architecture, flows, *text[place:after], timeline, *text[after:], quote.lines, found.table, made]).save(
    "task5_design_document.pdf"
)
Document(
    app.title,
    [
        made,
        f"`task5_design_document.pdf`: the document. `architecture.png`: the components. `cost_sheet.xlsx`: the bill with live formulas. "
        f"Run it "
        f"again: `{command}`; the five scenarios: code_review, medical, legal, tutoring, moderation; your own: `--data description.toml`.",
        *text, architecture, flows, timeline, quote.lines, found.table, found.reasons, *([] if moved is None else [moved.table]),
    ],
).save("README.md")  # fmt: skip
