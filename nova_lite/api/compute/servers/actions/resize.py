# SPDX-License-Identifier: Apache-2.0
"""Resize of a server, where it is, and what the user says to the result: confirm or revert."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.compute.servers.quota_check import QuotaUsage
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.compute import flavors, server_migrations
from nova_lite.db.compute.flavors import Flavor
from nova_lite.db.compute.servers import Server
from nova_lite.db.image import images
from nova_lite.hardware import requirements

_RESIZE = schemas.keyed("resize", schemas.closed({
    "flavorRef": {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 255}, {"type": "integer"}]},
    "OS-DCF:diskConfig": schemas.DISK_CONFIG}, required=("flavorRef",)))


@action("resize", policy=Rule("os_compute_api:servers:resize", MEMBER), body={"2.0": _RESIZE})
def resize(req: Request, body: Body, server_id: str) -> None:
    """Let the conductor give the server another flavor; it is to be confirmed or reverted then."""
    asked = body["resize"]
    server = begin_action.find(req, server_id)
    begun, _ = begin_action.begin_on_host(req, server, "resize")
    flavor = _flavor(req, str(asked["flavorRef"]))
    _check_change(req, server, flavor)
    _check_quota(req, server, flavor)
    server_migrations.begin(req.db, server, user_id=req.ctxt.user_id, new_flavor=flavor.copy(), old_vm_state=server.vm_state,
                old_disk_config=server.disk_config)
    server.disk_config = asked.get("OS-DCF:diskConfig", server.disk_config)
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=begun.id)


@action("confirmResize", policy=Rule("os_compute_api:servers:confirm_resize", MEMBER), status=204,
        body={"2.0": schemas.empty_action("confirmResize")})
def confirm(req: Request, body: Body, server_id: str) -> None:
    """Keep the new size; what the server was can not be had back then."""
    _end(req, server_id, "confirm_resize")


@action("revertResize", policy=Rule("os_compute_api:servers:revert_resize", MEMBER),
        body={"2.0": schemas.empty_action("revertResize")})
def revert(req: Request, body: Body, server_id: str) -> None:
    """Give the server its old size and disks back; what it wrote since is lost."""
    _end(req, server_id, "revert_resize")


def _end(req: Request, server_id: str, name: str) -> None:
    server = begin_action.find(req, server_id)
    begun, _ = begin_action.begin_on_host(req, server, name)
    if server_migrations.latest(req.db, server_id).status != server_migrations.FINISHED:
        raise errors.BadRequest(reason="Instance has not been resized.")
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=begun.id)


def _flavor(req: Request, flavor_id: str) -> Flavor:
    try:
        flavor = flavors.get(req.db, flavor_id, project_id=req.ctxt.visible_project)
    except errors.NotFound:
        raise errors.BadRequest(reason=f"Unable to locate requested flavor: there is no flavor {flavor_id}.") from None
    if flavor.disabled:
        raise errors.BadRequest(reason=f"Unable to locate requested flavor: flavor {flavor_id} is disabled.")
    return flavor


def _check_change(req: Request, server: Server, flavor: Flavor) -> None:
    """:raises errors.BadRequest: the server cannot become that; the sentences are Nova's."""
    old = server.flavor
    if flavor.id == old["id"]:
        raise errors.BadRequest(reason="When resizing, instances must change flavor!")
    requirements.read(specs=flavor.extra_specs, image=server.image_properties, vcpus=flavor.vcpus, ram_mb=flavor.ram_mb)
    if flavor.disk_gb == 0 and old["disk"]:
        raise errors.BadRequest(reason="Server disk was unable to be resized because: Resize to zero disk flavor is "
                                       "not allowed.")
    root_gb = server.disk_gb - int(old["ephemeral"]) - -(-int(old["swap"]) // 1024)
    for what, was, wanted in (("root", root_gb, flavor.disk_gb or root_gb), ("ephemeral", old["ephemeral"], flavor.ephemeral_gb)):
        if wanted < was:
            raise errors.BadRequest(reason=f"Resize error: Unable to resize disk down. The {what} disk has {was} GB, "
                                           f"flavor {flavor.id} has {wanted} GB.")
    image = images.by_ids(req.db, [str(server.image_id)]).get(str(server.image_id)) if server.image_id else None
    if image is not None and flavor.ram_mb < image.min_ram_mb:
        raise errors.BadRequest(reason="Flavor's memory is too small for requested image.")


def _check_quota(req: Request, server: Server, flavor: Flavor) -> None:
    """:raises errors.OverQuota: what the server grows by is more than its project may have."""
    grown = {"cores": flavor.vcpus - server.vcpus, "ram": flavor.ram_mb - server.ram_mb}
    if max(grown.values()) > 0:
        QuotaUsage.of(req, project_id=server.project_id).growth({name: by for name, by in grown.items() if by > 0})
