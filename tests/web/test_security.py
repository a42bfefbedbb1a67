"""Who is let in: the token, the cookie, Host, Origin, and what the headers forbid."""

import pytest
from starlette.testclient import TestClient

from isinglass.web.app import LARGEST_BYTES, create_app

ROOT = "http://127.0.0.1:8123"
JOB = {"verb": "tokens", "arguments": {}}  # refused by its arguments, so no worker is needed
CALLS = [("GET", "/"), ("GET", "/predict"), ("GET", "/lab.css"), ("GET", "/static/app.js"), ("GET", "/vega.js"), ("GET", "/api/status"), ("POST", "/api/jobs"), ("DELETE", "/api/jobs/a")]  # fmt: skip


@pytest.fixture
def stranger():
    return TestClient(create_app(model="smollm2", token="secret", port=8123), base_url=ROOT)


@pytest.fixture
def user(stranger):
    assert stranger.get("/?token=secret").status_code == 200
    return stranger


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_without_the_token_nothing_is_answered(stranger, method, path):
    answer = stranger.request(method, path, headers={"Origin": ROOT})
    assert answer.status_code == 403
    assert answer.text == "error: this address lacks the lab's token\nhint: open the address that `isinglass lab` printed in the terminal\n"
    assert "set-cookie" not in answer.headers


def test_a_wrong_token_is_refused(stranger):
    assert stranger.get("/?token=wrong").status_code == 403
    assert stranger.get("/", headers={"Cookie": "isinglass_lab_8123=wrong"}).status_code == 403
    assert stranger.get("/", headers={"Cookie": "isinglass_lab_9999=secret"}).status_code == 403


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_cannot_use(stranger):
    answer = stranger.get("/?token=secret")
    assert answer.headers["set-cookie"] == "isinglass_lab_8123=secret; HttpOnly; SameSite=Strict; Path=/"
    assert stranger.get("/").status_code == 200  # the cookie alone


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8123", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:8123.evil.example", ""])
def test_a_foreign_name_for_this_machine_is_refused(user, host):
    """DNS rebinding: a page of evil.example whose name now means 127.0.0.1 sends its own Host."""
    answer = user.get("/?token=secret", headers={"Host": host})
    assert answer.status_code == 403 and f"the lab is not known as {host!r}" in answer.text


def test_localhost_is_this_machine(user):
    assert user.get("/?token=secret", headers={"Host": "localhost:8123"}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8123", "http://localhost:8123"]
)
def test_another_page_cannot_post(user, origin):
    answer = user.post("/api/jobs", json=JOB, headers={"Origin": origin})
    assert answer.status_code == 403 and f"a page of {origin} may not ask the lab" in answer.text
    assert user.get("/api/status", headers={"Origin": origin}).status_code == 403


def test_a_post_without_an_origin_is_refused(user):
    assert user.post("/api/jobs", json=JOB).status_code == 403
    assert user.delete("/api/jobs/a").status_code == 403


def test_a_post_is_not_let_in_by_a_token_in_its_address(stranger):
    assert stranger.post("/api/jobs?token=secret", json=JOB, headers={"Origin": ROOT}).status_code == 403


def test_every_answer_forbids_other_sources(user):
    for path in ("/", "/lab.css", "/static/app.js", "/static/nothing.js"):
        headers = user.get(path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'self'" and "script-src" not in policy and policy["frame-ancestors"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"


def test_the_users_own_page_may_ask(user):
    answer = user.post("/api/jobs", json=JOB, headers={"Origin": ROOT})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")


def test_a_request_that_is_too_large_is_refused(user):
    answer = user.post("/api/jobs", content=b" " * (LARGEST_BYTES + 1), headers={"Origin": ROOT})
    assert answer.status_code == 413 and answer.json() == {"message": "the request is larger than 2,000,000 bytes"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"verb": "tokens"}', b'{"verb": "tokens", "arguments": 3}'])
def test_what_is_no_job_is_said_to_be_none(user, body):
    answer = user.post("/api/jobs", content=body, headers={"Origin": ROOT})
    assert answer.status_code == 400 and answer.json()["message"].startswith("expected {")
