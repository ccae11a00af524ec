# SPDX-License-Identifier: Apache-2.0
"""Turns rows into payloads for workers: the guest, its ports, and the documents that it may read."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.db.compute import servers
from nova_lite.db.compute.servers import Server
from nova_lite.payloads import ports as port_payloads
from nova_lite.payloads import volumes
from nova_lite.payloads.environment import Environment
from nova_lite.rpc import compute, network
from nova_lite.rpc.order import NEVER, Order
from nova_lite.values import guest_disk, instance_metadata
from nova_lite.values.flavor import Flavor
from nova_lite.values.guest_disk import DiskFormat, DiskSource, GuestDisk
from nova_lite.values.image_grant import Access, ImageGrant


def server_ports(
    session: Session, environment: Environment, server: Server, *, order: Order = NEVER, without: str | None = None
) -> network.ServerPorts:
    """What the network worker of the server's host must know, documents included; `without`: a port that leaves."""
    found = port_payloads.read(session, server, order=order)
    bare = found.ports if without is None else port_payloads.without(found.ports, without)
    return _with_documents(environment, server, bare, found.group_names, disks(session, environment, server))


def _with_documents(  # of whom, and what the documents say
    environment: Environment, server: Server, bare: network.ServerPorts, group_names: Mapping[str, str], disks: Sequence[GuestDisk],
) -> network.ServerPorts:
    facts = _facts(server, bare, group_names, disks)
    return dataclasses.replace(bare, documents=instance_metadata.render(facts, dns_domain=environment.dns_domain))


@dataclasses.dataclass(frozen=True)
class DescribedServer:
    """What its host must know of a server, as read at once. `image_source`: a row of db/images.source(), None: it has gone.

    `has_peers`: other hosts have ports on its networks. `disks`: its volumes are as they were connected by then.
    """

    server: Server
    ports: network.ServerPorts
    image_source: Any
    has_peers: bool
    disks: tuple[GuestDisk, ...]


def read(session: Session, environment: Environment, server_id: str, *, order: Order) -> DescribedServer:
    """Read a server that has a host, with its image and ports; four queries, and two more for volumes."""
    row = servers.row_with_image(session, server_id)
    found = port_payloads.read(session, row.server, order=order)
    its_disks = disks(session, environment, row.server)
    documents = _with_documents(environment, row.server, found.ports, found.group_names, its_disks)
    return DescribedServer(row.server, documents, row.image, found.has_peers, its_disks)


def describe_built(environment: Environment, found: DescribedServer, *, admin_pass: str | None) -> compute.Guest:
    """What the compute worker must know to build the guest from the server's own image; `admin_pass` as for `describe`.

    :raises errors.ImageFailed: the image has gone since the server was requested.
    """
    if guest_disk.image_is_used(found.disks):
        image = _image(environment, found.server, found.image_source)
    else:
        image = compute.Image.of_volume(dict(found.server.image_properties))
    return describe(environment, found.server, ports=found.ports, image=image, disks=found.disks, admin_pass=admin_pass)


def describe(
    environment: Environment, server: Server, *, ports: network.ServerPorts, image: compute.Image, disks: Sequence[GuestDisk],
    admin_pass: str | None = None,
) -> compute.Guest:
    """What the compute worker of the server's host must know; `image`: what to build it from, onto its `disks`.

    `admin_pass`: sealed, for the config drive.
    """
    flavor = server.flavor
    return compute.Guest(
        server_id=server.id, host=str(server.host), instance_name=servers.instance_name(server.number),
        display_name=server.name, hostname=server.hostname, vcpus=flavor.vcpus, ram_mb=flavor.ram_mb,
        disks=tuple(disks),
        image=image, nics=_nics(ports), config_drive=server.config_drive,
        documents=instance_metadata.for_config_drive(ports.documents, admin_pass=_open(environment, admin_pass)),
        extra_specs=dict(flavor.extra_specs), project_id=server.project_id,
        user_id=server.user_id,
    )


def drive_documents(
    session: Session, environment: Environment, server: Server, *, admin_pass: str | None
) -> dict[str, str] | None:
    """What is on the server's config drive, with the sealed password; None: it has no drive."""
    if not server.config_drive:
        return None
    ports = server_ports(session, environment, server)
    return instance_metadata.for_config_drive(ports.documents, admin_pass=_open(environment, admin_pass))


def local_disks(flavor: Flavor, blank: Sequence[Mapping[str, Any]] | None = None) -> tuple[GuestDisk, ...]:
    """The disks on the host: the root disk, unless it is a volume, and the flavor's own, or the `blank` ones in their place."""
    found = guest_disk.of_flavor(root_gb=flavor.root_gb, ephemeral_gb=flavor.ephemeral_gb, swap_mb=flavor.swap_mb)
    if blank is not None:
        found = (found[0], *(GuestDisk(source=DiskSource.BLANK, size_mb=one["size_mb"], format=DiskFormat(one["format"])) for one in blank))
    return found[1:] if flavor.root_on_volume else found


def disks(session: Session, environment: Environment, server: Server) -> tuple[GuestDisk, ...]:
    """The disks of the server's guest: those on its host, and its volumes."""
    local = local_disks(server.flavor, server.blank_disks)
    return guest_disk.with_local(volumes.disks(session, environment, server.id), local) if server.has_volumes else local


def _open(environment: Environment, sealed: str | None) -> str | None:
    return environment.open_secret(sealed) if sealed else None


def _image(environment: Environment, server: Server, image: Any) -> compute.Image:  # a row of db/images.source()
    """Where the worker of the server's host gets the server's image.

    :raises errors.ImageFailed: the image has gone since the server was requested.
    """
    if image is None or image.status != "active":
        raise errors.ImageFailed(host=server.host, id=server.image_id, reason="it was deleted in the meantime")
    return image_payload(
        environment, image, host=str(server.host), project_id=server.project_id, properties=dict(server.image_properties))


def image_payload(  # Image, or a row of db/images.source()
    environment: Environment, image: Any, *, host: str, project_id: str, properties: dict[str, str]
) -> compute.Image:
    """Where the worker of the host gets the image, as the project may."""
    token = environment.image_token(ImageGrant(image.id, Access.READ, host), project_id=project_id)
    return compute.Image(
        id=image.id, disk_format=str(image.disk_format), size=int(image.size or 0), hash_algo="sha512",
        checksum=str(image.hash_value), url=f"{environment.public_url}/image/v2/images/{image.id}/file", token=token,
        properties=properties,
    )


def _nics(ports: network.ServerPorts) -> tuple[compute.Nic, ...]:
    mtus = {net.id: net.mtu for net in ports.networks}
    return tuple(
        compute.Nic(port_id=port.id, mac=port.mac, tap=network.tap_name(port.id),
                    bridge=network.bridge_name(port.network_id), mtu=mtus[port.network_id])
        for port in ports.ports)


def _facts(
    server: Server, ports: network.ServerPorts, names: Mapping[str, str], disks: Sequence[GuestDisk],
) -> instance_metadata.ServerFacts:
    networks = {net.id: net for net in ports.networks}
    group_ids = {group_id for port in ports.ports for group_id in port.group_ids}
    return instance_metadata.ServerFacts(
        id=server.id, number=server.number, name=server.name, hostname=server.hostname, project_id=server.project_id,
        availability_zone=str(server.availability_zone), launch_index=server.launch_index,
        reservation_id=server.reservation_id, flavor_name=server.flavor.name, image_id=server.image_id,
        key_name=server.key_name, key_data=server.key_data, metadata_items=dict(server.metadata_items),
        user_data=server.user_data, nics=tuple(_nic_facts(port, networks[port.network_id]) for port in ports.ports),
        group_names=tuple(sorted(names[group_id] for group_id in group_ids)),
        disks=tuple(disks), root_device=server.root_device_name or "/dev/vda",
        files=tuple((file["path"], file["contents"]) for file in server.files or ()), posted_password=server.posted_password,
    )


def _nic_facts(port: network.Port, net: network.Network) -> instance_metadata.NicFacts:
    return instance_metadata.NicFacts(
        tap=network.tap_name(port.id), port_id=port.id, network_id=net.id, mac=port.mac, mtu=net.mtu,
        addresses=port.addresses, subnets=tuple(_subnets(port, net)), tag=port.tag,
        floating=tuple(floating.address for floating in port.floating),
    )


def _subnets(port: network.Port, net: network.Network) -> Iterator[instance_metadata.SubnetFacts]:
    """Those that the port has addresses in."""
    for subnet in net.subnets:
        cidr = ipaddress.IPv4Network(subnet.cidr)
        addresses = tuple(address for address in port.addresses if ipaddress.IPv4Address(address) in cidr)
        if addresses:
            yield instance_metadata.SubnetFacts(subnet.cidr, subnet.gateway, subnet.dns, subnet.enable_dhcp, addresses)
