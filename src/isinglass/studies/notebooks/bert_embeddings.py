# %% [markdown]
# # BERT embeddings and similarity
#
# Twenty sentences, five each about technology, sports, food and weather, go through a real BERT (MiniLM). Do sentences of one topic lie
# together? The matrix of cosines, PCA and t-SNE show it; purity and silhouette say it in numbers.
#
# Beside this notebook: `visualizations/`, `report.pdf` and `README.md`. Everything in them is of this run.

# %%
from IPython.display import display

import isinglass as ig
from isinglass.embedding.classifier import classified
from isinglass.embedding.collections import Labelled, senses, topics
from isinglass.embedding.senses import senses_of
from isinglass.report.document import Document, Heading
from isinglass.retrieval.citations import content_words
from isinglass.studies.prose import origin, sections, words

# %% tags=["parameters"]
quick = False  # the cells take seconds as they are
data = ""  # sentences of your own: a csv, tsv or jsonl file with text and label
model = "minilm"
seed = 0

# %% [markdown]
# ## The sentences

# %%
if data:
    from isinglass.data.sources import read

    records = list(read(data))
    given = Labelled(tuple(record.text for record in records), tuple(str(record["label"]) for record in records))
else:
    given = topics()
kinds = sorted(set(given.labels))
for text, label in zip(given.texts, given.labels, strict=True):
    print(f"{label:12} {text}")

# %% [markdown]
# ## Vectors, and how alike they are
#
# One vector for each sentence: the mean over its tokens, of length 1. The product of two is their cosine.

# %%
lm = ig.load(model)
found = ig.embed(lm, given.texts)
print(found.vectors.shape)
matrix = found.similarity().figure
display(matrix)

# %%
ends = found.pairs(3)
display(ends.table)

# %% [markdown]
# ## In a plane
#
# PCA keeps the directions in which the vectors vary most; t-SNE keeps neighbours together.

# %%
pca, tsne = (found.map(method, labels=given.labels, seed=seed) for method in ("pca", "tsne"))
display(pca.figure)
display(tsne.figure)

# %% [markdown]
# ## Groups without labels
#
# k-means does not know the topics. Purity is the share of sentences whose topic is the most frequent of their group.

# %%
groups = found.clusters(len(kinds), labels=given.labels, seed=seed)
display(groups.table)
folds = min(5, *(given.labels.count(kind) for kind in kinds))
known = classified(found, given.labels, folds=folds)
display(known.table)

# %% [markdown]
# ## One word, two senses
#
# A static vector of "bank" is the same beside a river and beside money. What does this model make of it, layer by layer?

# %%
bank = senses_of(lm, "bank", senses("bank"))
display(bank.table)
display(bank.figure)

# %%
pictures = {"similarity_heatmap": matrix, "pca": pca.figure, "tsne": tsne.figure, "bank_by_layer": bank.figure}
for name, figure in pictures.items():
    figure.save(f"visualizations/{name}.png")

# %% [markdown]
# ## What was found

# %%
cosines, labels = found.cosines, given.labels
pairs = [(i, j) for i in range(len(labels)) for j in range(i)]
same = [float(cosines[i, j]) for i, j in pairs if labels[i] == labels[j]]
other = [float(cosines[i, j]) for i, j in pairs if labels[i] != labels[j]]
within, across = sum(same) / len(same), sum(other) / len(other)
most, least = ends.most[0], ends.least[0]
last = bank.table.rows[-1]


def clusters_together() -> str:
    """The first question."""
    verdict = "Yes" if groups.purity > 0.8 else "In part" if groups.purity > 0.5 else "No"
    return (
        f"{verdict}. k-means, which is told the number of topics and nothing else, puts {groups.purity:.0%} of the {len(labels)} "
        f"sentences into "
        f"a group of their own topic. Two sentences of one topic have a cosine of {within:.2f} on average, two of different topics "
        f"{across:.2f}. "
        f"The silhouette of the topics is {groups.label_silhouette:.2f} in all {found.vectors.shape[1]} dimensions: "
        + ("the groups touch, they are no islands. " if groups.label_silhouette < 0.25 else "the groups stand apart. ")
        + f"A logistic regression on the vectors names {known.accuracies['vectors']:.0%} of the topics rightly on sentences it has not "
        f"seen; on "
        f"words alone (TF-IDF) {known.accuracies['TF-IDF']:.0%}. So the vectors hold what the sentences are about, also where they "
        f"share no word."
    )


def which_map() -> str:
    """The second question."""
    better, worse = ("t-SNE", "PCA") if tsne.separation > pca.separation else ("PCA", "t-SNE")
    values = {"PCA": pca.separation, "t-SNE": tsne.separation}
    return (
        f"{better} separates the topics better: the silhouette in its plane is {values[better]:.2f}, in that of {worse} "
        f"{values[worse]:.2f}. For PCA "
        f"{pca.notes[0]}; what tells the topics apart lies in more than two directions. t-SNE is free to bend, and pulls neighbours "
        f"together "
        f"({tsne.notes[0].partition(',')[0]}). Its distances between groups mean little, and another seed turns the picture; PCA's "
        f"axes are fixed."
    )


def ends_of_the_order() -> str:
    """The third question."""

    def pair(one) -> str:
        first, second = (f'"{given.texts[place]}" ({labels[place]})' for place in (one.first, one.second))
        return f"{first} and {second}, cosine {one.cosine:.2f}"

    return f"Most alike: {pair(most)}. Least alike: {pair(least)}."


def what_it_tells() -> str:
    """The fourth question."""
    first, second = (content_words(given.texts[place]) for place in (most.first, most.second))
    shares = f"shares {len(first & second)} of its content words" if first & second else "shares no word that carries anything"
    return (
        f"The most similar pair {shares}, so likeness here is more than common words. Meaning depends on the sentence: for "
        f'"bank", the embedding gives one vector, and at the last layer the cosine is {last["within"]:.2f} within a sense and '
        f"{last['across']:.2f} across, enough for {last['right']:.0%} of the sentences to find a neighbour of their own sense. Its "
        f"limits show as "
        f"well: the lowest cosine of all is {least.cosine:.2f}, so a cosine of {across:.2f} means unrelated, not somewhat related; and "
        f"{len(labels)} "
        f"sentences are few, "
        "so a single one moves the purity by "
        f"{1 / len(labels):.0%}. The model is {model}, trained on pairs of sentences; BERT as it was pretrained gives vectors that are "
        f"less useful."
    )


answers = {
    "Do similar topics cluster together?": clusters_together(),
    "Which picture separates the topics better?": which_map(),
    "The most similar and the most dissimilar pair": ends_of_the_order(),
    "What does this tell about the model's understanding?": what_it_tells(),
}
text = sections(answers)
made = origin("embeddings", f"model {model}, seed {seed}")
print(f"{words(text)} words")
Document("BERT embeddings and similarity", [*text, tsne.figure, made]).save("report.pdf")
Document(
    "BERT embeddings and similarity",
    [made, *text, Heading("Figures and tables"), matrix, pca.figure, tsne.figure, ends.table, groups.table, known.table, bank.table],
).save("README.md")
