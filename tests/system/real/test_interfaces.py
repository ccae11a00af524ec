# SPDX-License-Identifier: Apache-2.0
"""NICs that come to a real guest while it runs and leave it, seen on its own console."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator

import pytest

from nova_lite import errors
from nova_lite.rpc.compute import Guest, Nic
from nova_lite.rpc.conductor import Outcome
from nova_lite.rpc.order import Order
from tests.support import boot_sector
from tests.support.private_libvirt import missing
from tests.system.real.test_compute_worker import Cloud, cloud, server, small, soon, typed  # noqa: F401 - fixtures

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"not here: {', '.join(missing())}")


@pytest.fixture
def nic() -> Iterator[Nic]:
    port_id = str(uuid.uuid4())
    made = Nic(port_id=port_id, mac="fa:16:3e:00:00:09", tap=f"tap{port_id[:11]}", bridge=f"bt-{port_id[:11]}", mtu=1450)
    subprocess.run(["ip", "link", "add", made.bridge, "type", "bridge"], check=True, timeout=10)
    yield made
    subprocess.run(["ip", "link", "del", made.bridge], check=True, timeout=10)


def listed(cloud: Cloud, server_id: str) -> bool:  # noqa: F811
    """Whether the guest itself, on its console, lists the NIC."""
    mark = uuid.uuid4().hex[:6]
    with typed(cloud, server_id, f"\necho {mark}-$(cat /sys/class/net/*/address | grep -c fa:16:3e:00:00:09)-\n"):
        assert soon(lambda: f"{mark}-1-" in cloud.console(server_id) or f"{mark}-0-" in cloud.console(server_id), limit_s=60)
    return f"{mark}-1-" in cloud.console(server_id)


def test_a_guest_that_runs_gets_a_nic_and_lets_go_of_it(cloud: Cloud, server: Guest, nic: Nic) -> None:  # noqa: F811
    name = server.server_id
    assert cloud.says(name, "READY web")
    assert cloud.says(name, "built-in shell")
    early = Order(epoch=1, action=next(cloud.actions))
    cloud.do("attach_interface", server_id=name, nic=nic)
    assert soon(lambda: listed(cloud, name), limit_s=60)
    cloud.do("detach_interface", server_id=name, port_id=nic.port_id)
    assert nic.mac not in (cloud.libvirt.virsh("dumpxml", name) or "")
    assert not listed(cloud, name)
    with pytest.raises(errors.WorkerError):
        cloud.do("attach_interface", order=early, server_id=name, nic=nic)
    assert cloud.conductor.steps[early].outcome is Outcome.STALE


def test_a_nic_stays_over_a_stop_and_leaves_a_guest_that_is_off(cloud: Cloud, small: Guest, nic: Nic) -> None:  # noqa: F811
    name = small.server_id
    assert cloud.says(name, boot_sector.says(boots=1))
    cloud.do("attach_interface", server_id=name, nic=nic)
    cloud.act("stop", name)
    cloud.act("start", name)
    assert cloud.says(name, boot_sector.says(boots=2))
    assert nic.mac in (cloud.libvirt.virsh("dumpxml", name) or "")
    cloud.act("stop", name)
    cloud.do("detach_interface", server_id=name, port_id=nic.port_id)
    assert nic.mac not in (cloud.libvirt.virsh("dumpxml", name) or "")
