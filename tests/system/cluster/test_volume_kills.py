# SPDX-License-Identifier: Apache-2.0
"""Volumes are attached and detached while their daemons are killed at random: each ends as the workers' records say, and none stays in between."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Iterator

import pytest

from tests.support.system.daemons import WITH_VOLUMES, Cloud, running
from tests.support.wait import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real parts run as their own users: needs root")
KILLED = ("nova-volume", "nova-conductor", "nova-compute")
PAIRS = 4
# Kills, and changes that clients see between two of them at most.
KILLS, BETWEEN = 9, 7
OPTIONS = {"DEFAULT": {"report_interval": 1, "service_down_time": 4}, "conductor": {"reconcile_interval": 1, "lease_s": 5}}
V3 = "/volume/v3"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running(tmp_path_factory.mktemp("volumes"), hosts=1, options=OPTIONS, daemons=WITH_VOLUMES) as started:
        yield started


class Client(threading.Thread):
    """Attaches a volume when it is available and detaches it when it is in-use, until it is stopped."""

    def __init__(self, cloud: Cloud, server_id: str, volume_id: str) -> None:
        super().__init__(daemon=True)
        self._cloud = cloud
        self.server_id, self.volume_id = server_id, volume_id
        self.changes = 0
        self.refused: list[tuple[int, str]] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        path, before = f"/v2.1/servers/{self.server_id}/os-volume_attachments", "available"
        while not self.stopping.wait(0.05):
            status = self.status()
            self.changes += status != before and status in ("available", "in-use")
            before = status
            if status == "available":
                self._send("POST", path, {"volumeAttachment": {"volumeId": self.volume_id}})
            elif status == "in-use":
                self._send("DELETE", f"{path}/{self.volume_id}")

    def _send(self, method: str, path: str, body: object = None) -> None:
        code, answer = self._cloud.request(method, path, body, token=self._cloud._kept_token)
        if code not in (200, 202):
            self.refused.append((code, f"{method}: {answer}"))

    def status(self) -> str:
        return str(self._cloud.call("GET", f"{V3}/volumes/{self.volume_id}")["volume"]["status"])


@pytest.fixture(scope="module")
def clients(cloud: Cloud) -> list[Client]:
    wanted = cloud.prepare()
    pairs = [(cloud.boot(wanted, f"s{number}"), str(cloud.call("POST", f"{V3}/volumes", {"volume": {
        "name": f"v{number}", "size": 1}}, expect=202)["volume"]["id"])) for number in range(PAIRS)]
    made = [Client(cloud, *pair) for pair in pairs]
    wait_until(lambda: all(cloud.is_active(one.server_id) and one.status() == "available" for one in made), "servers and volumes")
    return made


def exported(cloud: Cloud) -> list[str]:
    """Ids of the volumes that nova-volume's records say are exported."""
    records = (cloud.state_dir / "state" / "volume" / "attachments").glob("*.json")
    return sorted(json.loads(path.read_text())["subject"]["volume"]["volume_id"] for path in records)


def in_guests(cloud: Cloud) -> list[str]:
    """Ids of the volumes that guests have by nova-compute's records."""
    found = []
    for path in (cloud.state_dir / "state" / "compute" / "guests").iterdir():
        disks = json.loads(path.read_text())["guest"]["disks"]
        found += [disk["volume"]["volume_id"] for disk in disks if disk.get("volume")]
    return sorted(found)


def test_no_volume_is_lost_between_its_states_when_daemons_are_killed(cloud: Cloud, clients: list[Client]) -> None:
    rng = random.Random(20)
    for client in clients:
        client.start()
    for _ in range(KILLS):
        enough = sum(client.changes for client in clients) + rng.randint(1, BETWEEN)
        wait_until(lambda enough=enough: sum(client.changes for client in clients) >= enough, "volumes to come and go",  # type: ignore[misc]
                   details=lambda: str([(client.status(), client.refused[-1:]) for client in clients]))
        name = rng.choice(KILLED)
        cloud.crash(name)
        cloud.start_daemon(name)
    for client in clients:
        client.stopping.set()
        client.join()
    cloud.wait_until_up()

    def are_at_rest() -> bool:
        return {client.status() for client in clients} <= {"available", "in-use"}

    wait_until(are_at_rest, "volumes to be at rest", details=lambda: str([client.status() for client in clients]))
    in_use = sorted(client.volume_id for client in clients if client.status() == "in-use")
    assert exported(cloud) == in_guests(cloud) == in_use
    assert {code for client in clients for code, _ in client.refused} <= {400, 409}
    for client in clients:  # and each can be deleted
        cloud.call("DELETE", f"/v2.1/servers/{client.server_id}", expect=204)
    wait_until(lambda: {client.status() for client in clients} == {"available"}, "volumes to be free")
    assert exported(cloud) == in_guests(cloud) == []
