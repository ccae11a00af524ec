# SPDX-License-Identifier: Apache-2.0
"""Turns rows into what workers are told: the guest, its ports, and the documents that it may read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.services import Services
from nova_lite.db.compute import actions, servers
from nova_lite.db.compute.servers import Server
from nova_lite.db.image import images
from nova_lite.db.network import security_groups
from nova_lite.payloads import ports as port_payloads
from nova_lite.rpc import compute, network
from nova_lite.runtime import tokens
from nova_lite.values import instance_metadata


def server_ports(
    session: Session, services: Services, server: Server, *, fence: int, without: str | None = None
) -> network.ServerPorts:
    """What the network worker of the server's host must know, documents included; `without`: a port that leaves."""
    bare = port_payloads.server_ports(session, server, fence=fence, documents={})
    if without is not None:
        bare = port_payloads.without(bare, without)
    services.network_changed()  # the server's own addresses among its groups' members, if a request recorded them just now
    facts = _facts(session, server, bare)
    return dataclasses.replace(bare, documents=instance_metadata.render(facts, dns_domain=services.conf.network.dns_domain))


def describe(
    session: Session, services: Services, server: Server, *, fence: int, ports: network.ServerPorts,
    image: compute.Image | None = None, inputs: Mapping[str, Any] | None = None,
) -> compute.Guest:
    """What the compute worker of the server's host must know; `image`: what to build it from, if not its own.

    `inputs`: of the action, which may bring a password for the config drive.

    :raises errors.ImageFailed: the image has gone since the server was asked for.
    """
    flavor = server.flavor
    return compute.Guest(
        server_id=server.id, fence=fence, host=str(server.host), instance_name=servers.instance_name(server.number),
        display_name=server.name, hostname=server.hostname, vcpus=flavor.vcpus, ram_mb=flavor.ram_mb,
        disk_gb=flavor.root_gb, ephemeral_gb=flavor.ephemeral_gb, swap_mb=flavor.swap_mb,
        image=image or _image(session, services, server), nics=_nics(ports), config_drive=server.config_drive,
        documents=instance_metadata.for_config_drive(ports.documents, admin_pass=_admin_pass(services, inputs or {})),
        extra_specs=dict(flavor.extra_specs), project_id=server.project_id,
        user_id=server.user_id,
    )


def drive_documents(
    session: Session, services: Services, server: Server, *, fence: int, inputs: Mapping[str, Any]
) -> dict[str, str] | None:
    """What is on the server's config drive, with the password that the action's inputs bring; None: it has no drive."""
    if not server.config_drive:
        return None
    ports = server_ports(session, services, server, fence=fence)
    return instance_metadata.for_config_drive(ports.documents, admin_pass=_admin_pass(services, inputs))


def _admin_pass(services: Services, inputs: Mapping[str, Any]) -> str | None:
    sealed = inputs.get(actions.ADMIN_PASS)
    return tokens.open_tokens(services.conf).decrypt_secret(sealed) if sealed else None


def _image(session: Session, services: Services, server: Server) -> compute.Image:
    image = images.source(session, str(server.image_id))
    if image is None or image.status != "active":
        raise errors.ImageFailed(host=server.host, id=server.image_id, reason="it was deleted in the meantime")
    return image_payload(services, image, project_id=server.project_id, properties=dict(server.image_properties))


def image_payload(  # noqa: ANN401 - Image, or a row of db/images.source()
    services: Services, image: Any, *, project_id: str, properties: dict[str, str]
) -> compute.Image:
    """Where a worker gets the image, as the project may."""
    return compute.Image(
        id=image.id, disk_format=str(image.disk_format), size=int(image.size or 0), hash_algo="sha512",
        checksum=str(image.hash_value), url=f"{services.public_url}/image/v2/images/{image.id}/file", token=services.image_token(project_id),
        properties=properties,
    )


def _nics(ports: network.ServerPorts) -> tuple[compute.Nic, ...]:
    mtus = {net.id: net.mtu for net in ports.networks}
    return tuple(
        compute.Nic(port_id=port.id, mac=port.mac, tap=network.tap_name(port.id),
                    bridge=network.bridge_name(port.network_id), mtu=mtus[port.network_id])
        for port in ports.ports)


def _facts(session: Session, server: Server, ports: network.ServerPorts) -> instance_metadata.ServerFacts:
    networks = {net.id: net for net in ports.networks}
    group_ids = {group_id for port in ports.ports for group_id in port.group_ids}
    return instance_metadata.ServerFacts(
        id=server.id, number=server.number, name=server.name, hostname=server.hostname, project_id=server.project_id,
        availability_zone=str(server.availability_zone), launch_index=server.launch_index,
        reservation_id=server.reservation_id, flavor_name=server.flavor.name, image_id=server.image_id,
        key_name=server.key_name, key_data=server.key_data, metadata_items=dict(server.metadata_items),
        user_data=server.user_data, nics=tuple(_nic_facts(port, networks[port.network_id]) for port in ports.ports),
        group_names=tuple(sorted(security_groups.names(session, group_ids))),
        files=tuple((file["path"], file["contents"]) for file in server.files or ()), posted_password=server.posted_password,
    )


def _nic_facts(port: network.Port, net: network.Network) -> instance_metadata.NicFacts:
    subnet = net.subnets[0] if net.subnets else None
    return instance_metadata.NicFacts(
        tap=network.tap_name(port.id), port_id=port.id, network_id=net.id, mac=port.mac, mtu=net.mtu,
        addresses=port.addresses, dns=subnet.dns if subnet else (), tag=port.tag,
        floating=tuple(floating.address for floating in port.floating),
    )
