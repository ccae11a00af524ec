# SPDX-License-Identifier: Apache-2.0
"""rebuild: the server starts over from an image; its names, metadata, key and user data may change with it."""

from __future__ import annotations

from typing import Any

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action, boot_image, create, create_schemas, injected_files, views
from nova_lite.api.compute.servers.quota_check import check_metadata
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import closed
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts import claims
from nova_lite.db.quotas import quotas
from nova_lite.db.volume import attachments, volumes
from nova_lite.lifecycle.servers import Vm
from nova_lite.values.flavor import Flavor

# For trusted image certificates, which this cloud does not check and so refuses; operators may name it in policy.yaml.
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
# Fields of the request and the columns that they change.
_COLUMNS = {"name": "name", "description": "description", "hostname": "hostname", "accessIPv4": "access_ip_v4",
            "accessIPv6": "access_ip_v6", "OS-DCF:diskConfig": "disk_config", "metadata": "metadata_items"}


def _bodies() -> dict[str, schemas.Schema]:
    """The schema of each microversion that changed the body."""
    fields, by_version = dict(_FIRST), {}
    for version, more in (
        ("2.0", {}), ("2.19", {"description": schemas.TEXT_OR_NULL}), ("2.54", {"key_name": _KEY}),
        ("2.57", {"user_data": _USER_DATA}), ("2.63", {"trusted_image_certificates": _CERTIFICATES}),
        ("2.90", {"hostname": create_schemas.HOSTNAME}), ("2.94", {"hostname": create_schemas.FQDN}),
    ):
        fields |= more
        if version == "2.57":
            del fields["personality"]
        by_version[version] = schemas.keyed("rebuild", schemas.closed(fields, required=("imageRef",)))
    return by_version


@action("rebuild", policy=Rule("os_compute_api:servers:rebuild", MEMBER), body=_bodies(),
        response=closed(server=views.REBUILD_RESPONSE))
def rebuild(req: Request, body: Body, server_id: str) -> Body:
    """Change the server's row and begin the rebuild workflow; ports and addresses stay.

    202 with the server and its password. 400: image, keypair, user data or files cannot be used. 403: too many metadata
    items or files. 404: no such server in the project. 409: it is locked, on no host, its state forbids it, or the host
    lacks the disk space.
    """
    params = body["rebuild"]
    if params.get("trusted_image_certificates"):
        raise errors.BadRequest(reason="trusted_image_certificates: image signatures are not verified by this cloud")
    server = begin_action.find(req, server_id)
    image = _image(req, server, params["imageRef"])
    if "metadata" in params:
        check_metadata(params["metadata"], quotas.limits(req.db, req.conf, server.project_id)["metadata_items"])
    changes = _changes(req, params)
    action_row, _ = begin_action.begin_on_host(req, server, "rebuild")
    password = params.get("adminPass") or create.new_password()
    action_row.inputs = {"preserve_ephemeral": schemas.is_true(params.get("preserve_ephemeral")),
                         "is_on": server.vm_state != Vm.STOPPED,
                         **create.for_config_drive(req, password, has_drive=server.config_drive)}
    flavor = _with_image_size(req, server, image)
    changes |= {"flavor": flavor, "total_gb": flavor.total_gb if not flavor.root_gb and not flavor.root_on_volume else server.total_gb,
                "image_id": server.image_id if flavor.root_on_volume else image.id,
                "image_properties": image.properties, "progress": 0}
    for column, value in changes.items():
        setattr(server, column, value)
    req.db.flush()
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=action_row.id)
    return {"server": {**views.document(req, server, views.REBUILD), "adminPass": password}}


def _image(req: Request, server: Server, image_id: str) -> boot_image.BootImage:
    """The image that the server is rebuilt from; one that boots from a volume keeps its content.

    :raises errors.BadRequest: it cannot be used, or is not the one that the root volume was made of.
    """
    image = boot_image.find(req, image_id)
    if not server.flavor.root_on_volume:
        create.check_fit(req, server.flavor, image)
        return image
    root = attachments.root_of(req.db, server.id)
    volume = next(iter(volumes.by_ids(req.db, [str(root.volume_id)])), None) if root is not None else None
    if image_id not in (server.image_id, volume.image_id if volume is not None else None):
        raise errors.BadRequest(reason="Unable to rebuild with a different image for a volume-backed server.")
    create.check_hardware(server.flavor, image)
    return image


def _changes(req: Request, params: Body) -> dict[str, Any]:
    """The columns that the request changes, with their new values."""
    columns = {column: params[name] for name, column in _COLUMNS.items() if name in params}
    if "key_name" in params:
        columns["key_name"], columns["key_data"] = create.find_key(req, params)
    if "personality" in params:
        columns["files"] = injected_files.validate(req, params["personality"]) or None
    if "user_data" in params:
        columns["user_data"] = create.validate_user_data(params["user_data"])
    return columns


def _with_image_size(req: Request, server: Server, image: boot_image.BootImage) -> Flavor:
    """The server's flavor with this image; if it leaves the root disk's size to the image, the host's claim changes too.

    :raises errors.Conflict: the host has not enough free disk.
    """
    if server.flavor.root_gb or server.flavor.root_on_volume:
        return server.flavor
    flavor = server.flavor.with_image_gb(-(-image.virtual_size // create.GIB))
    claim = next((each for each in claims.of_server(req.db, server.id) if each.host == server.host), None)
    if claim is None or claim.disk_gb == flavor.total_gb:
        return flavor
    if not claims.change(req.db, server_id=server.id, host=claim.host, ratios=claims.allocation_ratios(req.conf),
                         resources=claim.resources.replace(disk_gb=flavor.total_gb)):
        raise errors.Conflict(reason=f"Cannot 'rebuild' server {server.id}: its host has not {flavor.total_gb} GB of disk "
                                     "free, which this image needs.")
    return flavor
