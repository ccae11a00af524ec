# SPDX-License-Identifier: Apache-2.0
"""How a guest's CPUs and memory lie on NUMA nodes; servers that ask for none have none."""

from __future__ import annotations

from nova_lite.api.compute import asking
from nova_lite.api.compute.permissions import may
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import ADMIN, READER, Rule, route
from nova_lite.hardware import wishes
from nova_lite.hardware.topology import Cell

HOST = Rule("compute:server:topology:host:index", ADMIN)
RULES = (HOST,)


@route("GET", "/servers/{server_id}/topology", policy=Rule("compute:server:topology:index", READER), since="2.78")
def show(req: Request, server_id: str) -> Body:
    """The guest's nodes; where they lie on the host is for operators."""
    server = asking.find(req, server_id)
    asked = wishes.read(specs=server.flavor.get("extra_specs", {}), image=server.image_properties,
                        vcpus=server.vcpus, ram_mb=server.ram_mb)
    shows_host = may(req, HOST)
    page_kb = asked.page_size if isinstance(asked.page_size, int) else None
    return {"nodes": [_node(number, cell, shows_host=shows_host) for number, cell in enumerate(asked.cells)],
            "pagesize_kb": page_kb}


def _node(number: int, cell: Cell, *, shows_host: bool) -> Body:
    """Each of the guest's nodes is on the host's node of its number; see virt/libvirt/xml_processor.py."""
    shown: Body = {"memory_mb": cell.memory_mb, "siblings": [], "vcpu_set": list(cell.cpus)}
    return {**shown, "host_node": number, "cpu_pinning": {}} if shows_host else shown
