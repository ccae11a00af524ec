# SPDX-License-Identifier: Apache-2.0
"""`POST /servers`: everything the request names is found and checked, then rows are written in one transaction."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import random
import re
import string
import uuid
from typing import Any

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.links import links
from nova_lite.api.compute.common.policy_checks import require
from nova_lite.api.compute.servers import (
    boot_image,
    create_schemas,
    injected_files,
    requested_networks,
    scheduler_hints,
)
from nova_lite.api.compute.servers.boot_image import BootImage
from nova_lite.api.compute.servers.quota_check import QuotaUsage
from nova_lite.api.wsgi.request import Body, Reply, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, MEMBER, Rule
from nova_lite.db.base import new_id
from nova_lite.db.compute import actions, flavors, keypairs, servers
from nova_lite.db.compute.flavors import Flavor
from nova_lite.db.hosts import hosts
from nova_lite.hardware import requirements
from nova_lite.runtime import tokens

CREATE = Rule("os_compute_api:servers:create", MEMBER)
FORCED_HOST = Rule("os_compute_api:servers:create:forced_host", ADMIN)
REQUESTED_HOST = Rule("compute:servers:create:requested_destination", ADMIN)
ZERO_DISK = Rule("os_compute_api:servers:create:zero_disk_flavor", ADMIN)
RULES = (FORCED_HOST, REQUESTED_HOST, ZERO_DISK)

GIB = 1024**3
_PASSWORD_LENGTH = 12
_RANDOM = random.SystemRandom()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where the server is to run: a zone, or by an admin one host of it."""

    zone: str | None = None
    host: str | None = None


@route("POST", "/servers", policy=CREATE, status=202, body=create_schemas.CREATE)
def create(req: Request, body: Body) -> Reply:
    """Write what is wanted and answer; the build is the conductor's work."""
    asked = body["server"]
    _refuse_what_is_not_there(asked)
    hints = scheduler_hints.read(req, body)
    flavor, image = _flavor(req, str(asked["flavorRef"])), _image(req, asked)
    hardware = check_fit(req, flavor, image)
    key_name, key_data = find_key(req, asked)
    place = _place(req, asked)
    nics = requested_networks.wanted(req, asked.get("networks"), rng=_RANDOM)
    group_names = list(dict.fromkeys(group["name"] for group in asked.get("security_groups", ()) if "name" in group))
    groups = requested_networks.group_ids(req, group_names, nics)
    count = QuotaUsage.of(req).servers(flavor, _counts(asked, nics), ports_each=sum(1 for nic in nics if nic.network),
                                 metadata=asked.get("metadata", {}))
    scheduler_hints.check_members(req, hints, count)
    reservation_id = f"r-{_word(8, string.ascii_lowercase + string.digits)}"
    common = _columns(req, asked, flavor, image, place) | hints.columns | {
        "reservation_id": reservation_id, "key_name": key_name, "key_data": key_data,
        "root_device_name": hardware.root_device}
    made = [{**common, **_names(asked, index, count), "launch_index": index} for index in range(count)]
    servers.create(req.db, made)
    password = asked.get("adminPass") or new_password()
    inputs = for_config_drive(req, password, has_drive=common["config_drive"])
    for server in made:
        requested_networks.plug(req, server["id"], nics, groups, rng=_RANDOM)
        _hand_over(req, server["id"], inputs)
    return _answer(req, asked, made[0], group_names, password)


def for_config_drive(req: Request, password: str, *, has_drive: bool) -> dict[str, Any]:
    """Inputs of the action with which the password reaches the guest: as in Nova, by nothing but its config drive."""
    return {actions.ADMIN_PASS: tokens.open_tokens(req.conf).encrypt_secret(password)} if has_drive else {}


def _hand_over(req: Request, server_id: str, inputs: dict[str, Any]) -> None:
    action_id = actions.record(req.db, server_id=server_id, name="create", request_id=req.ctxt.request_id,
                               user_id=req.ctxt.user_id, project_id=req.ctxt.project_id, inputs=inputs)
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=action_id)


def _answer(req: Request, asked: Body, first: dict[str, Any], group_names: list[str], password: str) -> Reply:
    """About the `first` of the servers made: its row."""
    server_id = first["id"]
    location = {"Location": f"{req.base_url}/servers/{server_id}"}
    if schemas.is_true(asked.get("return_reservation_id")):
        return Reply({"reservation_id": first["reservation_id"]}, headers=location)
    return Reply({"server": {
        "id": server_id, "links": links(req, f"/servers/{server_id}"), "OS-DCF:diskConfig": first["disk_config"],
        "security_groups": requested_networks.names(group_names), "adminPass": password}}, headers=location)


def new_password() -> str:
    """An administrator's password, for a request that brings none."""
    return _word(_PASSWORD_LENGTH, string.ascii_letters + string.digits)


def _word(length: int, alphabet: str) -> str:
    return "".join(_RANDOM.choices(alphabet, k=length))


def _refuse_what_is_not_there(asked: Body) -> None:
    """:raises errors.BadRequest: the request needs something that this cloud cannot do yet."""
    if asked.get("trusted_image_certificates"):
        raise errors.BadRequest(reason="trusted_image_certificates: image signatures are not verified by this cloud")


def _flavor(req: Request, flavor_id: str) -> Flavor:
    try:
        flavor = flavors.get(req.db, flavor_id, project_id=req.ctxt.visible_project)
    except errors.NotFound as missing:
        raise errors.BadRequest(reason=missing.text) from None
    if flavor.disabled:
        raise errors.BadRequest(reason=f"Flavor {flavor_id} is disabled.")
    return flavor


def _image(req: Request, asked: Body) -> BootImage:
    """The image of the root disk. A mapping of it, as openstackclient sends, says nothing new; others need volumes."""
    image_id = asked.get("imageRef") or ""
    if any(device for device in asked.get("block_device_mapping", ())):
        raise errors.BadRequest(reason="block_device_mapping: this cloud has no volumes yet; boot from an image")
    for device in asked.get("block_device_mapping_v2", ()):
        if device.get("no_device"):
            continue
        if device.get("source_type") != "image" or device.get("destination_type", "local") != "local":
            raise errors.BadRequest(reason=(
                f"block_device_mapping_v2: source_type {device.get('source_type')} to destination_type "
                f"{device.get('destination_type')} needs volumes, which this cloud does not have yet; "
                "boot from an image to a local disk"))
        if str(device.get("boot_index")) != "0" or (image_id and device.get("uuid") != image_id):
            raise errors.BadRequest(reason="Block Device Mapping is Invalid: Boot sequence for the instance and image/"
                                           "block device mapping combination is not valid.")
        image_id = image_id or device.get("uuid") or ""
    if not image_id:
        raise errors.BadRequest(reason="Invalid imageRef provided.")
    return boot_image.find(req, image_id)


def _hardware(flavor: Flavor, image: BootImage) -> requirements.Hardware:
    """:raises errors.BadRequest: an extra spec or image property asks for what is not there; it is named."""
    return requirements.read(
        specs=flavor.extra_specs, image=image.properties, vcpus=flavor.vcpus, ram_mb=flavor.ram_mb)


def check_fit(req: Request, flavor: Flavor, image: BootImage) -> requirements.Hardware:
    """What both ask of the hardware.

    :raises errors.BadRequest: the image needs a larger flavor. The sentences are Nova's.
    """
    hardware = _hardware(flavor, image)
    if flavor.ram_mb < image.min_ram_mb:
        raise errors.BadRequest(reason="Flavor's memory is too small for requested image.")
    if flavor.disk_gb == 0:
        try:
            require(req, ZERO_DISK)
        except errors.PolicyForbids:
            raise errors.Forbidden(
                reason="Only volume-backed servers are allowed for flavors with zero disk.") from None
        return hardware
    disk = flavor.disk_gb * GIB
    smallest = image.min_disk_gb * GIB
    if disk < smallest:
        raise errors.BadRequest(reason=(
            "Flavor's disk is smaller than the minimum size specified in image metadata. "
            f"Flavor disk is {disk} bytes, minimum size is {smallest} bytes."))
    needed = max(image.size, image.virtual_size)
    if disk < needed:
        raise errors.BadRequest(reason=(
            f"Flavor's disk is too small for requested image. Flavor disk is {disk} bytes, image is {needed} bytes."))
    return hardware


def find_key(req: Request, asked: Body) -> tuple[str | None, str | None]:
    """Name and text of the caller's key."""
    name = asked.get("key_name")
    if name is None:
        return None, None
    try:
        return name, keypairs.get(req.db, user_id=req.ctxt.user_id, name=name).public_key
    except errors.NotFound:
        raise errors.BadRequest(reason="Invalid key_name provided.") from None


def _place(req: Request, asked: Body) -> Place:
    """What `availability_zone` (`zone`; by an admin `zone:host:node`, either may be left out), `host` and
    `hypervisor_hostname` mean. A node that is named must be the host's own.
    """
    zone, _, forced = (asked.get("availability_zone") or "").partition(":")
    names = {name for name in (asked.get("host"), asked.get("hypervisor_hostname")) if name}
    if forced.count(":") > 1:
        raise errors.BadRequest(reason=f"Invalid availability_zone: {asked['availability_zone']} is not zone:host:node")
    if forced and names:
        raise errors.BadRequest(reason="host and hypervisor_hostname cannot be used together with zone:host")
    if forced:
        require(req, FORCED_HOST)
        names = {name for name in forced.split(":") if name}
    elif names:
        require(req, REQUESTED_HOST)
    if not zone and not names:
        return Place()
    known = hosts.hosts(req.db)
    if zone and zone not in {host.availability_zone for host in known}:
        raise errors.BadRequest(reason="The requested availability zone is not available")
    if not names:
        return Place(zone=zone)
    host = next((host for host in known if names <= {host.name, host.hypervisor_hostname}), None)
    if host is None:
        raise errors.BadRequest(reason=f"Compute host {' with node '.join(sorted(names))} could not be found.")
    return Place(zone=zone or None, host=host.name)


def _counts(asked: Body, nics: list[requested_networks.Nic]) -> tuple[int, int]:
    """The least and the most servers to make."""
    least = int(asked.get("min_count") or 1)
    most = int(asked.get("max_count") or asked.get("min_count") or 1)
    if least < 1 or most < 1:
        raise errors.InvalidField(field="server/min_count", reason="less than the minimum of 1")
    if least > most:
        raise errors.BadRequest(reason="min_count must be <= max_count")
    if most > 1 and any(nic.port_id or nic.fixed_ip for nic in nics):
        raise errors.BadRequest(reason="Unable to launch multiple instances with a single configured port ID or "
                                       "fixed address. Please launch your instance one by one with different ports.")
    return least, most


def _columns(req: Request, asked: Body, flavor: Flavor, image: BootImage, place: Place) -> dict[str, Any]:
    """The columns that all servers of the request share."""
    root_gb = flavor.disk_gb or -(-image.virtual_size // GIB)
    return {
        "project_id": req.ctxt.project_id, "user_id": req.ctxt.user_id, "description": asked.get("description"),
        "flavor": flavor.copy(), "vcpus": flavor.vcpus, "ram_mb": flavor.ram_mb,
        "disk_gb": root_gb + flavor.ephemeral_gb + -(-flavor.swap_mb // 1024),
        "image_id": image.id, "image_properties": image.properties, "user_data": checked_user_data(asked.get("user_data")),
        "files": injected_files.checked(req, asked["personality"]) if asked.get("personality") else None,
        "config_drive": schemas.is_true(asked.get("config_drive")) or image.properties.get("img_config_drive") == "mandatory",
        "metadata_items": asked.get("metadata", {}),
        "tags": list(dict.fromkeys(asked.get("tags", ()))), "wanted_zone": place.zone, "wanted_host": place.host,
        "disk_config": asked.get("OS-DCF:diskConfig") or (
            "AUTO" if schemas.is_true(image.properties.get("auto_disk_config")) else "MANUAL"),
        "access_ip_v4": asked.get("accessIPv4"), "access_ip_v6": asked.get("accessIPv6"),
    }


def checked_user_data(text: str | None) -> str | None:
    """:raises errors.InvalidField: it is not base64."""
    if text is None:
        return None
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error):
        raise errors.InvalidField(field="server/user_data", reason="User data needs to be valid base 64.") from None
    return str(text)


def _names(asked: Body, index: int, count: int) -> dict[str, str]:
    """Id, name and host name of one server; those of several made at once are numbered."""
    suffix = f"-{index + 1}" if count > 1 else ""
    name, server_id = f"{asked['name']}{suffix}", new_id()
    hostname = f"{asked['hostname']}{suffix}" if asked.get("hostname") else host_name(name, server_id)
    return {"id": server_id, "name": name, "hostname": hostname}


def host_name(name: str, server_id: str) -> str:
    """A name that DNS can hold (RFC 1123, 63 characters), made from the server's name."""
    plain = name.encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9-]", "", re.sub(r"[ _.]", "-", plain)).strip("-")
    return plain[:63].rstrip("-") or f"server-{uuid.UUID(server_id)}"
