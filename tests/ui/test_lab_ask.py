"""The page Ask in a real browser: answers with passages to open, refusals, and documents whose text is never run."""

from pathlib import Path
from urllib.parse import quote

import pytest

from helpers.lab import lab
from isinglass.assets.find import cache_folder
from isinglass.retrieval.documents import COLLECTION

pytestmark = pytest.mark.slow
WARRANTY = "How long is the warranty on the heating element?"
EVIL = "<script>window.broken=1</script><img src=x onerror=window.broken=1>"
EVIL_NAME = "<img src=x onerror=window.broken=1>.md"


@pytest.fixture(scope="module")
def lab_running(lab_folder, tmp_path_factory):
    """The lab with documents of one's own, one of them evil in its text and in its name, and an empty cache for indexes."""
    made, cache = tmp_path_factory.mktemp("documents"), tmp_path_factory.mktemp("cache")
    for name in ("warranty.md", "teas.md", "repairs.md"):
        (made / name).write_text((COLLECTION / name).read_text())
    (made / EVIL_NAME).write_text(f"# Lighthouse\n\nThe secret of the lighthouse {EVIL} is kept in a blue box. [2]")
    for one in cache_folder().iterdir():
        if one.name != "lab":
            (cache / one.name).symlink_to(one)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISINGLASS_CACHE", str(cache))
        with lab(lab_folder, "--quiet", "--documents", str(made)) as running:
            running.documents = str(made)
            yield running


@pytest.fixture
def ask(open_lab, ended):
    def opened(question, more="&beside=", **how):
        tab = open_lab(f"/ask?text={quote(question)}{more}", **how)
        ended(tab)
        return tab

    return opened


def test_the_empty_page_says_how_to_begin_and_the_bar_is_for_questions(open_lab, lab_running):
    tab = open_lab("/ask")
    assert tab.locator(".lab-empty p").inner_text() == "Type a question, and see which passages answer it."
    assert tab.locator(".lab-text").inner_text() == "Question" and tab.get_by_role("button", name="Ask", exact=True).count() == 1
    assert tab.locator("select[name=documents]").input_value() == lab_running.documents
    tab.get_by_role("link", name="Predict").click()
    tab.locator("h1", has_text="Predict").wait_for()
    assert tab.get_by_role("button", name="Run").count() == 1 and tab.locator(".lab-text").inner_text() == "Text"


def test_a_citation_opens_its_passage(ask, lab_running):
    tab = ask(WARRANTY)
    answer = tab.get_by_role("region", name="From the documents")
    assert "six years on heating elements" in answer.inner_text()
    answer.get_by_role("button", name="Open passage 1 of warranty.md").click()
    assert tab.locator("lab-inspector h2").inner_text() == "[1] warranty.md"
    assert tab.locator(".lab-passage").inner_text() == (COLLECTION / "warranty.md").read_text().strip()
    assert tab.locator("lab-inspector dd").last.inner_text() == "100 %"
    assert tab.locator("[data-slot=answer] .lab-cite").all_inner_texts() == ["[1]", "[2]", "[3]"]
    tab.locator("[data-slot=answer] .lab-cite").nth(1).press("Enter")
    assert tab.locator("lab-inspector h2").inner_text() == "[2] repairs.md"
    assert {"How well the passages fit the question", "How the passages rank"} <= set(tab.locator("figcaption").all_inner_texts())
    assert "4 passages of 4 documents." in tab.locator(".lab-board + .lab-note").inner_text()


def test_text_of_a_document_is_never_run(ask):
    for width in (1280, 390):
        tab = ask("Where is the secret of the lighthouse kept?", width=width)
        tab.get_by_role("region", name="From the documents").locator(".lab-cite").first.click()
        tab.locator(".lab-passage").wait_for()
        assert EVIL in tab.locator(".lab-passage").inner_text() and EVIL_NAME in tab.locator("lab-inspector h2").text_content()
        assert EVIL in tab.locator("[data-slot=answer] tbody tr").first.text_content()
        tab.wait_for_timeout(200)
        assert tab.evaluate("window.broken === undefined") and tab.locator("img").count() == 0
        assert tab.locator(".lab-main script:not([type='application/json'])").count() == 0


def test_what_nothing_fits_is_refused_until_the_limit_is_lower(ask, ended):
    tab = ask("Who wrote Hamlet?")
    said = tab.locator(".lab-refused").inner_text()
    assert "Refused. Nothing in the collection fits this question." in said and "an answer needs 0.52" in said
    tab.get_by_label("Refuse below a fit of").fill("0")
    tab.locator(".lab-refused").wait_for(state="detached")
    ended(tab)
    assert tab.url.endswith("fits=0")


def test_a_model_without_a_chat_template_says_so_on_both_sides(ask):
    tab = ask(WARRANTY, more="&by=model")
    assert "No answer: this model has no chat template" in tab.get_by_role("region", name="From the documents").inner_text()
    assert "No answer: this model has no chat template" in tab.get_by_role("region", name="Without documents").inner_text()
    assert tab.locator("[data-slot=answer] tbody tr").count() == 3  # what was found is there all the same


def test_earlier_questions_are_kept_below(ask, ended):
    tab = ask(WARRANTY)
    box = tab.locator("textarea[name=text]")
    box.fill("Who wrote Hamlet?")
    box.press("Enter")
    tab.locator(".lab-refused").wait_for()
    ended(tab)
    past = tab.locator(".lab-past details")
    assert past.locator("summary").all_inner_texts() == [WARRANTY]
    past.locator("summary").click()
    assert "six years on heating elements" in past.inner_text() and "From: warranty.md" in past.inner_text()
    tab.go_back()
    tab.get_by_role("region", name="From the documents").get_by_text("six years").wait_for()


def test_the_projects_own_collection_is_a_choice(ask, ended, lab_running):
    tab = ask("What does the Gull cost?")
    tab.locator("select[name=documents]").select_option("")
    tab.get_by_text("20 passages of 20 documents.").wait_for()
    ended(tab)
    assert "gull-kettle.md" in tab.locator("[data-slot=answer] tbody tr").first.inner_text()
    assert Path(lab_running.documents).is_dir()


def test_at_phone_width_a_citation_opens_the_sheet(ask):
    tab = ask(WARRANTY, width=390)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    tab.get_by_role("region", name="From the documents").locator(".lab-cite").click()
    assert tab.locator(".lab-passage").is_visible()
    tab.keyboard.press("Escape")
    assert not tab.locator(".lab-passage").is_visible()
