# SPDX-License-Identifier: Apache-2.0
"""What servers are booted from: found, or made and removed again."""

from __future__ import annotations

import argparse
import dataclasses
import secrets

from tools.lib.bench.cloud import BenchError, Cloud, Wire, need, say


@dataclasses.dataclass
class Prerequisites:
    """What servers are booted from; `made` is removed at the end."""

    image: str = ""
    flavor: str = ""
    network: str = ""
    made: list[str] = dataclasses.field(default_factory=list)  # URLs, in the order in which to delete them


def prepare(cloud: Cloud, args: argparse.Namespace) -> Prerequisites:
    """Find or make the image, flavor and network, and room in the quota."""
    wire, prerequisites = cloud.wire(), Prerequisites()
    prerequisites.image = args.image or _any_image(cloud, wire, prerequisites)
    prerequisites.flavor = args.flavor or _smallest_flavor(cloud, wire)
    if args.network != "none":
        prerequisites.network = args.network or _own_network(cloud, wire, prerequisites, args)
    _check_quota(cloud, wire, args)
    wire.close()
    return prerequisites


def _any_image(cloud: Cloud, wire: Wire, prerequisites: Prerequisites) -> str:
    known = need(wire, "GET", f"{cloud.image}/images?status=active&limit=1")["images"]
    if known:
        return str(known[0]["id"])
    made = need(wire, "POST", f"{cloud.image}/images",
                {"name": "bench", "disk_format": "raw", "container_format": "bare", "visibility": "private"})
    prerequisites.made.append(f"{cloud.image}/images/{made['id']}")
    need(wire, "PUT", f"{cloud.image}/images/{made['id']}/file", raw=bytes(1024 * 1024))
    return str(made["id"])


def _smallest_flavor(cloud: Cloud, wire: Wire) -> str:
    flavors = need(wire, "GET", f"{cloud.compute}/flavors/detail")["flavors"]
    fitting = [flavor for flavor in flavors if flavor["disk"] >= 1]
    if not fitting:
        raise BenchError("no flavor with a disk of 1 GiB or more; name one by --flavor")
    return str(min(fitting, key=lambda flavor: (flavor["ram"], flavor["vcpus"], flavor["disk"]))["id"])


def _own_network(cloud: Cloud, wire: Wire, prerequisites: Prerequisites, args: argparse.Namespace) -> str:
    name = f"bench-{secrets.token_hex(4)}"
    made = need(wire, "POST", f"{cloud.network}/networks", {"network": {"name": name}})["network"]
    prerequisites.made.append(f"{cloud.network}/networks/{made['id']}")
    second = secrets.randbelow(256)
    need(wire, "POST", f"{cloud.network}/subnets", {"subnet": {
        "network_id": made["id"], "ip_version": 4, "cidr": args.cidr or f"10.{second}.0.0/16"}})
    return str(made["id"])


def _check_quota(cloud: Cloud, wire: Wire, args: argparse.Namespace) -> None:
    """Lift the project's quotas; when that is not ours to do, look whether what is there is enough."""
    unlimited = {"instances": -1, "cores": -1, "ram": -1}
    url = f"{cloud.compute}/os-quota-sets/{cloud.project_id}"
    status, _, _ = wire.request("PUT", url, {"quota_set": unlimited})
    ports = {"quota": {"port": -1}}
    wire.request("PUT", f"{cloud.network}/quotas/{cloud.project_id}", ports)  # Neutron's own; ours counts with compute's
    wire.request("PUT", url, {"quota_set": {"ports": -1}})
    if status == 200:
        return
    limits = need(wire, "GET", f"{cloud.compute}/limits")["limits"]["absolute"]
    most, used = limits["maxTotalInstances"], limits["totalInstancesUsed"]
    if 0 <= most < used + args.n:
        raise BenchError(f"the quota leaves {most - used} servers, -n needs {args.n}; log in as an admin or lower -n")


def remove(cloud: Cloud, prerequisites: Prerequisites) -> None:
    wire = cloud.wire()
    for url in reversed(prerequisites.made):
        status, body, _ = wire.request("DELETE", url)
        if status >= 300:
            say(f"left behind: {url} ({status} {body})")
    wire.close()
