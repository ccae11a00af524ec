# SPDX-License-Identifier: Apache-2.0
"""How a guest's CPUs and memory lie on NUMA nodes; servers that ask for none have none."""

from __future__ import annotations

from nova_lite.api.compute.common.policy_checks import may
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.compute.servers.call_host import call_host
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, READER, Rule
from nova_lite.hardware import requirements
from nova_lite.hardware.requirements import Hardware
from nova_lite.hardware.topology import Cell
from nova_lite.rpc.compute import GuestPlacement

HOST = Rule("compute:server:topology:host:index", ADMIN)
RULES = (HOST,)


@route("GET", "/servers/{server_id}/topology", policy=Rule("compute:server:topology:index", READER), since="2.78")
def show(req: Request, server_id: str) -> Body:
    """The guest's nodes; where they lie on the host is for operators.

    A guest with CPUs of its own or pages of a size has one node at least, as in Nova. What the host decided, it is asked.
    """
    server = begin_action.find(req, server_id)
    flavor = server.flavor
    vcpus, ram_mb = int(flavor["vcpus"]), int(flavor["ram"])
    asked = requirements.read(specs=flavor.get("extra_specs", {}), image=server.image_properties, vcpus=vcpus, ram_mb=ram_mb)
    cells = asked.cells
    if not cells and (asked.cpus.dedicated or asked.page_size is not None):
        cells = (Cell(tuple(range(vcpus)), ram_mb),)
    if not cells:
        return {"nodes": [], "pagesize_kb": None}
    lies = None if server.agent is None else call_host(
        req, server, lambda worker: worker.placement(req.ctxt, server_id=server_id))
    shows_host = may(req, HOST)
    return {
        "nodes": [_node(number, cell, asked, lies, shows_host=shows_host) for number, cell in enumerate(cells)],
        "pagesize_kb": lies.page_kib if lies is not None and asked.page_size is not None else None}


def _node(number: int, cell: Cell, asked: Hardware, lies: GuestPlacement | None, *, shows_host: bool) -> Body:
    """Each node that was asked for is on the host's node of its number; see virt/libvirt/xml_processor.py."""
    shown: Body = {"memory_mb": cell.memory_mb, "siblings": _siblings(cell, asked), "vcpu_set": list(cell.cpus)}
    if not shows_host:
        return shown
    pins = {cpu: lies.pins[str(cpu)] for cpu in cell.cpus if str(cpu) in lies.pins} if lies is not None else {}
    nodes = {lies.nodes[str(cpu)] for cpu in pins} if lies is not None else set()
    host_node = None if lies is None else number if asked.cells else min(nodes, default=0)
    return {**shown, "host_node": host_node, "cpu_pinning": {str(cpu): there for cpu, there in pins.items()}}


def _siblings(cell: Cell, asked: Hardware) -> list[list[int]]:
    """The guest's CPUs that it sees as threads of one core; none where each is a core."""
    threads = asked.topology.threads if asked.topology else 1
    if threads == 1:
        return []
    cores: dict[int, list[int]] = {}
    for cpu in cell.cpus:
        cores.setdefault(cpu // threads, []).append(cpu)
    return list(cores.values())
