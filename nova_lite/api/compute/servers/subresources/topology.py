# SPDX-License-Identifier: Apache-2.0
"""topology: the guest's NUMA nodes, and for operators where they are on the host."""

from __future__ import annotations

from collections.abc import Sequence

from nova_lite.api.compute.common.policy_checks import may
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.compute.servers.call_host import call_host
from nova_lite.api.wsgi.request import Body, Deferred, Request
from nova_lite.api.wsgi.responses import INTEGER, INTEGER_OR_NULL, OBJECT, closed, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, READER, Rule
from nova_lite.hardware import requirements
from nova_lite.rpc.compute import GuestPlacement
from nova_lite.values.hardware import Hardware, NumaNode

HOST = Rule("compute:server:topology:host:index", ADMIN)
RULES = (HOST,)
_NODE = closed({"host_node": INTEGER_OR_NULL, "cpu_pinning": OBJECT}, memory_mb=INTEGER, siblings=many(many(INTEGER)),
               vcpu_set=many(INTEGER))


@route("GET", "/servers/{server_id}/topology", policy=Rule("compute:server:topology:index", READER), since="2.78",
       response=closed(nodes=many(_NODE), pagesize_kb=INTEGER_OR_NULL), waits=True)
def show(req: Request, server_id: str) -> Body | Deferred[Body]:
    """Show the guest's NUMA nodes; with the policy for operators also their place on the host.

    A guest with dedicated CPUs or a page size has at least one node, as in Nova. The place is read from the host's worker.
    200 with the nodes. 404: no such server in the project, or it was deleted meanwhile. 409: it leaves its host.
    503: the host's nova-compute does not answer, or too many requests wait for workers.
    """
    server = begin_action.find(req, server_id)
    flavor = server.flavor
    vcpus, ram_mb = flavor.vcpus, flavor.ram_mb
    hardware = requirements.read(specs=flavor.extra_specs, image=server.image_properties, vcpus=vcpus, ram_mb=ram_mb)
    nodes = hardware.numa_nodes
    if not nodes and (hardware.cpus.dedicated or hardware.page_size is not None):
        nodes = (NumaNode(tuple(range(vcpus)), ram_mb),)
    if not nodes:
        return {"nodes": [], "pagesize_kb": None}
    shows_host = may(req, HOST)
    if server.agent is None:
        return _topology(nodes, hardware, None, shows_host=shows_host)
    return Deferred(lambda: _topology(nodes, hardware, call_host(
        req, server, lambda worker: worker.placement(req.ctxt, server_id=server_id)), shows_host=shows_host))


def _topology(nodes: Sequence[NumaNode], hardware: Hardware, placement: GuestPlacement | None, *, shows_host: bool) -> Body:
    return {
        "nodes": [_node(number, node, hardware, placement, shows_host=shows_host) for number, node in enumerate(nodes)],
        "pagesize_kb": placement.page_kib if placement is not None and hardware.page_size is not None else None}


def _node(number: int, node: NumaNode, hardware: Hardware, placement: GuestPlacement | None, *, shows_host: bool) -> Body:
    """A requested node is on the host's node of the same number; see compute/virt/libvirt/xml/processor.py."""
    body: Body = {"memory_mb": node.memory_mb, "siblings": _siblings(node, hardware), "vcpu_set": list(node.cpus)}
    if not shows_host:
        return body
    pins = {cpu: placement.pins[str(cpu)] for cpu in node.cpus if str(cpu) in placement.pins} if placement is not None else {}
    host_nodes = {placement.nodes[str(cpu)] for cpu in pins} if placement is not None else set()
    host_node = None if placement is None else number if hardware.numa_nodes else min(host_nodes, default=0)
    return {**body, "host_node": host_node, "cpu_pinning": {str(cpu): host_cpu for cpu, host_cpu in pins.items()}}


def _siblings(node: NumaNode, hardware: Hardware) -> list[list[int]]:
    """The guest's CPUs by core, if a core has several threads; else empty."""
    threads = hardware.topology.threads if hardware.topology else 1
    if threads == 1:
        return []
    cores: dict[int, list[int]] = {}
    for cpu in node.cpus:
        cores.setdefault(cpu // threads, []).append(cpu)
    return list(cores.values())
