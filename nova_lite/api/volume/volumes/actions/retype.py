# SPDX-License-Identifier: Apache-2.0
"""os-retype: a volume gets another type, and moves to a pool of that type where the request allows it."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import begin_action, schemas
from nova_lite.api.volume.common.find import find_locked, refuse_member
from nova_lite.api.volume.common.paths import ACTIONS
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.volume import qos_specs, quota, volume_types, volumes
from nova_lite.db.volume.volume_types import VolumeType
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import VolumeStatus

_BODY = schemas.keyed("os-retype", schemas.closed(
    {"new_type": {"type": "string", "minLength": 1, "maxLength": 255}, "migration_policy": {"enum": ["on-demand", "never", None]}},
    required=("new_type",)))
_HYPERVISORS = ("front-end", "both")


@action("os-retype", path=ACTIONS, policy=Rule("volume:retype", MEMBER), body={"3.0": _BODY})
def retype(req: Request, body: Body, volume_id: str) -> None:
    """Give the volume another type.

    202 with no body. 400: there is no such type, it is the volume's already, it is encrypted, the volume is in a group, neither
    available nor in use, or migrating, or it is in use and the types differ in multiattach or in what the hypervisor limits. 404: no such
    volume in the project.
    413: over quota.
    """
    params = body["os-retype"]
    volume = find_locked(req, volume_id)
    refuse_member(volume, "retype")
    kind = _type(req, params["new_type"])
    old = volume_types.by_ids(req.db, {volume.volume_type_id or ""}).get(volume.volume_type_id or "")
    if old is not None and old.id == kind.id:
        raise errors.BadRequest(reason=f"Invalid volume type: volume {volume.id} is of type {kind.name} already.")
    if volume.encryption_key_id is not None or volume_types.encryption_of(req.db, kind.id) is not None:
        raise errors.BadRequest(reason=f"Invalid volume type: encrypted volumes cannot be retyped, nor others to {kind.name}, which is encrypted.")
    volumes.refuse_moved(volume)
    volumes.refuse_copied(req.db, volume)
    if volume.status == VolumeStatus.IN_USE:
        _check_in_use(req, volume, old, kind)
    quota.check(req.db, req.conf, volume.project_id, quota.for_retype(kind.name, volume.size_gb))
    volumes.begin(req.db, volume, "retype_volume")
    may_migrate = params.get("migration_policy") == "on-demand"
    begin_action.record(req, begin_action.VOLUME, volume.id, "retype_volume", {"volume_type_id": kind.id, "may_migrate": may_migrate})


def _type(req: Request, name: str) -> VolumeType:
    try:
        return volume_types.get(req.db, name, project_id=req.ctxt.visible_project)
    except errors.NotFound as error:
        raise errors.BadRequest(reason=f"Invalid volume type: {error.text}") from None


def _check_in_use(req: Request, volume: Volume, old: VolumeType | None, new: VolumeType) -> None:
    """:raises errors.BadRequest: servers would notice the change."""
    if volume.multiattach != new.is_multiattach:
        raise errors.BadRequest(reason=f"Invalid volume type: volume {volume.id} is in use, and {new.name} differs in multiattach.")
    if _limits(req, old) != _limits(req, new):
        raise errors.BadRequest(reason=f"Invalid volume type: volume {volume.id} is in use, and the hypervisor's limits of {new.name} differ.")


def _limits(req: Request, kind: VolumeType | None) -> dict[str, str]:
    """What the hypervisor keeps to."""
    if kind is None or kind.qos_specs_id is None:
        return {}
    found = qos_specs.get(req.db, kind.qos_specs_id)
    return found.specs if found.consumer in _HYPERVISORS else {}
