# SPDX-License-Identifier: Apache-2.0
"""A network worker as a process of its own, driven by JSON lines: tests kill it and start it in other namespaces."""

from __future__ import annotations

import json
import sys
from concurrent import futures
from typing import Any

from nova_lite import conf as options
from nova_lite import errors
from nova_lite.context import Context
from nova_lite.network.driver import NetworkDriver
from nova_lite.network.service import make_driver
from nova_lite.rpc.network import (
    Forwarding,
    ForwardingChange,
    Network,
    NetworkState,
    Revisions,
    SecurityGroup,
    SecurityGroupChange,
    ServerPorts,
)
from nova_lite.rpc.payload import from_wire, to_wire
from nova_lite.worker.orders import order_of_fence


class Rows:
    """Stands for the conductor: answers with the state that the test has given last."""

    def __init__(self) -> None:
        self._state = NetworkState()
        self._addresses: tuple[str, ...] = ()
        self._forwarding: tuple[Forwarding, ...] = ()

    def set_rows(self, state: NetworkState) -> None:
        self._state = state

    def set_addresses(self, addresses: tuple[str, ...]) -> None:
        self._addresses = addresses

    def set_forwarding(self, forwarding: tuple[Forwarding, ...]) -> None:
        self._forwarding = forwarding

    def forwarding(self, ctxt: Context, *, network_ids: tuple[str, ...]) -> tuple[Forwarding, ...]:
        return tuple(one for one in self._forwarding if one.network_id in network_ids)

    def network_state(
        self, ctxt: Context, *, agent: str, group_ids: tuple[str, ...], network_ids: tuple[str, ...], server_ids: tuple[str, ...]
    ) -> NetworkState:
        return self._state

    def cloud_addresses(self, ctxt: Context) -> tuple[str, ...]:
        return self._addresses

    def post_password(self, ctxt: Context, *, server_id: str, password: str) -> None:
        raise errors.Conflict(reason=f"server {server_id} posted {password}")


ROWS = Rows()


def main() -> int:
    """Recover, then answer one line `{"method", "arguments"}` after the other until stdin ends.

    The method `at_once` takes a list of such requests and does them in eight threads, in any order; `set_rows`,
    `set_forwarding` and `set_addresses` say what the worker finds when it fetches.
    """
    conf = options.load(sys.argv[1:], files=[])
    driver = make_driver(conf, source=ROWS)
    driver.recover()
    print(json.dumps({"ready": True}), flush=True)
    with futures.ThreadPoolExecutor(8) as pool:
        for line in sys.stdin:
            request = json.loads(line)
            if request["method"] == "at_once":
                answers = pool.map(lambda one: answer(driver, one), request["arguments"][0])
                print(json.dumps({"result": list(answers)}), flush=True)
            else:
                print(json.dumps(answer(driver, request)), flush=True)
    driver.stop()
    return 0


def answer(driver: NetworkDriver, request: dict[str, Any]) -> dict[str, Any]:
    """What the driver returns, as JSON types; a deliberate error as its name and text."""
    types = {
        "prepare": ServerPorts, "refresh": ServerPorts, "update_groups": tuple[SecurityGroup, ...],
        "change_groups": tuple[SecurityGroupChange, ...], "update_networks": tuple[Network, ...], "set_rows": NetworkState,
        "set_addresses": tuple[str, ...], "set_forwarding": tuple[Forwarding, ...],
        "change_forwarding": tuple[ForwardingChange, ...], "check_revisions": Revisions}
    arguments = [from_wire(types.get(request["method"], Any), value) for value in request["arguments"]]
    named = dict(request.get("named", {}))
    if "fence" in named:
        named["order"] = order_of_fence(named.pop("fence"))
    subject = ROWS if request["method"].startswith("set_") and request["method"] != "set_peers" else driver
    try:
        return {"result": to_wire(getattr(subject, request["method"])(*arguments, **named))}
    except errors.NovaLiteError as error:
        return {"error": type(error).__name__, "text": error.text}

