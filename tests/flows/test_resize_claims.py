# SPDX-License-Identifier: Apache-2.0
"""A resize runs the scheduler's filters with its new flavor on the server's own host, and reports their reasons."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.conductor.reconcilers import claims_audit
from nova_lite.db.compute import server_migrations, servers
from nova_lite.db.compute.actions import Action
from nova_lite.db.hosts import aggregates, claims
from nova_lite.db.hosts.aggregates import Aggregate
from nova_lite.db.hosts.hosts import Host, Service
from nova_lite.payloads import placement
from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.values.flavor import Flavor
from nova_lite.values.resources import Resources
from tests.support.flows import resizing
from tests.support.flows.one_process import CTXT, Broken, OneProcess
from tests.support.flows.resizing import LARGE, begin_resize

SSD = dataclasses.replace(LARGE, extra_specs={"aggregate_instance_extra_specs:ssd": "true"})


def refusal(cloud: OneProcess, server_id: str, flavor: Flavor | None = None) -> str:
    """What the action and its step say about a resize that was refused; the server is as it was."""
    action_id = begin_resize(cloud, server_id, flavor)
    cloud.run(action_id)
    assert resizing.is_as_before(cloud, server_id, "")
    with cloud.database.reader() as session:
        message = str(session.get_one(Action, action_id).message)
    step = cloud.events(action_id)[-1]
    assert (step.result, step.details, step.host) == ("Error", message, cloud.server(server_id).host)
    return message


def test_a_flavor_that_the_hosts_aggregates_do_not_fit_is_refused(cloud: OneProcess) -> None:
    server_id = resizing.built(cloud)
    assert refusal(cloud, server_id, SSD) == (
        "No valid host was found. 1 host: 1× in no aggregate that the flavor requires. "
        "Nearest fit: in no aggregate that the flavor requires: ssd true.")


def test_a_flavor_that_the_hosts_aggregates_fit_is_taken(cloud: OneProcess) -> None:
    server_id = resizing.built(cloud)
    with cloud.database.writer() as session:
        made = aggregates.add(session, Aggregate(name="fast", metadata_items={"ssd": "true"}))
        aggregates.add_host(session, made, str(cloud.server(server_id).host))
    cloud.run(begin_resize(cloud, server_id, SSD))
    assert resizing.is_resized(cloud, server_id)


def test_a_host_that_an_operator_disabled_grows_no_server(cloud: OneProcess) -> None:
    server_id = resizing.built(cloud)
    with cloud.database.writer() as session:
        session.execute(sa.update(Service).where(Service.binary == "nova-compute").values(disabled=True))
    assert "1 host: 1× disabled by an operator." in refusal(cloud, server_id)


@pytest.mark.parametrize(("left", "words"), [
    ({"vcpus": 1}, "fewer CPUs than the flavor: 2 requested, the host has 1"),
    ({"ram_mb": Host.reserved_ram_mb + 255}, "not enough memory: 256 MB requested, 255 MB free"),
    ({"disk_gb": Host.reserved_disk_gb + 3}, "not enough disk: 4 GB requested, 3 GB free"),
])
def test_without_room_it_says_what_there_is_too_little_of(cloud: OneProcess, left: dict[str, Any], words: str) -> None:
    server_id = resizing.built(cloud)
    with cloud.database.writer() as session:
        session.execute(sa.update(Host).values(**left))
    assert words in refusal(cloud, server_id)


def test_what_does_not_grow_needs_no_room(cloud: OneProcess) -> None:
    """Also on a host that has come to have less memory than its servers were promised."""
    server_id = resizing.built(cloud)
    with cloud.database.writer() as session:
        session.execute(sa.update(Host).values(ram_mb=Host.reserved_ram_mb + 64))
    action_id = begin_resize(cloud, server_id, dataclasses.replace(LARGE, ram_mb=128))
    cloud.run(action_id)
    assert resizing.looks(cloud, server_id)[:3] == ("resized", "large", (2, 128, 3))


def _claim_request(cloud: OneProcess, server_id: str) -> PlacementRequest:
    """The request that the conductor sends for the resize that has begun."""
    with cloud.database.reader() as session:
        server = servers.get(session, server_id)
        request = placement.request(session, server)
        number = server_migrations.latest(session, server_id).number
    return dataclasses.replace(request.with_resources(Resources(vcpus=2, ram_mb=256, disk_gb=4)),
                               forced_host=server.host, migration=number)


@pytest.mark.parametrize("end", ["confirm_resize", "revert_resize"])
def test_a_claim_that_arrives_after_the_end_of_its_resize_changes_nothing(cloud: OneProcess, end: str) -> None:
    server_id = resizing.built(cloud)
    action_id = begin_resize(cloud, server_id)
    request = _claim_request(cloud, server_id)
    cloud.run(action_id)
    cloud.run(cloud.begin_action(server_id, end))
    before = resizing.looks(cloud, server_id)
    with pytest.raises(errors.StaleRequest):
        cloud.services.scheduler.resize_claim(CTXT, request=request)
    assert resizing.looks(cloud, server_id) == before


def test_a_claim_that_arrives_after_its_resize_was_undone_changes_nothing(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    server_id = resizing.built(cloud)
    action_id = begin_resize(cloud, server_id)
    request = _claim_request(cloud, server_id)

    def fail(*_: object, **__: object) -> None:
        raise Broken(reason="no disk")

    monkeypatch.setattr(cloud.driver.disks, "set_aside", fail)
    cloud.run(action_id)
    assert resizing.is_as_before(cloud, server_id, "")
    with pytest.raises(errors.StaleRequest):
        cloud.services.scheduler.resize_claim(CTXT, request=request)
    assert resizing.is_as_before(cloud, server_id, "")


def test_a_claim_that_is_repeated_within_its_step_is_the_same(cloud: OneProcess) -> None:
    server_id = resizing.built(cloud)
    action_id = begin_resize(cloud, server_id)
    cloud.services.scheduler.resize_claim(CTXT, request=_claim_request(cloud, server_id))
    cloud.run(action_id)
    assert resizing.is_resized(cloud, server_id)


def test_sums_that_differ_from_the_claims_are_repaired(cloud: OneProcess) -> None:
    server_id, action_id = resizing.resize(cloud)
    cloud.run(action_id)
    before = resizing.looks(cloud, server_id)
    with cloud.database.writer() as session:
        session.execute(sa.update(Host).values(ram_mb_claimed=Host.ram_mb_claimed + 3840, disk_gb_claimed=0, servers_claimed=7))
    claims_audit.repair(cloud.services)
    assert resizing.looks(cloud, server_id) == before
    with cloud.database.reader() as session:
        assert sorted(session.scalars(sa.select(Host.servers_claimed))) == [0, 1]
        assert claims.inconsistent_hosts(session) == []
