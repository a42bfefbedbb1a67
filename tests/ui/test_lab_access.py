"""axe-core finds nothing to object to, in light, dark and at phone width."""

from importlib import resources

import pytest

pytestmark = pytest.mark.slow
PAGES = (
    "/",
    "/tokens?text=Hello+world",
    "/predict?text=Hello+world&normalizations=l1",
    "/attention?text=Hello+world",
    "/predict?text=a&model=smollm3",
)


@pytest.fixture(scope="module")
def axe():
    return resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("look", [{}, {"dark": True}, {"width": 390}], ids=["light", "dark", "phone"])
def test_axe_is_clean(open_lab, axe, path, look):
    tab = open_lab(path, **look)
    tab.wait_for_timeout(300)  # until what was dimmed is there again
    tab.evaluate(axe)
    found = tab.evaluate("axe.run()")
    assert len(found["passes"]) > 10
    complaints = [f"{one['id']}: {node['html'][:200]}" for one in found["violations"] for node in one["nodes"][:3]]
    assert not complaints, "\n".join(complaints)


def test_who_wants_no_motion_gets_none(open_lab):
    tab = open_lab("/tokens?text=abc")
    tab.emulate_media(reduced_motion="reduce")
    assert tab.evaluate(
        "[...document.querySelectorAll('.lab *')].every(one => getComputedStyle(one).transitionProperty === 'none' || getComputedStyle(one).transitionDuration === '0s')"
    )
