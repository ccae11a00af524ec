# SPDX-License-Identifier: Apache-2.0
"""The driver for guests in memory: any number of hosts in one process, for CI of clients and for work at scale."""

from __future__ import annotations

from oslo_config import cfg

from nova_lite.compute.virt.driver import Capabilities
from nova_lite.compute.virt.fake.consoles import FakeConsoles
from nova_lite.compute.virt.fake.disks import FakeDisks, FakeImages, FakeNics, FakeSnapshots
from nova_lite.compute.virt.fake.guests import FakeGuests
from nova_lite.compute.virt.fake.host import FakeHost
from nova_lite.compute.virt.fake.power import FakePower
from nova_lite.compute.virt.fake.state import FakeState
from nova_lite.compute.virt.fake.volumes import FakeVolumes


class FakeDriver:
    """The contracts of a real driver without a hypervisor; nothing outlives the process."""

    capabilities = Capabilities(keeps_disks=False, needs_guest_agent=False)

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        state = FakeState(conf)
        self.host = FakeHost(state)
        self.guests = FakeGuests(state)
        self.power = FakePower(state)
        self.images = FakeImages()
        self.disks = FakeDisks(state)
        self.nics = FakeNics(state)
        self.consoles = FakeConsoles(state)
        self.snapshots = FakeSnapshots(state)
        self.volumes = FakeVolumes(state)
