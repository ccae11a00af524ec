# SPDX-License-Identifier: Apache-2.0
"""The pools of all backends, as the scheduler knows them."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import paging
from nova_lite.api.volume.common.links import micros
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import OBJECT, STRING, closed, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.volume import pools, volume_types
from nova_lite.db.volume.pools import Pool
from nova_lite.values.pool_capabilities import unmet

# Filters, and the microversion that added each.
FILTERS = {"name": "3.28", "volume_type": "3.35"}
_REFUSED_SINCE = parse("3.31")
_POOL = closed({"capabilities": OBJECT}, name=STRING)


@route("GET", "/scheduler-stats/get_pools", policy=Rule("scheduler_extension:scheduler_stats:get_pools", ADMIN), response=closed(pools=many(_POOL)))
def index(req: Request) -> Body:
    """List pools, with `detail=true` what they report; of one name, or those that fit a volume type.

    200. 400: an unknown filter, or `detail` is no boolean. 404: no such volume type.
    """
    unknown = set(req.query) - {"detail", *FILTERS}
    if unknown and req.version >= _REFUSED_SINCE:
        raise errors.BadRequest(reason=f"Invalid filters {', '.join(sorted(unknown))[:200]} are found in query options.")
    found = pools.pools(req.db)
    if "name" in req.query and req.version >= parse(FILTERS["name"]):
        found = [pool for pool in found if pool.name == req.query["name"]]
    if "volume_type" in req.query and req.version >= parse(FILTERS["volume_type"]):
        specs = volume_types.get(req.db, req.query["volume_type"]).extra_specs
        found = [pool for pool in found if unmet(pool.capabilities, specs) is None]
    is_detailed = paging.boolean(req, "detail")
    return {"pools": [{"name": pool.name, **({"capabilities": _capabilities(pool)} if is_detailed else {})} for pool in found]}


def _capabilities(pool: Pool) -> Body:
    """What the worker reported, and what is claimed of the pool, by Cinder's names."""
    return {
        "storage_protocol": "unknown", "QoS_support": False, "multiattach": False, "online_extend_support": False,
        "volume_backend_name": pool.backend, **pool.capabilities,
        "pool_name": pool.pool, "total_capacity_gb": pool.total_gb, "free_capacity_gb": pool.free_gb,
        "allocated_capacity_gb": pool.claimed_gb, "provisioned_capacity_gb": pool.claimed_gb,
        "reserved_percentage": pool.reserved_percentage, "max_over_subscription_ratio": str(pool.max_over_subscription_ratio),
        "thin_provisioning_support": pool.is_thin, "thick_provisioning_support": not pool.is_thin, "location_info": pool.reach,
        "timestamp": micros(pool.updated_at)}
