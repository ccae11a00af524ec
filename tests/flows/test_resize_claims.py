# SPDX-License-Identifier: Apache-2.0
"""A resize asks the scheduler's filters for its new flavor, about the server's own host, and says what they say."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.compute.actions import Action
from nova_lite.db.hosts import aggregates
from nova_lite.db.hosts.aggregates import Aggregate
from nova_lite.db.hosts.hosts import Host, Service
from tests.support.flows import resizing
from tests.support.flows.one_process import OneProcess
from tests.support.flows.resizing import LARGE, begin_resize

SSD = {**LARGE, "extra_specs": {"aggregate_instance_extra_specs:ssd": "true"}}


def refusal(cloud: OneProcess, server_id: str, flavor: dict[str, Any] | None = None) -> str:
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
        "No valid host was found. 1 host: 1× in no aggregate that the flavor asks for. "
        "Nearest fit: in no aggregate that the flavor asks for: ssd true.")


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
    ({"vcpus": 1}, "fewer CPUs than the flavor: 2 asked, the host has 1"),
    ({"ram_mb": Host.reserved_ram_mb + 255}, "not enough memory: 256 MB asked, 255 MB left"),
    ({"disk_gb": Host.reserved_disk_gb + 3}, "not enough disk: 4 GB asked, 3 GB left"),
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
    action_id = begin_resize(cloud, server_id, {**LARGE, "ram": 128})
    cloud.run(action_id)
    assert resizing.looks(cloud, server_id)[:3] == ("resized", "large", (2, 128, 3))
