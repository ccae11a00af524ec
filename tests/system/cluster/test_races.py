# SPDX-License-Identifier: Apache-2.0
"""Many clients on one server at the same moment, on real databases: never do two win, and delete always does."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from pathlib import Path

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.db.base import Base
from nova_lite.db.compute import actions, servers
from nova_lite.db.compute.servers import Server
from nova_lite.db.engine import Database
from nova_lite.lifecycle.servers import ACTIONS, Vm
from nova_lite.values.flavor import Flavor
from tests.support import databases
from tests.support.system.all_in_one import AllInOne

ROUNDS = 15
RIVALS = ("stop", "pause", "suspend", "reboot_soft", "rescue", "resize", "rebuild", "shelve")


@pytest.fixture(scope="module", params=databases.ALL_KINDS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with databases.running(request.param, tmp_path_factory.mktemp(request.param)) as url:
        yield url


@pytest.fixture(scope="module")
def clients(url: str) -> Iterator[list[Database]]:
    """As many API processes as there are rivals: each with connections of its own."""
    made = [Database(url, pool_size=2) for _ in RIVALS]
    Base.metadata.create_all(made[0].engine)
    yield made
    for database in made:
        database.close()


def _server(database: Database) -> str:
    with database.writer() as session:
        server = Server(project_id="p", user_id="u", name="s", hostname="s", flavor=Flavor(id="1", name="f", vcpus=1, ram_mb=1, root_gb=1), vcpus=1, ram_mb=1, total_gb=1,
                        vm_state=str(Vm.ACTIVE), task_state=None, reservation_id="r-1")
        session.add(server)
        session.flush()
        return server.id


def _begin(database: Database, server_id: str, name: str) -> None:
    """As the API does it: find, claim, write down, in one transaction."""
    with database.writer() as session:
        servers.begin(session, servers.get(session, server_id), name)
        actions.add(session, server_id=server_id, name=name, request_id="req-1", user_id="u", project_id="p")


def _race(calls: list[Callable[[], None]]) -> list[bool]:
    """All at the same moment; which ones won."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], None]) -> bool:
        start.wait()
        try:
            call()
        except errors.WrongState:
            return False
        return True

    with futures.ThreadPoolExecutor(len(calls)) as pool:
        return [ran.result(60) for ran in [pool.submit(run, call) for call in calls]]


def _begin_all(clients: list[Database], server_id: str, names: Sequence[str]) -> list[bool]:
    """Each client begins its action at the same moment; which ones won."""
    return _race([functools.partial(_begin, database, server_id, name) for database, name in zip(clients, names, strict=True)])


def _seen(database: Database, server_id: str) -> tuple[str | None, list[str]]:
    """The server's task, and the actions that were written down."""
    with database.reader() as session:
        task = session.scalars(sa.select(Server.task_state).where(Server.id == server_id)).one()
        return task, [action.name for action in actions.of_server(session, server_id)]


def test_of_many_actions_at_once_one_wins(clients: list[Database]) -> None:
    winners: set[str] = set()
    for _ in range(ROUNDS):
        server_id = _server(clients[0])
        won = _begin_all(clients, server_id, RIVALS)
        assert sum(won) == 1
        winner = RIVALS[won.index(True)]
        assert _seen(clients[0], server_id) == (ACTIONS[winner].task, [winner])
        winners.add(winner)
    assert len(winners) > 1, "that was no race"


def test_of_many_that_begin_the_same_one_wins(clients: list[Database]) -> None:
    for _ in range(ROUNDS):
        server_id = _server(clients[0])
        won = _begin_all(clients, server_id, ["stop"] * len(clients))
        assert sum(won) == 1
        assert _seen(clients[0], server_id) == ("powering-off", ["stop"])


def test_delete_wins_over_all_others(clients: list[Database]) -> None:
    for _ in range(ROUNDS):
        server_id = _server(clients[0])
        names = ["delete", *RIVALS[1:]]
        won = _begin_all(clients, server_id, names)
        assert won[0]
        task, written = _seen(clients[0], server_id)
        assert task == "deleting"
        assert len(written) == sum(won) <= 2  # one that came before the delete, at most
        assert written[0] == "delete"


def test_a_hard_reboot_takes_over_what_may_be_stuck_and_nothing_else(clients: list[Database]) -> None:
    for _ in range(ROUNDS):
        server_id = _server(clients[0])
        names = ["reboot_hard", *RIVALS[1:]]
        won = _begin_all(clients, server_id, names)
        winners = {name for name, has_won in zip(names, won, strict=True) if has_won}
        task, written = _seen(clients[0], server_id)
        assert (len(written), set(written), task) == (len(winners), winners, ACTIONS[written[0]].task)
        others = winners - {"reboot_hard"}
        assert len(others) <= 1
        if "reboot_hard" in winners:
            assert written[0] == "reboot_hard"
            assert all(ACTIONS[name].task in ACTIONS["reboot_hard"].over_tasks for name in others)


def test_one_that_ends_and_one_that_begins_do_not_both_hold_the_server(clients: list[Database]) -> None:
    """A worker's late report must not free the server from the action that came after."""
    for _ in range(ROUNDS):
        server_id = _server(clients[0])
        _begin(clients[0], server_id, "stop")

        def finish(of: str = server_id) -> None:
            with clients[1].writer() as session:
                servers.finish(session, of, "stop", power_state=4)

        won = _race([finish, lambda s=server_id: _begin(clients[2], s, "start"), finish])  # type: ignore[misc]
        task, written = _seen(clients[0], server_id)
        assert (task, written[0]) == (("powering-on", "start") if won[1] else (None, "stop"))


def test_of_many_requests_at_once_one_is_accepted(tmp_path: Path) -> None:
    """By HTTP: 202 for one, 409 that names action and state for the others; then a delete ends it."""
    cloud = AllInOne(tmp_path)
    try:
        cloud.start()
        network = cloud.make_network("net", "10.78.0.0/24")
        image = cloud.request("POST", "/image/v2/images", {"name": "i", "disk_format": "raw", "container_format": "bare"})["id"]
        cloud.request("PUT", f"/image/v2/images/{image}/file", data=b"0" * 512)
        server = cloud.boot("raced", image=image, network=network)
        cloud.wait_for_status(server, "ACTIVE")
        start = threading.Barrier(len(BODIES))

        def request(body: dict[str, object]) -> str:
            start.wait()
            try:
                cloud.request("POST", f"/v2.1/servers/{server}/action", body)
            except RuntimeError as refused:
                return str(refused)
            return "202"

        with futures.ThreadPoolExecutor(len(BODIES)) as pool:
            said = list(pool.map(request, BODIES))
        # One that comes when the first is done may win too: its action is allowed in the state that it finds.
        recorded = cloud.request("GET", f"/v2.1/servers/{server}/os-instance-actions")["instanceActions"]
        assert said.count("202") == len(recorded) - 1
        refusals = [text for text in said if text != "202"]
        assert refusals
        assert all(text.startswith("409") and "Cannot '" in text and "_state" in text for text in refusals), said
        cloud.request("DELETE", f"/v2.1/servers/{server}")
        cloud.wait_for_status(server, "GONE")
    finally:
        cloud.stop()


BODIES: tuple[dict[str, object], ...] = (
    {"os-stop": None}, {"pause": None}, {"suspend": None}, {"reboot": {"type": "HARD"}}, {"os-stop": None}, {"pause": None})
