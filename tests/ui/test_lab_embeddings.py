"""The page Embeddings in a real browser: map, senses, and words that are learned there."""

from urllib.parse import quote

import pytest

from isinglass.embedding.collections import topics
from isinglass.embedding.word_vectors import load_vectors

pytestmark = pytest.mark.slow
EVIL = "</script><img src=x onerror=window.broken=1>"


def option_names(tab):
    """The fields that are there to be used."""
    return tab.locator(".lab-options label:visible > span").all_inner_texts()


def test_the_map_is_there_at_once_and_says_whole_texts(open_lab, ended):
    tab = open_lab("/embeddings?by=bar")
    ended(tab)
    assert tab.locator("figcaption").first.inner_text() == "The texts in a plane: PCA"
    assert "Purity of the groups: " in tab.locator("[data-slot=groups] .lab-note").inner_text()
    tab.locator("[data-slot=map] ig-figure svg .layer_0_marks path").nth(2).hover()
    tab.locator("lab-inspector dd", has_text=f"3 {topics().texts[2]}").wait_for()
    assert tab.locator("[data-slot=alike] ig-figure svg").count() == 1
    for command in tab.locator("[data-slot=map] .ig-command, [data-slot=alike] .ig-command").all_inner_texts():
        assert command.startswith("isinglass embed ")


def test_own_texts_by_typing_and_what_is_nearest(open_lab, ended, lab_folder):
    tab = open_lab("/embeddings?by=bar&text=a+lion")
    field = tab.get_by_role("textbox", name="Texts")
    field.fill("a cat\na lynx\nstocks fell\n" + EVIL)
    field.press("Tab")
    tab.locator("[data-slot=nearest] td", has_text="a lynx").wait_for()
    ended(tab)
    assert "texts=a+cat%0Aa+lynx" in tab.url and tab.locator("[data-slot=map] tbody tr").count() == 4
    tab.locator("select[name=method]").select_option("tsne")
    tab.get_by_text("The texts in a plane: t-SNE").first.wait_for()
    ended(tab)
    assert tab.evaluate("window.broken === undefined") and tab.locator("img").count() == 0
    tab.get_by_role("button", name="Copy as command").click()
    tab.get_by_text("Copied").wait_for()
    copied = tab.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"isinglass embed map --model {lab_folder} 'a cat' 'a lynx'")
    field.fill("one\ntwo")
    field.press("Tab")
    tab.locator(".lab-failed", has_text="2 texts make no map").wait_for()
    tab.reload()
    tab.locator(".lab-failed", has_text="2 texts make no map").wait_for()
    assert tab.get_by_role("textbox", name="Texts").input_value() == "one\ntwo"


def test_each_view_has_its_own_options(open_lab, ended):
    tab = open_lab("/embeddings?by=bar&view=senses")
    ended(tab)
    assert option_names(tab)[-3:] == ["Vectors by", "Word", "Sentences"]
    assert tab.get_by_text("How alike 'bank' is to itself").count()
    field = tab.get_by_role("textbox", name="Word", exact=True)
    field.fill("apple")
    field.press("Enter")
    tab.get_by_text("How alike 'apple' is to itself").first.wait_for()
    own = tab.get_by_role("textbox", name="Sentences")
    own.fill("fruit: An apple a day.\nfruit: A red apple.\nfirm: Apple sells phones.\nfirm: Shares of Apple fell.")
    own.press("Tab")
    with tab.expect_download() as waiting:
        tab.get_by_role("button", name="senses.toml").click()
    assert '[firm]\nsentences = [\n    "Apple sells phones."' in waiting.value.path().read_text()


def test_words_are_learned_stopped_and_learned_anew(open_lab, ended, tmp_path):
    source, file = tmp_path / "text.txt", tmp_path / "words.safetensors"
    source.write_text("\n\n".join(["the cat sat on the mat", "the dog sat on the rug", "the king sat on the throne"] * 80))
    way = quote("word2vec(d=8, epochs=100000)")
    tab = open_lab(f"/embeddings?view=words&nearest=cat&sums={quote('king - cat + dog')}&source={source}&vectors={file}&way={way}")
    ended(tab)
    assert "There are no vectors in" in tab.locator(".lab-empty").inner_text()
    assert tab.locator(".lab-recipe").inner_text().endswith(f"--out {file}")
    tab.get_by_role("button", name="Learn them here").click()
    tab.locator(".lab-doing", has_text="words per second").wait_for()
    tab.locator(".lab-work button").click()
    tab.get_by_text("Stopped. What was learned until then is kept.").wait_for()
    tab.get_by_text("The nearest words").first.wait_for()
    held = load_vectors(file)
    assert held.vectors.shape[1] == 8
    assert tab.locator("[data-slot=answers] tbody tr").first.locator("td").nth(1).inner_text() == held.nearest("cat", 1)[0].word
    tab.locator("summary", has_text="How they are learned").click()
    method = tab.get_by_label("Method")
    method.fill("word2vec(d=4, epochs=1)")
    method.press("Enter")
    tab.get_by_role("button", name="Learn them anew").click()
    tab.get_by_text("words with 4 numbers each").wait_for()


@pytest.mark.parametrize("view", ["map", "senses", "words"])
def test_nothing_is_wider_than_a_phone(open_lab, ended, view):
    tab = open_lab(f"/embeddings?by=bar&view={view}&vectors=nowhere/words.safetensors", width=390)
    ended(tab)
    tab.wait_for_timeout(100)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
