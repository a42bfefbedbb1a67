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
)
LOOKS = ({"width": 1280}, {"width": 1280, "dark": True}, {"width": 768}, {"width": 390})


@pytest.mark.parametrize("path", PAGES)
def test_axe_is_clean_and_nothing_is_wider_than_the_window(open_lab, complaints, path):
    tab = open_lab(path)
    for look in LOOKS:
        tab.emulate_media(color_scheme="dark" if look.get("dark") else "light")
        tab.set_viewport_size({"width": look["width"], "height": 900})
        tab.wait_for_timeout(300)  # until what was dimmed is there again
        assert complaints(tab) == [], look
        assert tab.evaluate("document.documentElement.scrollWidth") <= look["width"], look


def test_who_wants_no_motion_gets_none(open_lab):
    tab = open_lab("/tokens?text=abc")
    tab.emulate_media(reduced_motion="reduce")
    assert tab.evaluate(
        "[...document.querySelectorAll('.lab *')].every(one => getComputedStyle(one).transitionProperty === 'none' || getComputedStyle(one).transitionDuration === '0s')"
    )
