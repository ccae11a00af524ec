# SPDX-License-Identifier: Apache-2.0
"""os-extend: a volume grows; from 3.42 on one in use too, and its guest sees it."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import begin_action, schemas
from nova_lite.api.volume.common.find import find
from nova_lite.api.volume.common.paths import ACTIONS
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import ADMIN, MEMBER, Rule
from nova_lite.api.wsgi.validation import integer
from nova_lite.db.volume import quota, volume_types, volumes
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import VolumeStatus

_POLICY = Rule("volume:extend", MEMBER)
_ATTACHED = Rule("volume:extend_attached_volume", MEMBER)
EXTRA_RULES = (_ATTACHED,)
_BODY = schemas.keyed("os-extend", schemas.closed({"new_size": schemas.integer(1)}, required=("new_size",)))
_COMPLETION = schemas.keyed("os-extend_volume_completion", schemas.closed({"error": {"type": ["boolean", "string", "null"]}}))


@action("os-extend", path=ACTIONS, policy=_POLICY, until="3.41", body={"3.0": _BODY})
def extend(req: Request, body: Body, volume_id: str) -> None:
    """Grow a volume that is not attached.

    202 with no body. 400: the size is no number or not larger than now, or the volume is not available. 404: no such volume in the
    project. 413: over quota.
    """
    volume = find(req, volume_id)
    _begin(req, volume, "extend_volume", _size(volume, body))


@action("os-extend", path=ACTIONS, policy=_POLICY, since="3.42", body={"3.42": _BODY})
def extend_in_use(req: Request, body: Body, volume_id: str) -> None:
    """Grow a volume, which may be attached.

    202 with no body. 400: the size is no number or not larger than now, or the volume is neither available nor in use. 403: it is in
    use, and the policy forbids that. 404: no such volume in the project. 413: over quota.
    """
    volume = find(req, volume_id)
    size_gb = _size(volume, body)
    if volume.status == VolumeStatus.IN_USE:
        req.policy.check(_ATTACHED, req.ctxt)
        _begin(req, volume, "extend_attached_volume", size_gb)
    else:
        _begin(req, volume, "extend_volume", size_gb)


def _size(volume: Volume, body: Body) -> int:
    requested = body["os-extend"]["new_size"]
    size_gb = integer(requested) if isinstance(requested, str) else int(requested)
    if size_gb is None or size_gb <= volume.size_gb:
        raise errors.BadRequest(
            reason=f"Invalid input received: New size for extend must be greater than current size. (current: {volume.size_gb}, extended: {requested}).")
    return size_gb


def _begin(req: Request, volume: Volume, name: str, size_gb: int) -> None:
    volumes.begin(req.db, volume, name)
    if size_gb <= volume.size_gb:  # as it is now that nobody else can change it
        raise errors.BadRequest(reason=f"Volume {volume.id} has grown to {volume.size_gb} GiB meanwhile.")
    kind = volume_types.by_ids(req.db, {volume.volume_type_id or ""}).get(volume.volume_type_id or "")
    if volume.consumes_quota:
        quota.check(req.db, req.conf, volume.project_id, quota.for_growth(kind.name if kind else None, from_gb=volume.size_gb, to_gb=size_gb))
    begin_action.record(req, begin_action.VOLUME, volume.id, "extend_volume", {"size_gb": size_gb})


@action("os-extend_volume_completion", path=ACTIONS, since="3.71",
        policy=Rule("volume_extension:volume_admin_actions:extend_volume_completion", ADMIN), body={"3.71": _COMPLETION})
def extend_volume_completion(req: Request, body: Body, volume_id: str) -> None:
    """Report that a compute service has let the guest see the new size: of volumes of network file systems, which this cloud extends by itself.

    202 is never answered, since no extension waits for a report: 400. 404: no such volume.
    """
    volume = find(req, volume_id)
    raise errors.BadRequest(reason=f"Volume {volume.id} does not wait for the completion of an extension.")
