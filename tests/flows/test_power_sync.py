# SPDX-License-Identifier: Apache-2.0
"""What fails leaves the guest's power as it was; what a guest does to its power by itself is shown as the table says."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.conductor.reports import PowerChanges
from nova_lite.db.compute.servers import Server
from nova_lite.lifecycle.servers import FOLLOWS_POWER, SHOWS_POWER, Power, Vm
from nova_lite.rpc.conductor import PowerState
from nova_lite.runtime import failpoints
from tests.support.flows import resizing
from tests.support.flows.one_process import CTXT, OneProcess


def server(cloud: OneProcess, vm_state: str, power: Power) -> str:
    """One at rest in that state, whose guest is on or off."""
    server_id = resizing.built(cloud)
    if power is Power.SHUTDOWN:
        cloud.do(server_id, "stop")
    change(cloud, vm_state=vm_state)
    return server_id


def change(cloud: OneProcess, **columns: Any) -> None:
    with cloud.database.writer() as session:
        session.execute(sa.update(Server).values(**columns))


@pytest.mark.parametrize("point", ["rescue.fetch_image", "rescue.stop", "rescue.record", "rescue.make_disks", "rescue.start"])
@pytest.mark.parametrize(("vm_state", "power"), [
    ("active", Power.RUNNING), ("stopped", Power.SHUTDOWN), ("error", Power.RUNNING), ("error", Power.SHUTDOWN)])
def test_a_rescue_that_fails_leaves_state_disks_and_power(
    cloud: OneProcess, vm_state: str, power: Power, point: str
) -> None:
    server_id = server(cloud, vm_state, power)
    failpoints.arm(f"{point}.before=error")
    cloud.run(cloud.begin_action(server_id, "rescue", inputs={"image_id": cloud.image_id}))
    row, record = cloud.server(server_id), cloud.compute_host.records.get(server_id)
    assert record is not None
    assert (row.vm_state, row.task_state, row.power_state) == (vm_state, None, power)
    assert cloud.driver.power.state(server_id) is power
    assert (record.guest.rescue, record.before_rescue, record.phase) == (None, None, "built")
    assert record.desired_power == ("on" if power is Power.RUNNING else "off")


def test_an_undo_of_a_rescue_that_is_cut_off_is_done_again(cloud: OneProcess) -> None:
    server_id = server(cloud, "error", Power.SHUTDOWN)
    failpoints.arm("rescue.start.before=error,unrescue.remove_disk.before=error")
    action_id = cloud.begin_action(server_id, "rescue", inputs={"image_id": cloud.image_id})
    cloud.run(action_id)
    assert cloud.server(server_id).task_state == "rescuing"
    failpoints.arm("")
    cloud.restart_conductor()
    cloud.go_on(action_id)
    assert (cloud.server(server_id).vm_state, cloud.driver.power.state(server_id)) == ("error", Power.SHUTDOWN)


@pytest.mark.parametrize(("vm_state", "power"), [("active", Power.RUNNING), ("stopped", Power.SHUTDOWN)])
@pytest.mark.parametrize("point", ["resize.stop", "resize.keep_disks", "resize.make_disks", "resize.finish"])
def test_a_resize_that_fails_leaves_state_and_power(cloud: OneProcess, vm_state: str, power: Power, point: str) -> None:
    server_id = server(cloud, vm_state, power)
    failpoints.arm(f"{point}.before=error")
    cloud.run(resizing.begin_resize(cloud, server_id))
    assert resizing.looks(cloud, server_id, power=power)[0] == vm_state


def test_a_rebuild_that_fails_early_leaves_the_power(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    server_id = server(cloud, "stopped", Power.SHUTDOWN)

    def gone(guest: Any, *, check: Any) -> None:
        raise errors.ImageFailed(host="node", id="i", reason="it is gone")

    monkeypatch.setattr(cloud.driver.images, "fetch", gone)
    cloud.run(cloud.begin_action(server_id, "rebuild", inputs={"preserve_ephemeral": False, "is_on": False}))
    assert (cloud.server(server_id).vm_state, cloud.driver.power.state(server_id)) == ("error", Power.SHUTDOWN)


def seen(cloud: OneProcess, server_id: str, power: Power) -> tuple[str, int | None]:
    """What the server is once its host has seen this power."""
    PowerChanges(cloud.services).power_changed(CTXT, host="node-1", states=(PowerState(server_id=server_id, state=int(power)),))
    row = cloud.server(server_id)
    return row.vm_state, row.power_state


@pytest.mark.parametrize("vm_state", sorted(SHOWS_POWER))
def test_these_states_show_the_power_and_stay(cloud: OneProcess, vm_state: Vm) -> None:
    server_id = server(cloud, str(vm_state), Power.RUNNING)
    assert seen(cloud, server_id, Power.SHUTDOWN) == (vm_state, Power.SHUTDOWN)
    assert seen(cloud, server_id, Power.RUNNING) == (vm_state, Power.RUNNING)


@pytest.mark.parametrize("vm_state", sorted(FOLLOWS_POWER))
def test_these_states_follow_the_power(cloud: OneProcess, vm_state: Vm) -> None:
    server_id = server(cloud, str(vm_state), Power.RUNNING)
    assert seen(cloud, server_id, Power.SHUTDOWN) == ("stopped", Power.SHUTDOWN)
    assert seen(cloud, server_id, Power.RUNNING) == ("active", Power.RUNNING)


@pytest.mark.parametrize("vm_state", sorted(set(Vm) - SHOWS_POWER - FOLLOWS_POWER))
def test_in_all_others_what_a_host_has_seen_is_old_news(cloud: OneProcess, vm_state: Vm) -> None:
    server_id = server(cloud, str(vm_state), Power.RUNNING)
    assert seen(cloud, server_id, Power.SHUTDOWN) == (vm_state, Power.RUNNING)


@pytest.mark.parametrize("vm_state", ["active", "resized", "rescued"])
def test_nothing_follows_while_something_is_under_way(cloud: OneProcess, vm_state: str) -> None:
    server_id = server(cloud, vm_state, Power.RUNNING)
    change(cloud, task_state="rebooting")
    assert seen(cloud, server_id, Power.SHUTDOWN) == (vm_state, Power.RUNNING)


def test_a_resized_guest_that_powered_off_is_confirmed_as_stopped(cloud: OneProcess) -> None:
    server_id, action_id = resizing.resize(cloud)
    cloud.run(action_id)
    cloud.driver.power.power_off_from_inside(server_id)
    assert seen(cloud, server_id, Power.SHUTDOWN) == ("resized", Power.SHUTDOWN)
    cloud.run(cloud.begin_action(server_id, "confirm_resize"))
    assert resizing.looks(cloud, server_id, power=Power.SHUTDOWN)[0] == "stopped"
