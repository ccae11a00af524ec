# SPDX-License-Identifier: Apache-2.0
"""os-migrate_volume: an administrator moves a volume to another pool. The conductor completes it by itself."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import begin_action, schemas
from nova_lite.api.volume.common.find import find, find_locked, refuse_member
from nova_lite.api.volume.common.paths import ACTIONS
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import UUID, closed
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.volume import pools, snapshots, volumes

_POLICY = Rule("volume_extension:volume_admin_actions:migrate_volume", ADMIN)
_FLAGS = {"force_host_copy": schemas.BOOLEAN, "lock_volume": schemas.BOOLEAN}
_HOST = {"type": "string", "minLength": 1, "maxLength": 255}
_HOST_OR_NULL = {"type": ["string", "null"], "maxLength": 255}
_BODY = schemas.keyed("os-migrate_volume", schemas.closed({"host": _HOST, **_FLAGS}, required=("host",)))
_BODY_WITH_CLUSTER = schemas.keyed("os-migrate_volume", schemas.closed({"host": _HOST_OR_NULL, "cluster": _HOST_OR_NULL, **_FLAGS}))
_COMPLETION = schemas.keyed("os-migrate_volume_completion", schemas.closed(
    {"new_volume": schemas.UUID, "error": {"type": ["boolean", "string", "null"]}}, required=("new_volume",)))


@action("os-migrate_volume", path=ACTIONS, policy=_POLICY, body={"3.0": _BODY, "3.16": _BODY_WITH_CLUSTER})
def migrate_volume(req: Request, body: Body, volume_id: str) -> None:
    """Move the volume to another pool, `host@backend#pool`; `lock_volume`: it shows maintenance meanwhile.

    202 with no body. 400: no host or a cluster, there is no such pool or the volume is in it, it is in a group or has snapshots, is neither
    available nor in use, is migrating already, or another volume is being made from it. 404: no such volume.
    """
    params = body["os-migrate_volume"]
    if params.get("cluster"):
        raise errors.BadRequest(reason=f"Cluster {params['cluster']} could not be found: there are no clusters.")
    if not params.get("host"):
        raise errors.BadRequest(reason="One and only one of cluster and host must be set.")
    volume = find_locked(req, volume_id)
    refuse_member(volume, "migrate")
    pool = _pool(req, params["host"])
    if volume.host == pool:
        raise errors.BadRequest(reason=f"Destination host must be different than current host: volume {volume.id} is in {pool}.")
    if snapshots.any_of(req.db, volume.id):
        raise errors.BadRequest(reason=f"Volume {volume.id} has snapshots, which cannot be migrated.")
    volumes.refuse_copied(req.db, volume)
    volumes.begin_migration(req.db, volume, is_locked=schemas.is_true(params.get("lock_volume")))
    begin_action.record(req, begin_action.VOLUME, volume.id, "migrate_volume", {"host": pool})


def _pool(req: Request, host: str) -> str:
    """The pool of that name; or a backend's only one.

    :raises errors.BadRequest: there is none, or the backend has several.
    """
    found = [pool.name for pool in pools.pools(req.db) if host in (pool.name, pool.name.partition("#")[0])]
    if len(found) != 1:
        raise errors.BadRequest(reason=f"No available service named {host}: " + ("name one of its pools." if found else "there is no such pool."))
    return found[0]


@action("os-migrate_volume_completion", path=ACTIONS, status=200, body={"3.0": _COMPLETION}, response=closed(save_volume_id=UUID),
        policy=Rule("volume_extension:volume_admin_actions:migrate_volume_completion", ADMIN))
def migrate_volume_completion(req: Request, body: Body, volume_id: str) -> Body:
    """Report that a compute service has swapped the volumes of a server.

    200 is never answered, since no migration waits for a report: 400. 404: no such volume.
    """
    volume = find(req, volume_id)
    raise errors.BadRequest(reason=f"Volume {volume.id} does not wait for the completion of a migration.")
