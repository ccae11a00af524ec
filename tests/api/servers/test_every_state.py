# SPDX-License-Identifier: Apache-2.0
"""Every action in every state: it is accepted where Nova accepts it, else it is a 409 that names action and state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nova_lite.api import compute
from nova_lite.api.wsgi.routing import routes_of
from nova_lite.db.base import utcnow
from nova_lite.db.compute.flavors import Flavor
from nova_lite.lifecycle.servers import Vm
from tests.support.api import compute_api
from tests.support.api.compute_api import ComputeApi, act, boot, message, settle

STATES = sorted(set(Vm) - {Vm.BUILDING, Vm.DELETED})
_DISKS = {"active", "stopped", "paused", "suspended"}
_ANY = {str(state) for state in STATES}
# Action, its body, the name in the refusal, and the states that let it pass: Nova's guards, written down here once more.
GUARDS: list[tuple[str, Any, str, set[str]]] = [
    ("os-start", None, "start", {"stopped"}),
    ("os-stop", None, "stop", {"active", "error"}),
    ("reboot", {"type": "SOFT"}, "reboot", {"active"}),
    ("reboot", {"type": "HARD"}, "reboot", {"active", "stopped", "paused", "suspended", "error"}),
    ("pause", None, "pause", {"active"}),
    ("unpause", None, "unpause", {"paused"}),
    ("suspend", None, "suspend", {"active"}),
    ("resume", None, "resume", {"suspended"}),
    ("rescue", None, "rescue", {"active", "stopped", "error"}),
    ("unrescue", None, "unrescue", {"rescued"}),
    ("rebuild", {"imageRef": compute_api.IMAGE}, "rebuild", {"active", "stopped", "error"}),
    ("resize", {"flavorRef": "big"}, "resize", {"active", "stopped"}),
    ("confirmResize", None, "confirmResize", {"resized"}),
    ("revertResize", None, "revertResize", {"resized"}),
    ("createImage", {"name": "i"}, "createImage", _DISKS),
    ("createBackup", {"name": "i", "backup_type": "daily", "rotation": 1}, "createBackup", _DISKS),
    ("shelve", None, "shelve", _DISKS),
    ("shelveOffload", None, "shelveOffload", {"shelved"}),
    ("unshelve", None, "unshelve", {"shelved", "shelved_offloaded"}),
    ("restore", None, "restore", {"soft-delete"}),
    ("changePassword", {"adminPass": "p"}, "changePassword", {"active"}),
    ("trigger_crash_dump", None, "trigger_crash_dump", {"active", "paused", "rescued", "resized", "error"}),
    ("migrate", None, "migrate", {"active", "stopped"}),
    ("os-migrateLive", {"host": None, "block_migration": "auto"}, "os-migrateLive", {"active", "paused"}),
    ("forceDelete", None, "", _ANY),
    ("lock", None, "", _ANY),
    ("unlock", None, "", _ANY),
    ("os-resetState", {"state": "active"}, "", _ANY),
]
IDS = [f"{word} {value['type']}" if word == "reboot" else word for word, value, _, _ in GUARDS]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComputeApi]:
    api = compute_api.furnish(compute_api.make(tmp_path_factory.mktemp("states")))
    api.add(*compute_api.host("h1"), Flavor(id="big", name="big", vcpus=2, ram_mb=128, root_gb=2, extra_specs={}))
    yield api
    api.database.close()


@pytest.fixture
def servers(api: ComputeApi) -> Iterator[Iterator[str]]:
    """Ids of new servers; each is deleted afterwards, so that no quota is reached."""
    made: list[str] = []

    def endless() -> Iterator[str]:
        while True:
            made.append(boot(api))
            yield made[-1]

    yield endless()
    for server_id in made:
        settle(api, server_id, vm_state="deleted", deleted_at=utcnow())


@pytest.mark.parametrize(("word", "value", "name", "allowed"), GUARDS, ids=IDS)
def test_an_action_is_accepted_in_its_states_and_refused_in_all_others(
    api: ComputeApi, servers: Iterator[str], word: str, value: Any, name: str, allowed: set[str]
) -> None:
    wrong = {}
    server_id = next(servers)
    for state in map(str, STATES):
        settle(api, server_id, vm_state=state, launched_at=utcnow())
        answer = act(api, server_id, word, value, user="admin", version="2.67")
        if state in allowed:
            settle(api, server_id, vm_state="deleted", deleted_at=utcnow())
            server_id = next(servers)
            fine = answer.status != 409
        else:
            fine = answer.status == 409 and f"Cannot '{name}' server {server_id} while it is in vm_state {state}" == message(answer)
        if not fine:
            wrong[state] = (answer.status, answer.body)
    assert not wrong


@pytest.mark.parametrize(("word", "value", "name", "allowed"), [one for one in GUARDS if one[2]],
                         ids=[found for found, one in zip(IDS, GUARDS, strict=True) if one[2]])
def test_an_action_is_refused_while_another_runs(
    api: ComputeApi, servers: Iterator[str], word: str, value: Any, name: str, allowed: set[str]
) -> None:
    """Its state allows it, but a task is under way."""
    server_id = next(servers)
    for state in sorted(allowed):
        settle(api, server_id, vm_state=state, task_state="image_uploading")
        answer = act(api, server_id, word, value, user="admin", version="2.67")
        assert (answer.status, message(answer)) == (
            409, f"Cannot '{name}' server {server_id} while it is in task_state image_uploading")


def test_every_action_that_depends_on_the_state_is_tested() -> None:
    """Compares with the routes, so that a new action has to be added here."""
    of_servers = {route.action for route in routes_of(compute.RESOURCES)
                  if route.action and route.path == "/servers/{server_id}/action" and route.status != 410}
    stateless = {"addFloatingIp", "removeFloatingIp", "addFixedIp", "removeFixedIp", "addSecurityGroup", "removeSecurityGroup",
                 "os-getVNCConsole", "os-getSPICEConsole", "os-getSerialConsole", "os-getRDPConsole", "os-getConsoleOutput",
                 "injectNetworkInfo", "evacuate"}
    assert of_servers == {word for word, _, _, _ in GUARDS} | stateless
