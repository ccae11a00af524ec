# SPDX-License-Identifier: Apache-2.0
"""The Block Storage API over SQLite with nobody behind it: casts are kept for the test to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nova_lite.api.volume.microversions import MAXIMUM
from nova_lite.db.base import utcnow
from nova_lite.db.hosts.hosts import Service
from nova_lite.db.volume import pools, volume_types
from nova_lite.db.volume.pools import Pool
from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.db.volume.volumes import Volume
from nova_lite.runtime import tokens
from tests.support import databases
from tests.support.api import compute_api
from tests.support.api.compute_api import Answer, ComputeApi
from tests.support.api.users import PROJECTS
from tests.support.options import defaults

HOST = "h1@lvm#pool"


class VolumeApi(ComputeApi):
    """Sends requests to the Block Storage API as one of its users, at the newest microversion unless said otherwise."""

    service, root = "volume", "/volume/v3"

    def request(self, method: str, path: str, body: Any = None, *, user: str = "alice", version: str = MAXIMUM) -> Answer:
        return super().request(method, path, body, user=user, version=version)


def make(tmp_path: Path) -> VolumeApi:
    """The Block Storage API with a type, `__DEFAULT__`, and else empty tables, in a directory of its own."""
    conf = defaults()
    conf.set_override("state_path", str(tmp_path))
    tokens.KeyRepository(tokens.directory_of(conf)).create()
    conf.set_override("policy_file", str(tmp_path / "policy.yaml"), group="oslo_policy")
    made = VolumeApi(databases.fresh(tmp_path), conf)
    made.change(volume_types.bootstrap)
    return made


def pool(name: str = HOST, **columns: Any) -> Pool:
    """A pool that was just reported."""
    agent, _, rest = name.partition("@")
    backend, _, part = rest.partition("#")
    values: dict[str, Any] = {
        "total_gb": 100.0, "free_gb": 80.0, "claimed_gb": 0, "reserved_percentage": 0, "max_over_subscription_ratio": 20.0, "is_thin": True,
        "reach": "host", "updated_at": utcnow(), **columns}
    values.setdefault("capabilities", {})
    return Pool(name=pools.name_of(agent, backend, part), agent=agent, backend=backend, pool=part, **values)


def worker(host: str = "h1", *, binary: str = "nova-volume", zone: str = "nova") -> Service:
    """A daemon of block storage, just seen."""
    return Service(binary=binary, host=host, agent=host, availability_zone=zone)


def volume(volume_id: str, *, user: str = "alice", **columns: Any) -> Volume:
    """An available volume of 1 GiB of the user's, in the pool HOST."""
    values: dict[str, Any] = {
        "project_id": PROJECTS[user], "user_id": user, "size_gb": 1, "status": "available", "host": HOST, "availability_zone": "nova",
        "provider_name": f"volume-{volume_id}", **columns}
    return Volume(id=volume_id, **values)


def snapshot(snapshot_id: str, volume_id: str, *, user: str = "alice", **columns: Any) -> VolumeSnapshot:
    """An available snapshot of 1 GiB of the user's."""
    values: dict[str, Any] = {
        "project_id": PROJECTS[user], "user_id": user, "size_gb": 1, "status": "available", "progress": 100,
        "provider_name": f"_snapshot-{snapshot_id}", **columns}
    return VolumeSnapshot(id=snapshot_id, volume_id=volume_id, **values)


def message(answer: Answer) -> str:
    """What a refusal says."""
    return compute_api.message(answer)


def add_type(api: VolumeApi, name: str, **fields: Any) -> str:
    """The id of a new type, which the admin makes."""
    made = api.post("/types", {"volume_type": {"name": name, **fields}}, user="admin")
    assert made.status == 200, made.body
    return str(made.body["volume_type"]["id"])
