"""The page and its files: what is sent, how large it is, how long it is kept."""

import gzip
import json
import re
import shlex
import subprocess
import sys

import pytest
from starlette.testclient import TestClient

from isinglass.show import theme
from isinglass.web import files
from isinglass.web.app import create_app
from isinglass.web.pages import PAGES
from isinglass.web.verb import names, request

ROOT = "http://127.0.0.1:8123"


@pytest.fixture
def user():
    client = TestClient(create_app(model="a model </script>", token="secret", port=8123), base_url=ROOT, headers={"Origin": ROOT})
    assert client.get("/?token=secret").status_code == 200
    return client


def messages(answer):
    return [json.loads(line[5:]) for line in answer.text.splitlines() if line.startswith("data:")]


def test_the_page_is_one_document_for_every_page_of_the_rail(user):
    pages = [user.get(f"/{name}") for name in ("", *PAGES)]
    assert {page.status_code for page in pages} == {200} and len({page.text for page in pages}) == 1
    assert user.get("/nothing", follow_redirects=False).headers["location"] == "/"
    boot = re.search(r'<script type="application/json" id="boot">(.*?)</script>', pages[0].text)
    assert boot is not None
    assert json.loads(boot[1])["model"] == "a model </script>"  # and the element did not end at the name
    assert json.loads(boot[1])["pages"] == PAGES


def test_each_page_of_the_rail_has_its_module_and_its_verbs():
    for name in PAGES:
        assert set(re.findall(r'\bverb: "(\w+)"', files.modules()[f"pages/{name}.js"])) <= set(names())


def test_own_code_is_small():
    """100 kB gzip in all: the document, the stylesheet and every script but the charts' bundle."""
    texts = [files.own()["index.html"], files.stylesheet(), *files.modules().values()]
    assert sum(len(gzip.compress(text.encode(), 6)) for text in texts) < 100_000


def test_the_stylesheet_has_the_colours_of_the_theme(user):
    style = user.get("/lab.css").text
    assert theme.css_properties() in style
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b", files.own()["lab.css"])  # no colour of its own


def test_no_file_names_another_host():
    for text in [files.own()["index.html"], files.stylesheet(), *files.modules().values()]:
        assert not re.findall(r"""(?:https?:)?//[\w.-]+\.\w+/""", re.sub(r"^\s*//.*$", "", text, flags=re.M))


def test_every_script_says_that_it_is_checked():
    assert all(text.startswith("// @ts-check\n") for text in files.modules().values())


def test_files_are_sent_again_only_when_they_have_changed(user):
    first = user.get("/static/app.js")
    assert first.headers["cache-control"] == "no-cache" and first.headers["content-type"].startswith("text/javascript")
    assert user.get("/static/app.js", headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    assert user.get("/static/show/figure.js").status_code == 200


@pytest.mark.parametrize(
    "path", ["/static/nothing.js", "/static/index.html", "/static/../app.py", "/static/%2e%2e/app.py", "/static/show/../../app.py"]
)
def test_only_scripts_are_files(user, path):
    answer = user.get(path, follow_redirects=False)
    assert answer.status_code in (404, 307) and "__future__" not in answer.text


def test_the_charts_bundle_is_kept_for_good_and_sent_packed(user):
    boot = json.loads(re.search(r'id="boot">(.*?)</script>', user.get("/").text)[1])
    answer = user.get(boot["vega"])
    assert answer.headers["content-encoding"] == "gzip" and "immutable" in answer.headers["cache-control"]
    assert "vegaEmbed" in answer.text and int(answer.headers["content-length"]) < 350_000


def test_pages_and_streams_are_packed(user):
    assert user.get("/lab.css").headers["content-encoding"] == "gzip"
    stream = user.post("/api/jobs", json={"verb": "nothing", "arguments": {}})
    assert stream.headers["content-encoding"] == "gzip" and messages(stream)[0]["type"] == "failed"
    plain = user.get("/lab.css", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers and plain.text == files.stylesheet()


def test_wrong_requests_are_told_in_the_house_form(user):
    unknown = messages(user.post("/api/jobs", json={"verb": "predikt", "arguments": {}}))[-1]
    assert unknown["message"] == "unknown verb of the lab 'predikt'" and unknown["hint"] == "did you mean 'predict'?"
    wrong = messages(user.post("/api/jobs", json={"verb": "predict", "arguments": {"text": "a", "model": "m", "top": "many", "tip": 1}}))[
        -1
    ]
    assert wrong["message"].startswith("predict.top = 'many': Input should be a valid integer")
    assert wrong["details"][0].startswith("unknown key 'predict.tip'")


def test_the_server_imports_no_torch():
    """All requests are checked in the server, which must start at once and stay small."""
    code = "import sys, isinglass.web.server; from isinglass.web.verb import names, request; import importlib; [importlib.import_module('isinglass.web.verbs.' + n) for n in names()]; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


OF_NO_MODEL = {"words", "cost", "workbook", "count", "ask"}  # of prices, of files, of documents: their own tests run what they copy


@pytest.mark.parametrize("name", sorted(set(names()) - {"attention_row", "train"} - OF_NO_MODEL))
def test_each_verb_says_how_else_to_do_it(name):
    given = {"text": "it's", "model": "my model"} if name != "model" else {"model": "my model"}
    verb = request(name, given)
    compile(verb.python, name, "exec")
    assert "'my model'" in verb.python
    assert not verb.command or "my model" in " ".join(shlex.split(verb.command))  # some have no command line
