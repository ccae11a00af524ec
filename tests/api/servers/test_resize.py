# SPDX-License-Identifier: Apache-2.0
"""Resize, confirm, revert, and the moves between hosts that this cloud refuses, as requests; and their list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.base import utcnow
from nova_lite.db.compute import server_migrations
from nova_lite.db.compute.flavors import Flavor
from nova_lite.db.compute.server_migrations import ServerMigration
from nova_lite.db.compute.servers import Server
from nova_lite.db.quotas.quotas import Quota
from tests.support.api import compute_api
from tests.support.api.compute_api import ComputeApi, act, boot, host, message, settle
from tests.support.api.users import PROJECTS


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    api = compute_api.furnish(compute_api.make(tmp_path))
    api.add(*host("h1"), Flavor(id="2", name="large", vcpus=2, ram_mb=128, root_gb=2, ephemeral_gb=1),
             Flavor(id="3", name="diskless", vcpus=1, ram_mb=128, root_gb=0),
             Flavor(id="4", name="off", vcpus=1, ram_mb=128, root_gb=1, disabled=True),
             Flavor(id="5", name="private", vcpus=1, ram_mb=128, root_gb=1, is_public=False))
    return api


def resized(api: ComputeApi, server_id: str, flavor: str = "2") -> None:
    assert act(api, server_id, "resize", {"flavorRef": flavor}).status == 202
    settle(api, server_id, vm_state="resized")
    api.change(lambda session: session.execute(sa.update(ServerMigration).where(ServerMigration.server_id == server_id).values(
        status=server_migrations.FINISHED)))


def test_a_resize_is_cast_to_the_conductor(api: ComputeApi, server_id: str) -> None:
    assert act(api, server_id, "resize", {"flavorRef": "2", "OS-DCF:diskConfig": "AUTO"}).status == 202
    server = api.get(f"/servers/{server_id}").body["server"]
    assert (server["status"], server["OS-EXT-STS:task_state"], server["OS-DCF:diskConfig"], server["flavor"]["id"]) == (
        "RESIZE", "resize_prep", "AUTO", "1")
    assert [sent[:3] for sent in api.rpc.sent] == [("conductor", "", "run")]
    journal = api.get(f"/servers/{server_id}/os-instance-actions").body["instanceActions"]
    assert journal[0]["action"] == "resize"


@pytest.mark.parametrize(("word", "status"), [("confirmResize", 204), ("revertResize", 202)])
def test_a_resize_is_confirmed_or_reverted_once(api: ComputeApi, server_id: str, word: str, status: int) -> None:
    assert act(api, server_id, word).status == 409
    resized(api, server_id)
    assert api.get(f"/servers/{server_id}").body["server"]["status"] == "VERIFY_RESIZE"
    assert act(api, server_id, word).status == status
    refused = act(api, server_id, word)
    assert (refused.status, f"Cannot '{word}'" in message(refused)) == (409, True)


@pytest.mark.parametrize(("flavor", "status", "words"), [
    ("1", 400, "When resizing, instances must change flavor!"), ("nope", 400, "Unable to locate requested flavor"),
    ("4", 400, "disabled"), ("5", 400, "Unable to locate requested flavor"), ("3", 400, "zero disk flavor"),
    (None, 400, "flavorRef"), ("", 400, "flavorRef"),
])
def test_an_unsuitable_flavor_is_refused(
    api: ComputeApi, server_id: str, flavor: str | None, status: int, words: str
) -> None:
    refused = act(api, server_id, "resize", {"flavorRef": flavor})
    assert (refused.status, words in message(refused), api.rpc.sent) == (status, True, [])
    assert api.get(f"/servers/{server_id}").body["server"]["OS-EXT-STS:task_state"] is None


def test_a_resize_that_shrinks_a_disk_is_refused(api: ComputeApi) -> None:
    server_id = boot(api, flavorRef="2")
    settle(api, server_id)
    refused = act(api, server_id, "resize", {"flavorRef": "1"})
    assert (refused.status, "Resize error: Unable to resize disk down." in message(refused)) == (400, True)


@pytest.mark.parametrize(("resource", "limit"), [("cores", 1), ("ram", 127)])
def test_only_the_growth_counts_against_the_quota(api: ComputeApi, server_id: str, resource: str, limit: int) -> None:
    api.add(Quota(project_id=PROJECTS["alice"], resource=resource, hard_limit=limit))
    refused = act(api, server_id, "resize", {"flavorRef": "2"})
    assert (refused.status, f"Quota exceeded for {resource}" in message(refused)) == (403, True)
    api.change(lambda session: session.execute(sa.update(Quota).values(hard_limit=limit + 1)))
    assert act(api, server_id, "resize", {"flavorRef": "2"}).status == 202


@pytest.mark.parametrize(("columns", "user", "status"), [
    ({"vm_state": "paused"}, "alice", 409), ({"task_state": "rebooting"}, "alice", 409),
    ({"locked_by": "owner"}, "alice", 409), ({"vm_state": "stopped"}, "alice", 202), ({}, "reader", 403), ({}, "bob", 404),
])
def test_a_resize_is_refused_in_wrong_states_and_to_other_projects(api: ComputeApi, server_id: str, columns: dict[str, Any], user: str, status: int) -> None:
    settle(api, server_id, **columns)
    assert act(api, server_id, "resize", {"flavorRef": "2"}, user=user).status == status


@pytest.mark.parametrize(("word", "value", "version"), [
    ("migrate", None, "2.1"), ("migrate", {"host": "h2"}, "2.56"),
    ("os-migrateLive", {"host": None, "block_migration": False, "disk_over_commit": False}, "2.1"),
    ("os-migrateLive", {"host": None, "block_migration": "auto"}, "2.25"),
    ("os-migrateLive", {"host": "h2", "block_migration": "auto", "force": True}, "2.30"),
])
def test_moves_between_hosts_are_refused_with_a_reason(
    api: ComputeApi, server_id: str, word: str, value: Any, version: str
) -> None:
    options = {"user": "admin", "version": version}
    refused = act(api, server_id, word, value, **options)
    assert (refused.status, message(refused)) == (400, "No valid host was found. There is no other compute host.")
    settle(api, server_id, vm_state="suspended")
    assert act(api, server_id, word, value, **options).status == 409
    assert act(api, "11111111-1111-4111-8111-111111111112", word, value, **options).status == 404
    assert act(api, server_id, word, value, version=version).status == 403


def test_a_host_that_is_up_is_not_evacuated(api: ComputeApi, server_id: str) -> None:
    refused = act(api, server_id, "evacuate", {}, user="admin", version="2.68")
    assert (refused.status, message(refused)) == (400, "Compute service of h1 is still in use.")
    assert act(api, server_id, "evacuate", {"onSharedStorage": False}, user="admin", version="2.14").status == 400


def test_migrations_are_listed_by_version(api: ComputeApi, server_id: str) -> None:
    resized(api, server_id)
    old = {"id", "source_node", "source_compute", "dest_node", "dest_compute", "dest_host", "status", "instance_uuid",
           "old_instance_type_id", "new_instance_type_id", "created_at", "updated_at"}
    for version, more in (("2.1", set()), ("2.23", {"migration_type"}), ("2.59", {"migration_type", "uuid"}),
                          ("2.80", {"migration_type", "uuid", "user_id", "project_id"})):
        migrations = api.get("/os-migrations", user="admin", version=version).body["migrations"]
        assert [set(one) for one in migrations] == [old | more]
    assert (migrations[0]["instance_uuid"], migrations[0]["status"], migrations[0]["migration_type"]) == (server_id, "finished", "resize")
    assert migrations[0]["old_instance_type_id"] != migrations[0]["new_instance_type_id"]


@pytest.mark.parametrize(("query", "count"), [
    ("status=finished", 1), ("status=error", 0), ("migration_type=resize", 1), ("migration_type=live-migration", 0),
    ("host=h1", 1), ("host=h2", 0), ("source_compute=h1", 1), ("hidden=true", 0), ("hidden=0", 1),
    ("user_id=nobody", 0), ("changes-since=2000-01-01T00:00:00Z", 1), ("changes-before=2000-01-01T00:00:00Z", 0),
])
def test_migrations_are_filtered(api: ComputeApi, server_id: str, query: str, count: int) -> None:
    resized(api, server_id)
    migrations = api.get(f"/os-migrations?{query}", user="admin", version="2.80").body["migrations"]
    assert len(migrations) == count


def test_migrations_come_in_pages(api: ComputeApi, server_id: str) -> None:
    def moved(session: Any) -> None:
        server = session.scalars(sa.select(Server)).one()
        for _ in range(3):
            server_migrations.begin(session, server, user_id="u", new_flavor=server.flavor, old_vm_state="active",
                        old_disk_config="AUTO").updated_at = utcnow()

    api.change(moved)
    seen, path = [], "/os-migrations?limit=2"
    while path:
        body = api.get(path, user="admin", version="2.59").body
        seen += [one["id"] for one in body["migrations"]]
        path = body["migrations_links"][0]["href"].split("/v2.1")[-1] if "migrations_links" in body else ""
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 3
    assert api.get("/os-migrations?marker=nope", user="admin", version="2.59").status == 400
    assert api.get("/os-migrations?limit=x", user="admin", version="2.59").status == 400
    assert api.get("/os-migrations?what=x", user="admin", version="2.59").status == 400
    assert api.get("/os-migrations?project_id=x", user="admin", version="2.66").status == 400


def test_a_server_has_no_live_migrations(api: ComputeApi, server_id: str) -> None:
    path, options = f"/servers/{server_id}/migrations", {"user": "admin", "version": "2.65"}
    assert api.get(path, **options).body == {"migrations": []}
    assert api.get(f"{path}/1", **options).status == 404
    assert api.delete(f"{path}/1", **options).status == 409
    assert api.post(f"{path}/1/action", {"force_complete": None}, **options).status == 409
    assert api.get(path, user="admin", version="2.22").status == 404
