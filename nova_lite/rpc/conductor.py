# SPDX-License-Identifier: Apache-2.0
"""What other services send to a conductor: that there is work, and what became of a worker's step."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import Any, ClassVar

from nova_lite.context import Context
from nova_lite.rpc.audit import AuditReport
from nova_lite.rpc.interface import Interface, call, cast
from nova_lite.rpc.network import Forwarding, NetworkState
from nova_lite.rpc.order import Order
from nova_lite.rpc.payload import payload, wire
from nova_lite.rpc.signing import FromHosts
from nova_lite.rpc.volume import PoolReport


@payload(version=1)
class HostNumaNode:
    """One NUMA node of a host; `dedicated`: those of its CPUs that only dedicated CPUs of guests run on."""

    cpus: tuple[int, ...]
    dedicated: tuple[int, ...]
    memory_mb: int


@payload(version=2)
class HostCapabilities:
    """What a host has beside its sizes. `hugepages_mb`: memory in huge pages by their size in KiB.

    `traits`: names of os-traits, of nova_lite.hardware.resource_request, and the operator's own. `threads`: of a core.
    """

    numa_nodes: tuple[HostNumaNode, ...] = dataclasses.field(default=(), metadata=wire("cells"))
    hugepages_mb: dict[str, int] = dataclasses.field(default_factory=dict, metadata=wire("pages_mb"))
    traits: tuple[str, ...] = ()
    threads: int = 1


@payload(version=3)
class Inventory:
    """What a compute host offers. Sizes are totals; `reserved_*` are kept for the host itself.

    `vcpus` are shared by guests, `pcpus` dedicated to one guest each; `hugepages_mb` of `ram_mb` is in huge pages.

    `virt_type` kvm|qemu|fake with `virt_reason`, the sentence why; `cpu_info` is JSON text as in os-hypervisors.
    """

    host: str
    vcpus: int
    ram_mb: int
    disk_gb: int
    architecture: str
    hypervisor_type: str
    hypervisor_version: int
    hypervisor_hostname: str
    virt_type: str
    virt_reason: str
    cpu_info: str
    host_ip: str
    tunnel_ip: str | None = None
    reserved_ram_mb: int = 0
    reserved_disk_gb: int = 0
    disk_free_gb: int = 0
    uptime: str = ""
    pcpus: int = 0
    hugepages_mb: int = dataclasses.field(default=0, metadata=wire("huge_mb"))
    capabilities: HostCapabilities = dataclasses.field(default_factory=HostCapabilities, metadata=wire("offers"))


# Of the requests that workers understand: 1 were those of release 0.1, which waited for answers.
GENERATION = 2


@payload(version=4)
class ServiceReport:
    """One daemon's heartbeat. `agent` is its name on the bus; a compute worker adds the hosts it runs, a volume worker its pools.

    `availability_zone` is the zone that the worker's hosts are in. `trouble`: why they can run no guests now, though
    their worker lives; such a beat keeps nobody up. `is_first`: of this process, which has begun just now.
    `generation`: of the requests that it understands.
    """

    binary: str
    agent: str
    availability_zone: str = "nova"
    inventories: tuple[Inventory, ...] = ()
    trouble: str = ""
    is_first: bool = False
    generation: int = GENERATION
    pools: tuple[PoolReport, ...] = ()

    @staticmethod
    def upgrade(fields: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
        """Release 0.1 did not say what its daemons understand."""
        return {"generation": 1, **fields}


@payload(version=2)
class PowerState:
    """A guest's power on its host: `state` as in nova_lite.lifecycle.servers.Power.

    `order`: the last request about the server that its worker carried out; a later one's outcome is newer than this.
    """

    server_id: str
    state: int
    order: Order | None = None


class Outcome(StrEnum):
    """How a step ended on its worker. STALE: it was not done, since a later request was."""

    DONE = "done"
    FAILED = "failed"
    STALE = "stale"


@payload(version=2)
class StepReport:
    """What became of the step that a worker was sent with `order`. `resource_type` is `server`, …

    `power_state`: of a server's guest when it was done. FAILED: `reason`, and whether it `may_pass`. STALE: the order
    that is `known` on the host. `result`: what else the step gave, by the names that its request says.
    """

    order: Order
    resource_type: str
    resource_id: str
    host: str
    outcome: Outcome
    power_state: int | None = None
    reason: str = ""
    may_pass: bool = False
    known: Order | None = None
    result: dict[str, Any] = dataclasses.field(default_factory=dict)


class ConductorRpc(Interface):
    """What other services send to a conductor."""

    topic, version = "conductor", "1.7"
    from_hosts: ClassVar[FromHosts] = {
        "report": lambda wire: [wire["status"]["agent"], *(one["host"] for one in wire["status"]["inventories"])],
        "report_step": lambda wire: [wire["report"]["host"]], "power_changed": lambda wire: [wire["host"]],
        "admit_worker": lambda wire: [wire["agent"]], "network_state": lambda wire: [wire["agent"]], "cloud_addresses": lambda wire: (), "forwarding": lambda wire: (), "post_password": lambda wire: (),
    }

    @cast(since="1.0")
    def run(self, ctxt: Context, *, action_id: int) -> None:
        """There is an action to carry out; the action's row is the truth."""

    @cast(since="1.0")
    def power_changed(self, ctxt: Context, *, host: str, states: tuple[PowerState, ...]) -> None:
        """Guests changed their power state by themselves: a guest powered off, a crash."""

    @cast(since="1.0")
    def report(self, ctxt: Context, *, status: ServiceReport) -> None:
        """A daemon lives; written to the database in batches."""

    @call(since="1.7", timeout_s=5)
    def admit_worker(self, ctxt: Context, *, binary: str, agent: str, worker_id: str) -> None:
        """A worker is about to serve the requests to `agent`; `worker_id` is kept with its state, and the same after a restart.

        :raises errors.NameInUse: another worker does. :raises errors.Unavailable: the database does not answer now.
        """

    @cast(since="1.5")
    def report_step(self, ctxt: Context, *, report: StepReport) -> None:
        """A worker says how a step ended that it was sent."""

    @cast(since="1.1")
    def refresh_documents(self, ctxt: Context, *, server_id: str) -> None:
        """What the server's guest may read about itself has changed: its host is to answer the new words."""

    @cast(since="1.2")
    def cache_images(self, ctxt: Context, *, image_ids: tuple[str, ...], hosts: tuple[str, ...]) -> None:
        """These compute hosts are to have the images before a guest needs them."""

    @call(since="1.3", timeout_s=10)
    def post_password(self, ctxt: Context, *, server_id: str, password: str) -> None:
        """The server's guest posted this to its metadata service, encrypted for its owner.

        :raises errors.NotFound: there is no such server. :raises errors.Conflict: its guest has posted one already.
        """

    @cast(since="1.4")
    def push_network(self, ctxt: Context) -> None:
        """Rows say that network state changed: push it to the hosts. If this is lost, a periodic look at the rows does it."""

    @call(since="1.4", timeout_s=30)
    def network_state(
        self, ctxt: Context, *, agent: str, group_ids: tuple[str, ...], network_ids: tuple[str, ...], server_ids: tuple[str, ...]
    ) -> NetworkState:
        """These groups, every group that their rules name, these networks and these servers' ports, for worker `agent`."""
        ...

    @call(since="1.7", timeout_s=30)
    def forwarding(self, ctxt: Context, *, network_ids: tuple[str, ...]) -> tuple[Forwarding, ...]:
        """Where the ports of these networks are."""
        ...

    @call(since="1.6", timeout_s=30)
    def cloud_addresses(self, ctxt: Context) -> tuple[str, ...]:
        """The IPv4 addresses and ranges that no guest may reach: of the cloud's hosts, bus and database, and as configured."""
        ...

    @call(since="1.7", timeout_s=120, monitor_s=20)
    def audit(self, ctxt: Context, *, settled_s: float) -> AuditReport:
        """What disagrees between the database, the hosts and their guests, seen twice; not what changed within `settled_s`."""
        ...

    @call(since="1.7", timeout_s=120, monitor_s=20)
    def repair(self, ctxt: Context) -> None:
        """Run every reconciler now, for all hosts; what they request of hosts is done a little later."""
