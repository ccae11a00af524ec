# SPDX-License-Identifier: Apache-2.0
"""`POST /servers`: look up and check everything that the request names, then write the rows in one transaction."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import functools
import random
import re
import string
import uuid
from collections.abc import Sequence
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
from nova_lite.api.compute.servers.disks import block_devices, new_volumes
from nova_lite.api.compute.servers.disks.block_devices import BlockDevices
from nova_lite.api.compute.servers.disks.new_volumes import PlannedVolume
from nova_lite.api.compute.servers.quota_check import QuotaUsage
from nova_lite.api.wsgi.request import Body, Reply, Request
from nova_lite.api.wsgi.responses import LINKS, STRING, Schema, closed, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, MEMBER, Rule
from nova_lite.db.base import new_id
from nova_lite.db.compute import actions, flavors, keypairs, servers
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts import hosts
from nova_lite.db.volume import quota
from nova_lite.hardware import requirements
from nova_lite.payloads import placement
from nova_lite.rpc.payload import to_wire
from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.runtime import tokens
from nova_lite.values.flavor import Flavor
from nova_lite.values.hardware import Hardware

CREATE = Rule("os_compute_api:servers:create", MEMBER)
FORCED_HOST = Rule("os_compute_api:servers:create:forced_host", ADMIN)
REQUESTED_HOST = Rule("compute:servers:create:requested_destination", ADMIN)
ZERO_DISK = Rule("os_compute_api:servers:create:zero_disk_flavor", ADMIN)
RULES = (FORCED_HOST, REQUESTED_HOST, ZERO_DISK)

GIB = 1024**3
_PASSWORD_LENGTH = 12
_MAX_NAME = 255  # of the column
_RANDOM = random.SystemRandom()


@dataclasses.dataclass(frozen=True, kw_only=True)
class RequestedDestination:
    """Where the caller wants the server: an availability zone, or (admins only) one host of it."""

    zone: str | None = None
    host: str | None = None


_RESPONSE: Schema = {"anyOf": [closed(reservation_id=STRING), closed(server=closed(
    id=STRING, links=LINKS, adminPass=STRING, security_groups=many(closed(name=STRING)),
    **{"OS-DCF:diskConfig": {"enum": ["AUTO", "MANUAL"]}}))]}


@route("POST", "/servers", policy=CREATE, status=202, body=create_schemas.CREATE, response=_RESPONSE)
def create(req: Request, body: Body) -> Reply:
    """Write servers, ports and their build actions; the conductor builds them.

    202 with the first server's id, links and password, or with `reservation_id` if `return_reservation_id` is set.
    400: flavor, image, key, network, port, security group, zone, host or scheduler hint cannot be used; the reason names it.
    403: over quota, or a host is named by a caller who may not. 409: several networks to choose from, or a port or
    address is in use.
    """
    params = body["server"]
    _refuse_unsupported(params)
    scheduler_hint_set = scheduler_hints.read(req, body)
    flavor = _flavor(req, str(params["flavorRef"]))
    devices, planned, image = _disks(req, params, flavor)
    flavor = dataclasses.replace(flavor, root_on_volume=not devices.has_local_root)
    hardware = check_fit(req, flavor, image) if devices.has_local_root else check_hardware(flavor, image)
    key_name, key_data = find_key(req, params)
    destination = _requested_destination(req, params)
    nics = requested_networks.resolve(req, params.get("networks"), rng=_RANDOM)
    group_names = list(dict.fromkeys(group["name"] for group in params.get("security_groups", ()) if "name" in group))
    groups = requested_networks.group_ids(req, group_names, nics)
    common = _columns(req, params, flavor, image, destination) | _disk_columns(devices, flavor, image) | scheduler_hint_set.columns | {
        "reservation_id": f"r-{_random_text(8, string.ascii_lowercase + string.digits)}", "key_name": key_name,
        "key_data": key_data, "root_device_name": hardware.root_device}
    password = params.get("adminPass") or new_password()
    inputs = for_config_drive(req, password, has_drive=common["config_drive"])
    counts = _counts(params, nics)
    if counts[1] > 1 and any(one.existing for one in planned):
        raise errors.BadRequest(reason="Block Device Mapping is Invalid: several servers cannot share an existing volume.")
    new_ports = sum(1 for nic in nics if nic.network)
    allowed = functools.partial(
        QuotaUsage.servers, flavor=flavor, counts=counts, metadata=params.get("metadata", {}), ports_each=new_ports)
    write = functools.partial(_write, req, params, _Prepared(common, inputs, nics, groups, planned))
    if planned:
        _check_volume_quota(req, planned, count=counts[1])
    if counts == (1, 1) and scheduler_hint_set.group_id is None:
        # Other creates of the project wait from the look at its quota until the commit: everything is written before.
        rows = write(count=1)
        allowed(QuotaUsage.of(req, less={"instances": 1, "cores": flavor.vcpus, "ram": flavor.ram_mb, "ports": new_ports}))
    else:
        count = allowed(QuotaUsage.of(req))
        scheduler_hints.check_members(req, scheduler_hint_set, count)
        rows = write(count=count)
    return _reply(req, params, rows[0], group_names, password)


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """What all servers of the request share: columns, inputs of their actions, NICs, ids of groups, and volumes."""

    common: dict[str, Any]
    inputs: dict[str, Any]
    nics: list[requested_networks.Nic]
    groups: Sequence[str]
    planned: Sequence[PlannedVolume]


def _write(req: Request, params: Body, prepared: _Prepared, *, count: int) -> list[dict[str, Any]]:
    """Write so many servers of these columns, their build actions, volumes and ports; the servers' rows."""
    common, planned = prepared.common, prepared.planned
    rows = [{**common, **_names(params, index, count), "launch_index": index} for index in range(count)]
    servers.create(req.db, rows)
    request = placement.request(req.db, Server(**rows[0]))
    for server in rows:
        _begin_build(req, dataclasses.replace(request, server_id=server["id"]), prepared.inputs, has_volumes=bool(planned))
        requested_networks.plug(req, server["id"], prepared.nics, prepared.groups, rng=_RANDOM)
        if planned:
            new_volumes.write(req, server["id"], planned, root_device=common["root_device_name"], first_disks=Server(**common).first_disks)
    return rows


def _check_volume_quota(req: Request, planned: Sequence[PlannedVolume], *, count: int) -> None:
    """:raises errors.OverQuota: block storage allows fewer, or smaller, volumes."""
    try:
        quota.check(req.db, req.conf, req.ctxt.project_id, new_volumes.quota_of(planned, count=count))
    except errors.OverVolumeQuota as over:
        raise errors.OverQuota(over.text) from None


def _disk_columns(devices: BlockDevices, flavor: Flavor, image: BootImage) -> dict[str, Any]:
    """The columns that depend on which disks are on the host."""
    if not devices.volumes and not devices.local:
        return {"has_volumes": False, "blank_disks": None, "image_id": image.id}
    local = [device for device in devices.local if device.guest_format != "swap"]
    swap_mb = [int(device.size_gb or 0) for device in devices.local if device.guest_format == "swap"] or [flavor.swap_mb]
    ephemeral_gb = [flavor.ephemeral_gb if device.size_gb is None else device.size_gb for device in local] or [flavor.ephemeral_gb]
    blank: list[dict[str, Any]] = [{"size_mb": size_gb << 10, "format": "ext4"} for size_gb in ephemeral_gb if size_gb] + [
        {"size_mb": size_mb, "format": "swap"} for size_mb in swap_mb if size_mb]
    root_gb = flavor.with_image_gb(-(-image.virtual_size // GIB)).root_disk_gb
    return {"has_volumes": bool(devices.volumes), "blank_disks": blank, "image_id": image.id or None,
            "total_gb": root_gb + sum(-(-one["size_mb"] // 1024) for one in blank)}


def for_config_drive(req: Request, password: str, *, has_drive: bool) -> dict[str, Any]:
    """Action inputs that carry the password to the guest: as in Nova, through its config drive only."""
    return {actions.ADMIN_PASS: tokens.open_tokens(req.conf).encrypt_secret(password)} if has_drive else {}


def _begin_build(req: Request, request: PlacementRequest, inputs: dict[str, Any], *, has_volumes: bool) -> None:
    inputs = {**inputs, "request": to_wire(request), **({"has_volumes": True} if has_volumes else {})}
    action_id = actions.record(req.db, server_id=request.server_id, name="create", request_id=req.ctxt.request_id,
                               user_id=req.ctxt.user_id, project_id=req.ctxt.project_id, inputs=inputs)
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=action_id)


def _reply(req: Request, params: Body, first: dict[str, Any], group_names: list[str], password: str) -> Reply:
    """The reply about the first of the new servers; `first` is its row."""
    server_id = first["id"]
    location = {"Location": f"{req.base_url}/servers/{server_id}"}
    if schemas.is_true(params.get("return_reservation_id")):
        return Reply({"reservation_id": first["reservation_id"]}, headers=location)
    return Reply({"server": {
        "id": server_id, "links": links(req, f"/servers/{server_id}"), "OS-DCF:diskConfig": first["disk_config"],
        "security_groups": requested_networks.names(group_names), "adminPass": password}}, headers=location)


def new_password() -> str:
    """A random administrator's password, for a request that gives none."""
    return _random_text(_PASSWORD_LENGTH, string.ascii_letters + string.digits)


def _random_text(length: int, alphabet: str) -> str:
    return "".join(_RANDOM.choices(alphabet, k=length))


def _refuse_unsupported(params: Body) -> None:
    """:raises errors.BadRequest: the request needs something that this cloud does not support."""
    if params.get("trusted_image_certificates"):
        raise errors.BadRequest(reason="trusted_image_certificates: image signatures are not verified by this cloud")


def _flavor(req: Request, flavor_id: str) -> Flavor:
    try:
        flavor = flavors.get(req.db, flavor_id, project_id=req.ctxt.visible_project)
    except errors.NotFound as missing:
        raise errors.BadRequest(reason=missing.text) from None
    if flavor.disabled:
        raise errors.BadRequest(reason=f"Flavor {flavor_id} is disabled.")
    return flavor.value()


def _disks(req: Request, params: Body, flavor: Flavor) -> tuple[BlockDevices, list[PlannedVolume], BootImage]:
    """The disks of the request, what its volumes are, and the image that the server boots from, or its root volume was made from.

    :raises errors.BadRequest: there is nothing to boot from, or a mapping cannot be made.
    """
    image_id = params.get("imageRef") or None
    mapping = block_devices.mapping_of(boot_image.properties(req, image_id)) if image_id else []
    devices = block_devices.read(params, image_mapping=mapping)
    block_devices.check_local(devices, flavor, limit=int(req.conf.max_local_block_devices))
    planned = new_volumes.plan(req, devices)
    if devices.has_local_root:
        return devices, planned, boot_image.find(req, str(devices.image_id))
    return devices, planned, new_volumes.boot_source(planned, devices.image_id)


def _hardware(flavor: Flavor, image: BootImage) -> Hardware:
    """:raises errors.BadRequest: an extra spec or image property requires what this cloud lacks; the reason names it."""
    return requirements.read(
        specs=flavor.extra_specs, image=image.properties, vcpus=flavor.vcpus, ram_mb=flavor.ram_mb)


def check_hardware(flavor: Flavor, image: BootImage) -> Hardware:
    """As `check_fit`, for a server whose root disk is a volume."""
    hardware = _hardware(flavor, image)
    if flavor.ram_mb < image.min_ram_mb:
        raise errors.BadRequest(reason="Flavor's memory is too small for requested image.")
    return hardware


def check_fit(req: Request, flavor: Flavor, image: BootImage) -> Hardware:
    """The hardware that flavor and image require together.

    :raises errors.BadRequest: the image needs a larger flavor. The texts are Nova's.
    :raises errors.Forbidden: the flavor has no disk, and the caller may not use such flavors.
    """
    hardware = _hardware(flavor, image)
    if flavor.ram_mb < image.min_ram_mb:
        raise errors.BadRequest(reason="Flavor's memory is too small for requested image.")
    if flavor.root_gb == 0:
        try:
            require(req, ZERO_DISK)
        except errors.PolicyForbids:
            raise errors.Forbidden(
                reason="Only volume-backed servers are allowed for flavors with zero disk.") from None
        return hardware
    disk = flavor.root_gb * GIB
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


def find_key(req: Request, params: Body) -> tuple[str | None, str | None]:
    """Name and public key of the caller's keypair; (None, None) without `key_name`.

    :raises errors.BadRequest: the caller has no such keypair.
    """
    name = params.get("key_name")
    if name is None:
        return None, None
    try:
        return name, keypairs.get(req.db, user_id=req.ctxt.user_id, name=name).public_key
    except errors.NotFound:
        raise errors.BadRequest(reason="Invalid key_name provided.") from None


def _requested_destination(req: Request, params: Body) -> RequestedDestination:
    """Read `availability_zone` (`zone`, for admins also `zone:host:node` with parts left out), `host` and `hypervisor_hostname`.

    :raises errors.BadRequest: there is no such zone or host, or host and node do not belong together.
    :raises errors.PolicyForbids: the caller may not choose a host.
    """
    zone, _, forced = (params.get("availability_zone") or "").partition(":")
    names = {name for name in (params.get("host"), params.get("hypervisor_hostname")) if name}
    if forced.count(":") > 1:
        raise errors.BadRequest(reason=f"Invalid availability_zone: {params['availability_zone']} is not zone:host:node")
    if forced and names:
        raise errors.BadRequest(reason="host and hypervisor_hostname cannot be used together with zone:host")
    if forced:
        require(req, FORCED_HOST)
        names = {name for name in forced.split(":") if name}
    elif names:
        require(req, REQUESTED_HOST)
    if not zone and not names:
        return RequestedDestination()
    all_hosts = hosts.hosts(req.db)
    if zone and zone not in {host.availability_zone for host in all_hosts}:
        raise errors.BadRequest(reason="The requested availability zone is not available")
    if not names:
        return RequestedDestination(zone=zone)
    host = next((host for host in all_hosts if names <= {host.name, host.hypervisor_hostname}), None)
    if host is None:
        raise errors.BadRequest(reason=f"Compute host {' with node '.join(sorted(names))} could not be found.")
    return RequestedDestination(zone=zone or None, host=host.name)


def _counts(params: Body, nics: list[requested_networks.Nic]) -> tuple[int, int]:
    """How many servers to create: (minimum, maximum).

    :raises errors.BadRequest: the two contradict, several servers would share a port, an address or a host name, or their names are too long.
    """
    minimum = int(params.get("min_count") or 1)
    maximum = int(params.get("max_count") or params.get("min_count") or 1)
    if minimum < 1 or maximum < 1:
        raise errors.InvalidField(field="min_count", reason="It is less than the minimum of 1")
    if minimum > maximum:
        raise errors.BadRequest(reason="min_count must be <= max_count")
    if maximum > 1 and any(nic.port_id or nic.fixed_ip for nic in nics):
        raise errors.BadRequest(reason="Unable to launch multiple instances with a single configured port ID or "
                                       "fixed address. Please launch your instance one by one with different ports.")
    if maximum > 1 and params.get("hostname"):
        raise errors.BadRequest(reason="Unable to allocate a single hostname to multiple instances")
    if maximum > 1 and len(_numbered(params["name"], maximum)) > _MAX_NAME:
        raise errors.InvalidField(field="name", reason=f"With the numbers of {maximum} servers it is longer than {_MAX_NAME} characters")
    return minimum, maximum


def _columns(req: Request, params: Body, flavor: Flavor, image: BootImage, destination: RequestedDestination) -> dict[str, Any]:
    """Column values that all servers of the request share."""
    flavor = flavor.with_image_gb(-(-image.virtual_size // GIB))
    return {
        "project_id": req.ctxt.project_id, "user_id": req.ctxt.user_id, "description": params.get("description"),
        "flavor": flavor, "vcpus": flavor.vcpus, "ram_mb": flavor.ram_mb,
        "total_gb": flavor.total_gb,
        "image_properties": image.properties, "user_data": validate_user_data(params.get("user_data")),
        "files": injected_files.validate(req, params["personality"]) if params.get("personality") else None,
        "config_drive": schemas.is_true(params.get("config_drive")) or image.properties.get("img_config_drive") == "mandatory",
        "metadata_items": params.get("metadata", {}),
        "tags": list(dict.fromkeys(params.get("tags", ()))), "requested_az": destination.zone, "requested_host": destination.host,
        "disk_config": params.get("OS-DCF:diskConfig") or (
            "AUTO" if schemas.is_true(image.properties.get("auto_disk_config")) else "MANUAL"),
        "access_ip_v4": params.get("accessIPv4"), "access_ip_v6": params.get("accessIPv6"),
    }


def validate_user_data(text: str | None) -> str | None:
    """The text unchanged.

    :raises errors.InvalidField: it is not base64.
    """
    if text is None:
        return None
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error):
        raise errors.InvalidField(field="user_data", reason="User data needs to be valid base 64.") from None
    return str(text)


def _names(params: Body, index: int, count: int) -> dict[str, str]:
    """Id, name and host name of one server; names get a number if the request creates several servers."""
    name, server_id = _numbered(params["name"], index + 1) if count > 1 else str(params["name"]), new_id()
    return {"id": server_id, "name": name, "hostname": params.get("hostname") or host_name(name, server_id)}


def _numbered(name: str, number: int) -> str:
    return f"{name}-{number}"


def host_name(name: str, server_id: str) -> str:
    """A valid DNS label (RFC 1123, at most 63 characters) derived from the server's name."""
    plain = name.encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9-]", "", re.sub(r"[ _.]", "-", plain)).strip("-")
    return plain[:63].rstrip("-") or f"server-{uuid.UUID(server_id)}"
