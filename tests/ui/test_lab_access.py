"""axe-core finds nothing to object to, in light, dark and at phone width."""

import pytest

pytestmark = pytest.mark.slow
PAGES = (
    "/",
    "/tokens?text=Hello+world",
    "/predict?text=Hello+world&normalizations=l1",
    "/predict?text=a&model=smollm3",  # an error
    "/attention?text=Hello+world",
    "/attention?text=ab+cd&view=heads",
    "/layers?text=ab+cd",
    "/layers?text=ab+cd&view=contributions",
    "/intervene?text=abcd&corrupted=abxd",
    "/intervene?text=abcd&doing=ablate&cut=0.1",
    "/intervene?text=abcd&doing=steer",
    "/generate?text=ab+cd&max_tokens=3",
    "/train?text=ab&folder=nowhere/run",
    "/embeddings?text=ab+cd&by=bar",
    "/embeddings?text=ab&view=senses&by=bar",
    "/embeddings?text=ab&view=words&vectors=nowhere/words.safetensors",
    "/cost?text=ab",
    "/ask?text=Who+wrote+Hamlet%3F",
    "/ask?text=How+long+is+the+warranty+on+heating+elements%3F",
)


@pytest.mark.parametrize("path", PAGES)
def test_axe_is_clean_and_nothing_is_wider_than_the_window(open_lab, complaints, path):
    tab = open_lab(path, dark=True)
    for width, scheme in ((1280, "dark"), (768, None), (390, "light")):
        tab.set_viewport_size({"width": width, "height": 900})
        if scheme:
            tab.emulate_media(color_scheme=scheme)
        tab.wait_for_timeout(300)  # until what was dimmed is there again
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert not scheme or complaints(tab) == []


def test_who_wants_no_motion_gets_none(open_lab):
    tab = open_lab("/tokens?text=abc")
    tab.emulate_media(reduced_motion="reduce")
    assert tab.evaluate(
        "[...document.querySelectorAll('.lab *')].every(one => getComputedStyle(one).transitionProperty === 'none' || getComputedStyle(one).transitionDuration === '0s')"
    )
