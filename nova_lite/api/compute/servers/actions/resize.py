# SPDX-License-Identifier: Apache-2.0
"""resize on the server's host, then confirmResize or revertResize."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.compute.servers.quota_check import QuotaUsage
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.compute import flavors, server_migrations
from nova_lite.db.compute.servers import Server
from nova_lite.db.image import images
from nova_lite.hardware import requirements
from nova_lite.values.flavor import Flavor

_RESIZE = schemas.keyed("resize", schemas.closed({
    "flavorRef": {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 255}, {"type": "integer"}]},
    "OS-DCF:diskConfig": schemas.DISK_CONFIG}, required=("flavorRef",)))


@action("resize", policy=Rule("os_compute_api:servers:resize", MEMBER), body={"2.0": _RESIZE})
def resize(req: Request, body: Body, server_id: str) -> None:
    """Begin the resize workflow; its result waits to be confirmed or reverted.

    202 with no body. 400: the flavor does not exist, is disabled, is the server's own, or shrinks a disk. 403: over quota.
    404: no such server in the project. 409: it is locked, on no host, or neither ACTIVE nor SHUTOFF.
    """
    params = body["resize"]
    server = begin_action.find(req, server_id)
    action_row, _ = begin_action.begin_on_host(req, server, "resize")
    flavor = _flavor(req, str(params["flavorRef"])).as_of(server.flavor)
    _check_change(req, server, flavor)
    _check_quota(req, server, flavor)
    server_migrations.begin(req.db, server, user_id=req.ctxt.user_id, new_flavor=flavor, old_vm_state=server.vm_state,
                old_disk_config=server.disk_config)
    server.disk_config = params.get("OS-DCF:diskConfig", server.disk_config)
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=action_row.id)


@action("confirmResize", policy=Rule("os_compute_api:servers:confirm_resize", MEMBER), status=204,
        body={"2.0": schemas.empty_action("confirmResize")})
def confirm(req: Request, body: Body, server_id: str) -> None:
    """Keep the new size and delete the old disks.

    204 with no body. 400: no resize has finished. 404: no such server in the project. 409: it is locked, or not in
    VERIFY_RESIZE.
    """
    _end(req, server_id, "confirm_resize")


@action("revertResize", policy=Rule("os_compute_api:servers:revert_resize", MEMBER),
        body={"2.0": schemas.empty_action("revertResize")})
def revert(req: Request, body: Body, server_id: str) -> None:
    """Return to the old size and disks; what the guest wrote since the resize is lost.

    202 with no body. 400: no resize has finished. 404: no such server in the project. 409: it is locked, or not in
    VERIFY_RESIZE.
    """
    _end(req, server_id, "revert_resize")


def _end(req: Request, server_id: str, name: str) -> None:
    server = begin_action.find(req, server_id)
    action_row, _ = begin_action.begin_on_host(req, server, name)
    if server_migrations.latest(req.db, server_id).status != server_migrations.FINISHED:
        raise errors.BadRequest(reason="Instance has not been resized.")
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=action_row.id)


def _flavor(req: Request, flavor_id: str) -> Flavor:
    try:
        flavor = flavors.get(req.db, flavor_id, project_id=req.ctxt.visible_project)
    except errors.NotFound:
        raise errors.BadRequest(reason=f"Unable to locate requested flavor: there is no flavor {flavor_id}.") from None
    if flavor.disabled:
        raise errors.BadRequest(reason=f"Unable to locate requested flavor: flavor {flavor_id} is disabled.")
    return flavor.value()


def _check_change(req: Request, server: Server, flavor: Flavor) -> None:
    """:raises errors.BadRequest: the server cannot be resized to the flavor; the texts are Nova's."""
    old = server.flavor
    if flavor.id == old.id:
        raise errors.BadRequest(reason="When resizing, instances must change flavor!")
    requirements.read(specs=flavor.extra_specs, image=server.image_properties, vcpus=flavor.vcpus, ram_mb=flavor.ram_mb)
    if flavor.root_gb == 0 and old.root_gb and not old.root_on_volume:
        raise errors.BadRequest(reason="Server disk was unable to be resized because: Resize to zero disk flavor is "
                                       "not allowed.")
    root_gb = server.root_disk_gb
    for disk, old_gb, new_gb in (("root", root_gb, root_gb if flavor.root_on_volume else flavor.root_gb or root_gb), ("ephemeral", old.ephemeral_gb, flavor.ephemeral_gb)):
        if new_gb < old_gb:
            raise errors.BadRequest(reason=f"Resize error: Unable to resize disk down. The {disk} disk has {old_gb} GB, "
                                           f"flavor {flavor.id} has {new_gb} GB.")
    image = images.by_ids(req.db, [str(server.image_id)]).get(str(server.image_id)) if server.image_id else None
    if image is not None and flavor.ram_mb < image.min_ram_mb:
        raise errors.BadRequest(reason="Flavor's memory is too small for requested image.")


def _check_quota(req: Request, server: Server, flavor: Flavor) -> None:
    """:raises errors.OverQuota: the project's quota does not allow the growth."""
    growth = {"cores": flavor.vcpus - server.vcpus, "ram": flavor.ram_mb - server.ram_mb}
    if max(growth.values()) > 0:
        QuotaUsage.of(req, project_id=server.project_id).growth({name: by for name, by in growth.items() if by > 0})
