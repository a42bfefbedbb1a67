# %% [markdown]
# # Which word attends to which
#
# The attention of every layer and head for a few sentences, as pages that need no network and no server: point at a word to see where it
# looks, open any layer and head, switch a few of them on beside one another.
#
# Beside this notebook: `attention.html` (the tool), a picture of it, and `README.md`. For any sentence, live: `isinglass lab`.

# %%
from pathlib import Path

from IPython.display import display

import isinglass as ig
from isinglass.inspection.attention import attention
from isinglass.report.document import Document, Heading
from isinglass.show.page import Section, page
from isinglass.show.table import Table
from isinglass.studies.prose import origin

# %% tags=["parameters"]
quick = False  # the cells take seconds as they are
model = "smollm2"
data = ""  # sentences of your own, one on each line of a file
seed = 0

# %% [markdown]
# ## The sentences

# %%
OURS = (
    "The cat did not cross the road because it was too tired.",
    "The cat did not cross the road because it was too wide.",
    "When Mary and John went to the shop, John gave a drink to Mary.",
)
sentences = [line for line in Path(data).read_text("utf-8").splitlines() if line.strip()] if data else list(OURS)
sentences = sentences[:1] if quick else sentences
lm = ig.load(model)
traces = [ig.trace(lm, sentence) for sentence in sentences]

# %% [markdown]
# ## Where heads look
#
# A head that gives most of its weight to the first token does little here; one that looks at the token before is a building block of
# copying. The heads that look back farthest, without the first token, are opened first.

# %%
views = [attention(trace) for trace in traces]


def most_telling(view) -> tuple[int, int]:
    """The head whose weight lies farthest back, among those that do not rest on the first token."""
    rows = [row for row in view.heads.rows if row["to_first"] < 0.5]
    best = max(rows or view.heads.rows, key=lambda row: row["distance"])
    return best["layer"], best["head"]


opened = []
for sentence, trace, view in zip(sentences, traces, views, strict=True):
    layer, head = most_telling(view)
    command = f'isinglass inspect attention {model} "{sentence}" --layer {layer} --head {head} --save attention.html'
    opened.append(attention(trace, layer=layer, head=head, command=command))
display(opened[0].picture)
display(opened[0].looks)

# %% [markdown]
# ## One word in two sentences
#
# The first two sentences differ in their last word, which decides what "it" means. A model that reads from left to right cannot know that
# word when it reads "it": what it makes of "it" must be the same in both. What comes after may differ.

# %%
n_heads = len(views[0].heads.rows)
same_start = len(sentences) > 1 and sentences[0].rsplit(" ", 1)[0] == sentences[1].rsplit(" ", 1)[0]
largest = None
if same_start:
    shared = next(n for n, (one, two) in enumerate(zip(views[0].queries, views[1].queries, strict=False)) if one != two)
    largest = float((views[0].weights[:, :, :shared, :shared] - views[1].weights[:, :, :shared, :shared]).abs().max())
    print(f"{shared} tokens are the same; the largest difference of any weight over them, in {n_heads} heads: {largest:.1e}")

# %% [markdown]
# ## What is written

# %%
how = (
    "Point at a word to see which words it looks at; the arrow keys move. The small pictures are all heads: one row for each layer; a "
    "click opens one. The table below lists for each word where the open head looks."
)
parts = [
    Section(sentence, [f"Opened at layer {view.layer}, head {view.head}: the farthest look back.", how], [view.picture, view.looks])
    for sentence, view in zip(sentences, opened, strict=True)
]
html = page("Which word attends to which", parts)
Path("attention.html").write_text(html, "utf-8")
opened[0].picture.save("attention.png")
print(f"attention.html: {len(html.encode('utf-8')):,} bytes, {len(sentences)} sentences, {n_heads} heads each")

# %%
sinks = [row for row in views[0].heads.rows if row["to_first"] > 0.5]
before = [row for row in views[0].heads.rows if row["to_previous"] > 0.5]
found = (
    f"Of the {n_heads} heads of {model}, {len(sinks)} give more than half of their weight to the first token in the first sentence: they "
    f"rest there (an attention sink). {len(before)} look mostly at the token before."
)
if largest is not None:
    verdict = "nothing that stands later changes it" if largest < 1e-4 else "which is more than rounding explains"
    found += f" Over the words that two sentences share, no weight differs by more than {largest:.1e}: {verdict}."
top = sorted(views[0].heads.rows, key=lambda row: row["to_previous"], reverse=True)[:8]
columns = ("layer", "head", "to_previous", "to_first", "to_itself", "distance")
shares = dict.fromkeys(columns[2:5], "ratio")
heads = Table([{name: row[name] for name in columns} for row in top], title="Heads that look at the token before", units=shares)
Document(
    "Which word attends to which",
    [
        origin("attention-lab", f"model {model}"),
        "`attention.html` is the tool: open it in a browser, no network and no server is needed. It holds every layer and head of the "
        "sentences below. For sentences of your own: `isinglass study attention-lab --out FOLDER --data sentences.txt`, or live with "
        "`isinglass lab`, page Attention.",
        *(f"- {sentence}" for sentence in sentences),
        how,
        Heading("What is seen"),
        found,
        heads,
        opened[0].picture,
    ],
).save("README.md")
