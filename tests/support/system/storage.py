# SPDX-License-Identifier: Apache-2.0
"""Volumes of `nova-lite up`, as its user sees them, and what rows, workers and guests say of them."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import Any

from tests.support.system.all_in_one import AllInOne

V3 = "/volume/v3"
# What a pool has beside volumes, snapshots and bases.
_OWN = ("pool.json", "lock", "chap.key")


class Storage:
    """`crash_at`: an operation of a user's is cut off at that failpoint by the end of the cloud, which starts anew."""

    def __init__(self, cloud: AllInOne) -> None:
        self.cloud = cloud

    def send(self, method: str, path: str, body: object = None, *, crash_at: str | None = None) -> Any:
        """The answer; None: it died with the cloud."""
        if crash_at is None:
            return self.cloud.request(method, path, body)
        self.cloud.crash_at(crash_at, method, path, body)
        return None

    def create(self, name: str, *, crash_at: str | None = None, **columns: Any) -> str:
        """A new volume of one GiB; its id. It may not be available yet."""
        self.send("POST", f"{V3}/volumes", {"volume": {"name": name, "size": 1, **columns}}, crash_at=crash_at)
        return self.named(name)

    def made(self, name: str, **columns: Any) -> str:
        """An available volume; its id."""
        volume_id = self.create(name, **columns)
        self.wait_for(volume_id, "available")
        return volume_id

    def named(self, name: str) -> str:
        """The id of the volume of that name."""
        [made] = self.cloud.request("GET", f"{V3}/volumes?name={name}")["volumes"]
        return str(made["id"])

    def show(self, volume_id: str) -> dict[str, Any]:
        """The volume; its status is `gone` when it is not there."""
        try:
            shown: dict[str, Any] = self.cloud.request("GET", f"{V3}/volumes/{volume_id}")["volume"]
        except RuntimeError as refused:
            if str(refused).startswith("404"):
                return {"status": "gone"}
            raise
        return shown

    def status(self, volume_id: str) -> str:
        return str(self.show(volume_id)["status"])

    def wait_for(self, volume_id: str, status: str) -> None:
        self.cloud.wait(lambda: self.status(volume_id) == status, f"volume {volume_id} to be {status}", seconds=60)

    def act(self, volume_id: str, word: str, value: object = None, *, crash_at: str | None = None) -> Any:
        return self.send("POST", f"{V3}/volumes/{volume_id}/action", {word: value}, crash_at=crash_at)

    def snapshot(self, volume_id: str, name: str, *, crash_at: str | None = None) -> str:
        """A new snapshot; its id."""
        self.send("POST", f"{V3}/snapshots", {"snapshot": {"volume_id": volume_id, "name": name}}, crash_at=crash_at)
        [made] = self.cloud.request("GET", f"{V3}/snapshots?name={name}")["snapshots"]
        return str(made["id"])

    def wait_for_snapshot(self, snapshot_id: str, status: str) -> None:
        def is_reached() -> bool:
            try:
                shown = self.cloud.request("GET", f"{V3}/snapshots/{snapshot_id}")["snapshot"]["status"]
            except RuntimeError as refused:
                if not str(refused).startswith("404"):
                    raise
                shown = "gone"
            return bool(shown == status)

        self.cloud.wait(is_reached, f"snapshot {snapshot_id} to be {status}", seconds=60)

    def attach(self, server_id: str, volume_id: str, *, crash_at: str | None = None) -> None:
        self.send("POST", f"/v2.1/servers/{server_id}/os-volume_attachments", {"volumeAttachment": {"volumeId": volume_id}}, crash_at=crash_at)

    def detach(self, server_id: str, volume_id: str, *, crash_at: str | None = None) -> None:
        self.send("DELETE", f"/v2.1/servers/{server_id}/os-volume_attachments/{volume_id}", crash_at=crash_at)

    def of_server(self, server_id: str) -> list[str]:
        """Ids of the volumes that the Compute API shows at the server."""
        shown = self.cloud.request("GET", f"/v2.1/servers/{server_id}/os-volume_attachments")["volumeAttachments"]
        return sorted(str(one["volumeId"]) for one in shown)

    def in_guest(self, server_id: str) -> list[str]:
        """Ids of volumes of the cloud that the guest has, by its definition, in itself if it runs, and by its worker's record: the same."""
        assert self.cloud.host is not None
        run = self.cloud.host.run
        ids = [str(one["id"]) for one in self.cloud.request("GET", f"{V3}/volumes")["volumes"]]
        kept = run(["virsh", "dumpxml", "--inactive", server_id]).stdout
        live = run(["virsh", "dumpxml", server_id]).stdout
        found = sorted(one for one in ids if one in kept)
        record = json.loads((self.cloud.state / "compute" / "guests" / server_id).read_text())
        assert found == sorted(one for one in ids if one in live)
        assert found == sorted(disk["volume"]["volume_id"] for disk in record["guest"]["disks"] if disk["volume"])
        return found

    def shares_blocks(self) -> bool:
        """Whether volumes are raw files, which the pool's file system clones."""
        return bool(json.loads((self.cloud.state / "volumes" / "pool.json").read_text())["disk_format"] == "raw")

    def exported(self) -> list[str]:
        """Ids of the attachments of which the storage worker has a record."""
        return sorted(path.stem for path in (self.cloud.state / "volume" / "attachments").glob("*.json"))

    def leftovers(self) -> dict[str, object]:
        """All that volumes have in rows, records and the pool, when there should be none."""
        with contextlib.closing(sqlite3.connect(f"file:{self.cloud.state}/nova-lite.sqlite?mode=ro", uri=True)) as rows:
            found: dict[str, object] = {table: rows.execute(query).fetchone()[0] for table, query in {
                "volumes": "SELECT count(*) FROM volumes", "snapshots": "SELECT count(*) FROM volume_snapshots",
                "attachments": "SELECT count(*) FROM volume_attachments",
                "claims": "SELECT sum(claimed_gb) FROM volume_pools",
                "actions": "SELECT count(*) FROM actions WHERE state IN ('queued', 'running', 'undoing')",
            }.items()}
        found["pool"] = [path.name for path in (self.cloud.state / "volumes").glob("**/*") if path.is_file() and path.name not in _OWN]
        found["records"] = [path.name for kind in ("volumes", "snapshots", "attachments") for path in (self.cloud.state / "volume" / kind).glob("*.json")]
        return {name: value for name, value in found.items() if value}
