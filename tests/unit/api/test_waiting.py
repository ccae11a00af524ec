# SPDX-License-Identifier: Apache-2.0
"""Requests that wait for the end of an action: woken by its report, else by a look at the row from time to time."""

from __future__ import annotations

import functools
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oslo_messaging as messaging
import pytest

from nova_lite import errors
from nova_lite.api.wsgi.request import RpcClients
from nova_lite.api.wsgi.waiting import WaitingRequests
from nova_lite.context import Context
from nova_lite.db.compute import actions
from nova_lite.db.engine import Database
from nova_lite.rpc import transport
from nova_lite.rpc.api import ApiRpc
from tests.support import databases
from tests.support.options import defaults
from tests.support.wait import DEADLINE_S, wait_until

NEVER_S = 10 * DEADLINE_S
PAST = 0.0  # of time.monotonic


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = databases.fresh(tmp_path)
    yield database
    database.close()


@pytest.fixture
def bus() -> Iterator[messaging.transport.RPCTransport]:
    conf = defaults()
    conf.register_opts(messaging.transport._transport_opts)
    conf.set_override("transport_url", f"inprocess:///{uuid.uuid4()}")
    bus = transport.connect(conf)
    yield bus
    bus.cleanup()


def waiting(database: Database, bus: Any, *, limit: int = 4, fallback_s: float = NEVER_S) -> WaitingRequests:
    return WaitingRequests(database, functools.partial(RpcClients(bus).serve_api, host="api1"), limit=limit, fallback_s=fallback_s)


def begin(database: Database) -> int:
    with database.writer() as session:
        return actions.record(session, server_id=str(uuid.uuid4()), name="attach_interface", request_id="r", user_id="u", project_id="p")


def end(database: Database, action_id: int) -> None:
    with database.writer() as session:
        action = session.get_one(actions.Action, action_id)
        action.state, action.message = actions.FAILED, "no such device"


def start(requests: WaitingRequests, action_id: int) -> tuple[threading.Thread, list[Any]]:
    outcomes: list[Any] = []
    thread = threading.Thread(
        target=lambda: outcomes.append(requests.wait_for_end(action_id, deadline=time.monotonic() + DEADLINE_S)))
    thread.start()
    return thread, outcomes


def test_an_action_that_has_ended_is_not_waited_for(database: Database, bus: Any) -> None:
    requests, action_id = waiting(database, bus), begin(database)
    end(database, action_id)
    assert requests.wait_for_end(action_id, deadline=PAST) == (actions.FAILED, "no such device")
    requests.stop()


def test_a_report_wakes_the_waiters_of_every_process(database: Database, bus: Any) -> None:
    processes, action_id = [waiting(database, bus) for _ in range(2)], begin(database)
    waiters = [start(requests, action_id) for requests in (*processes, processes[0])]
    wait_until(lambda: all(requests.has_waiters(action_id) for requests in processes), "all to wait")
    end(database, action_id)
    ApiRpc.client(bus).action_ended(Context(), action_id=action_id)
    for thread, outcomes in waiters:
        thread.join(DEADLINE_S)
        assert outcomes == [(actions.FAILED, "no such device")]
    for requests in processes:
        requests.stop()


def test_the_row_is_read_again_where_no_report_comes(database: Database, bus: Any) -> None:
    requests, action_id = waiting(database, bus, fallback_s=0.01), begin(database)
    thread, outcomes = start(requests, action_id)
    wait_until(lambda: requests.has_waiters(action_id), "the request to wait")
    end(database, action_id)
    thread.join(DEADLINE_S)
    assert outcomes == [(actions.FAILED, "no such device")]
    requests.stop()


def test_rows_are_read_where_the_bus_cannot_be_reached(database: Database) -> None:
    def serve(_endpoint: object) -> Any:
        raise OSError("no broker")

    requests, action_id = WaitingRequests(database, serve, limit=1, fallback_s=0.01), begin(database)
    end(database, action_id)
    assert requests.wait_for_end(action_id, deadline=PAST) == (actions.FAILED, "no such device")
    requests.stop()


def test_an_open_action_is_none_at_the_deadline(database: Database, bus: Any) -> None:
    requests, action_id = waiting(database, bus), begin(database)
    assert requests.wait_for_end(action_id, deadline=PAST) is None
    assert not requests.has_waiters(action_id)
    requests.stop()


def test_more_requests_than_may_wait_are_refused(database: Database, bus: Any) -> None:
    requests = waiting(database, bus, limit=1)
    with requests.slot(), pytest.raises(errors.TooBusy), requests.slot():
        pass
    with requests.slot() as slot:
        assert slot is None
