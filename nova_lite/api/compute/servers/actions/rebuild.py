# SPDX-License-Identifier: Apache-2.0
"""rebuild: the server starts over from an image; what it is called and what its guest may read may change with it."""

from __future__ import annotations

from typing import Any

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action, boot_image, create, create_schemas, injected_files, views
from nova_lite.api.compute.servers.quota_check import check_metadata
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.compute.flavors import Flavor
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts import claims
from nova_lite.db.quotas import quotas
from nova_lite.lifecycle.servers import Vm

# Asked about trusted image certificates, which this cloud does not check and so refuses.
RULES = (Rule("os_compute_api:servers:rebuild:trusted_certs", MEMBER),)
_KEY: schemas.Schema = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 255}, {"type": "null"}]}
_USER_DATA: schemas.Schema = {"type": ["string", "null"], "maxLength": create_schemas.MAX_USER_DATA}
_CERTIFICATES: schemas.Schema = {
    "type": ["array", "null"], "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": 50}
_FIRST: schemas.Schema = {
    "imageRef": schemas.UUID, "name": schemas.NAME, "adminPass": {"type": "string"}, "metadata": schemas.METADATA,
    "preserve_ephemeral": schemas.BOOLEAN, "OS-DCF:diskConfig": schemas.DISK_CONFIG, "accessIPv4": schemas.IPV4,
    "accessIPv6": schemas.IPV6, "personality": create_schemas.PERSONALITY,
}
# Words of the request and the columns that they change.
_COLUMNS = {"name": "name", "description": "description", "hostname": "hostname", "accessIPv4": "access_ip_v4",
            "accessIPv6": "access_ip_v6", "OS-DCF:diskConfig": "disk_config", "metadata": "metadata_items"}


def _bodies() -> dict[str, schemas.Schema]:
    """Each version that changed the body."""
    fields, found = dict(_FIRST), {}
    for version, more in (
        ("2.0", {}), ("2.19", {"description": schemas.TEXT_OR_NULL}), ("2.54", {"key_name": _KEY}),
        ("2.57", {"user_data": _USER_DATA}), ("2.63", {"trusted_image_certificates": _CERTIFICATES}),
        ("2.90", {"hostname": create_schemas.HOSTNAME}), ("2.94", {"hostname": create_schemas.FQDN}),
    ):
        fields |= more
        if version == "2.57":
            del fields["personality"]
        found[version] = schemas.keyed("rebuild", schemas.closed(fields, required=("imageRef",)))
    return found


@action("rebuild", policy=Rule("os_compute_api:servers:rebuild", MEMBER), body=_bodies())
def rebuild(req: Request, body: Body, server_id: str) -> Body:
    """Write what the server is to be and hand over; its ports, addresses and volumes stay."""
    asked = body["rebuild"]
    if asked.get("trusted_image_certificates"):
        raise errors.BadRequest(reason="trusted_image_certificates: image signatures are not verified by this cloud")
    server = begin_action.find(req, server_id)
    image = boot_image.find(req, asked["imageRef"])
    create.check_fit(req, _flavor_of(server), image)
    if "metadata" in asked:
        check_metadata(asked["metadata"], quotas.limits(req.db, req.conf, server.project_id)["metadata_items"])
    changes = _changes(req, asked)
    asked_for, _agent = begin_action.begin_on_host(req, server, "rebuild")
    password = asked.get("adminPass") or create.new_password()
    asked_for.inputs = {"preserve_ephemeral": schemas.is_true(asked.get("preserve_ephemeral")),
                        "is_on": server.vm_state != Vm.STOPPED,
                        **create.for_config_drive(req, password, has_drive=server.config_drive)}
    changes |= {"disk_gb": _claimed_disk_gb(req, server, image), "image_id": image.id,
                "image_properties": image.properties, "progress": 0}
    for column, value in changes.items():
        setattr(server, column, value)
    req.db.flush()
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=asked_for.id)
    shown = views.document(req, server, views.REBUILD)
    return {"server": {**shown, "adminPass": password}}


def _changes(req: Request, asked: Body) -> dict[str, Any]:
    """The columns that the request changes."""
    found = {column: asked[word] for word, column in _COLUMNS.items() if word in asked}
    if "key_name" in asked:
        found["key_name"], found["key_data"] = create.find_key(req, asked)
    if "personality" in asked:
        found["files"] = injected_files.checked(req, asked["personality"]) or None
    if "user_data" in asked:
        found["user_data"] = create.checked_user_data(asked["user_data"])
    return found


def _flavor_of(server: Server) -> Flavor:
    """The flavor that the server was made by: it may have changed or gone since."""
    kept = server.flavor
    return Flavor(id=kept["id"], name=kept["name"], vcpus=kept["vcpus"], ram_mb=kept["ram"], disk_gb=kept["disk"],
                  extra_specs=kept["extra_specs"])


def _claimed_disk_gb(req: Request, server: Server, image: boot_image.BootImage) -> int:
    """What the server's disks take; where its flavor leaves the root disk to the image, its host claims the new one's.

    :raises errors.Conflict: the host has not that much left.
    """
    flavor = server.flavor
    if int(flavor["disk"]):
        return server.disk_gb
    disk_gb = -(-image.virtual_size // create.GIB) + int(flavor["ephemeral"]) + -(-int(flavor["swap"]) // 1024)
    held = next((claim for claim in claims.of_server(req.db, server.id) if claim.host == server.host), None)
    if held is None or held.disk_gb == disk_gb:
        return disk_gb
    options = req.conf.scheduler
    limits = (options.cpu_allocation_ratio, options.ram_allocation_ratio, options.disk_allocation_ratio)
    size = {name: getattr(held, name) for name in claims.SIZES} | {"disk_gb": disk_gb}
    if not claims.change(req.db, server_id=server.id, host=held.host, limits=limits, **size):
        raise errors.Conflict(reason=f"Cannot 'rebuild' server {server.id}: its host has not {disk_gb} GB of disk left, "
                                     "which this image needs.")
    return disk_gb
