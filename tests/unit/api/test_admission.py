# SPDX-License-Identifier: Apache-2.0
"""Which share and tenant a request counts for, and what is refused while conductors are behind."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from nova_lite.api.wsgi.admission import ApiPolicy, Backlog
from nova_lite.context import Context
from nova_lite.db.compute import actions, backlog
from nova_lite.runtime.http import head
from nova_lite.runtime.http.admission import Refusal
from tests.support import databases


def request(line: str, token: str = "") -> head.Head:
    return head.parse(f"{line} HTTP/1.1\r\nHost: h\r\nX-Auth-Token: {token}".encode())


def read_once(counts: Mapping[str, int], *, most: int) -> Backlog:
    """A backlog that has just read these counts, and reads no more."""
    known = Backlog(lambda: counts, most=most, fresh_s=1e6, valid_s=1e6)
    known.read()
    return known


@pytest.mark.parametrize(("line", "share"), [
    ("GET /v2.1/servers", "reads"), ("HEAD /v2.1/servers/x", "reads"), ("POST /v2.1/servers", "writes"), ("DELETE /v2.1/servers/x", "writes"),
    ("POST /identity/v3/auth/tokens", "logins"), ("GET /identity/v3/auth/tokens", "reads"),
    ("POST /identity/v3/users/x/password", "logins"), ("POST /identity/v3/users/x/application_credentials", "logins"),
    ("POST /identity/v3/auth/tokens/", "logins"), ("POST /identity/v3/auth//tokens", "logins"),
    ("POST /identity/v3/auth/token%73", "logins"), ("PUT /image/v2/images/x/fil%65", "transfers"),
    ("PUT /image/v2/images/x/file", "transfers"), ("GET /image/v2/images/x/file", "transfers"),
])
def test_each_request_has_a_share(line: str, share: str) -> None:
    assert ApiPolicy(read_once({}, most=1)).share(request(line)) == share


def test_a_tenant_is_an_address_until_its_token_is_known() -> None:
    policy = ApiPolicy(read_once({}, most=1))
    strange = policy.tenant(request("GET /", "t"), "192.0.2.1")
    policy.learn(request("GET /", "t"), {"nova.context": Context(project_id="p")})
    assert (strange, policy.tenant(request("GET /", "t"), "192.0.2.1")) == ("192.0.2.1", "p")


def test_new_servers_are_refused_while_the_line_is_full_and_nothing_else_is() -> None:
    policy = ApiPolicy(read_once({"p": 3}, most=3))
    policy.learn(request("GET /", "t"), {"nova.context": Context(project_id="p")})
    refusal = Refusal(503, 5, "Too many requests are queued; try again shortly.")
    assert policy.refusal(request("POST /v2.1/servers", "t")) == refusal
    assert policy.refusal(request("POST /v2.1/server%73", "t")) == refusal
    assert policy.refusal(request("POST /v2.1//servers/", "t")) == refusal
    assert policy.refusal(request("DELETE /v2.1/servers/x", "t")) is None
    assert policy.refusal(request("POST /v2.1/servers/x/action", "t")) is None


def test_another_project_finds_a_place_beside_one_that_fills_the_line() -> None:
    queue = read_once({"greedy": 100}, most=100)
    assert queue.refusal("modest") is None
    queue.taken("modest")
    refusal = queue.refusal("greedy")
    assert refusal is not None
    assert refusal.status == 429


def test_what_was_let_in_since_the_last_look_counts() -> None:
    policy = ApiPolicy(read_once({"p": 1}, most=3))
    create = request("POST /v2.1/servers", "t")
    policy.learn(create, {"nova.context": Context(project_id="p")})
    policy.admitted(request("POST /v2.1/servers/x/action", "t"))
    policy.admitted(create)
    assert policy.refusal(create) is None
    policy.admitted(create)
    assert policy.refusal(create) is not None


def test_a_request_that_ends_without_an_action_counts_no_more() -> None:
    queue = read_once({"p": 1}, most=2)
    over = queue.taken("p")
    assert queue.refusal("p") is not None
    over(False)
    assert queue.refusal("p") is None


def test_an_action_counts_from_its_request_until_a_conductor_has_begun_it() -> None:
    """Under way, answered, and found by the next look at the database; each once."""
    rows: dict[str, int] = {}
    queue = Backlog(lambda: rows, most=1, fresh_s=1e6, valid_s=1e6)
    queue.read()
    over = queue.taken("p")
    queue.read()
    assert queue.refusal("p") is not None, "under way"
    over(True)
    assert queue.refusal("p") is not None, "answered"
    rows["p"] = 1
    queue.read()
    assert queue.refusal("p") is not None, "in the database"
    rows.clear()
    queue.read()
    assert queue.refusal("p") is None, "begun"


def test_an_action_that_is_made_while_the_rows_are_read_is_not_forgotten() -> None:
    ended: list[Callable[[bool], None]] = []

    def count() -> Mapping[str, int]:
        for over in ended:
            over(True)
        return {}

    queue = Backlog(count, most=1, fresh_s=1e6, valid_s=1e6)
    queue.read()
    ended.append(queue.taken("p"))
    queue.read()
    assert queue.refusal("p") is not None


def test_counts_that_are_too_old_refuse_nothing() -> None:
    clock = [0.0]
    queue = Backlog(lambda: {"p": 9}, most=1, fresh_s=1e6, clock=lambda: clock[0])
    queue.read()
    assert queue.refusal("p") is not None
    clock[0] = 60.0
    assert queue.refusal("p") is None


def test_actions_that_no_conductor_has_begun_are_counted_by_project(tmp_path: Path) -> None:
    database = databases.fresh(tmp_path)
    with database.writer() as session:
        for project, state in (("a", actions.QUEUED), ("a", actions.QUEUED), ("b", actions.QUEUED), ("b", actions.RUNNING)):
            actions.record(session, server_id=str(uuid.uuid4()), name="build", request_id="r", user_id="u", project_id=project, state=state)
    with database.reader() as session:
        assert backlog.count_by_project(session) == {"a": 2, "b": 1}
    database.close()
