# SPDX-License-Identifier: Apache-2.0
"""/networks: layer-2 networks of a project, shared ones and external ones."""

from __future__ import annotations

import functools

from nova_lite import errors
from nova_lite.api.network import authorization, listing, network_sync, schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    EMPTY_LIST,
    INTEGER,
    NULL,
    STRING,
    TIME,
    UUID,
    Field,
    closed,
    many,
    view,
)
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, MEMBER, READER, Rule
from nova_lite.db.network import networks
from nova_lite.db.network.networks import Network

FIELDS = (
    Field("id", lambda n: n.id, UUID),
    Field("name", lambda n: n.name, STRING),
    Field("description", lambda n: n.description, STRING),
    Field("tenant_id", lambda n: n.project_id, STRING),
    Field("project_id", lambda n: n.project_id, STRING),
    Field("admin_state_up", lambda n: n.admin_state_up, BOOLEAN),
    Field("status", lambda _: "ACTIVE", STRING),
    Field("subnets", lambda n: [subnet.id for subnet in n.subnets], many(UUID)),
    Field("shared", lambda n: n.shared, BOOLEAN),
    Field("router:external", lambda n: n.is_external, BOOLEAN),
    Field("is_default", lambda _: False, BOOLEAN),
    Field("mtu", lambda n: n.mtu, INTEGER),
    Field("port_security_enabled", lambda n: n.port_security_enabled, BOOLEAN),
    Field("availability_zone_hints", lambda _: [], EMPTY_LIST),
    Field("availability_zones", lambda _: [], EMPTY_LIST),
    Field("ipv4_address_scope", lambda _: None, NULL),
    Field("ipv6_address_scope", lambda _: None, NULL),
    Field("tags", lambda n: n.tags or [], many(STRING)),
    Field("created_at", lambda n: schemas.moment(n.created_at), TIME),
    Field("updated_at", lambda n: schemas.moment(n.updated_at or n.created_at), TIME),
    Field("provider:network_type", lambda _: "vxlan", STRING, role=ADMIN),
    Field("provider:physical_network", lambda _: None, NULL, role=ADMIN),
    Field("provider:segmentation_id", lambda n: n.segment, INTEGER, role=ADMIN),
)
_CONSTANTS = {"status": "ACTIVE", "provider:network_type": "vxlan", "is_default": "false"}
_ADMIN_ONLY: dict[str, object] = {
    "shared": False,
    "router:external": False,
    "provider:network_type": None,
    "provider:physical_network": None,
    "provider:segmentation_id": None,
}
_SUPPORTED: dict[str, object] = {
    "admin_state_up": True,
    "is_default": False,
    "availability_zone_hints": [],
    "provider:network_type": "vxlan",
    "provider:physical_network": None,
}
_CHANGEABLE: schemas.Schema = {
    "name": schemas.TEXT,
    "description": schemas.TEXT,
    "admin_state_up": schemas.BOOL,
    "shared": schemas.BOOL,
    "router:external": schemas.BOOL,
    "port_security_enabled": schemas.BOOL,
    "is_default": schemas.BOOL,
}
CREATE = schemas.new_body(
    "network",
    {
        **_CHANGEABLE,
        **schemas.OWNER,
        "mtu": schemas.NUMBER,
        "availability_zone_hints": {"type": "array"},
        "provider:network_type": schemas.maybe(schemas.TEXT),
        "provider:physical_network": schemas.maybe(schemas.TEXT),
        "provider:segmentation_id": schemas.maybe(schemas.NUMBER),
    },
)
UPDATE = schemas.body("network", _CHANGEABLE)


@route("GET", "/networks", policy=Rule("get_networks", READER), response=schemas.listed("networks", FIELDS))
def index(req: Request) -> Body:
    """List the project's networks, shared and external ones.

    200, a page with filters, order and `fields` of the query. 400: an unknown filter or a wrong value.
    """
    query = listing.read(req, networks.NETWORK_COLUMNS, constants=_CONSTANTS)
    rows = (
        []
        if query.is_empty
        else networks.find(
            req.db, project_id=req.ctxt.visible_project, filters=query.filters, page=query.page
        )
    )
    return listing.write(req, "networks", rows, query, lambda row: view(FIELDS, row, req))


@route("GET", "/networks/{network_id}", policy=Rule("get_network", READER), response=schemas.shown("network", FIELDS))
def show(req: Request, network_id: str) -> Body:
    """Show one network. 200. 404: no such network, or not visible to the project."""
    network = networks.get(req.db, network_id, project_id=req.ctxt.visible_project)
    return {"network": listing.only_fields(req, view(FIELDS, network, req))}


@route(
    "POST", "/networks", policy=Rule("create_network", MEMBER), status=201, body={"2.0": CREATE}, response=schemas.made("network", FIELDS)
)
def create(req: Request, body: Body) -> Body:
    """Create a network, or `networks`, all or none; a host sets one up when the first server there needs it.

    201. 400: an attribute or MTU that is not supported. 403: `shared`, `router:external` or `provider:*` by a caller who is no
    admin. 409: the quota is exceeded, or the segment is in use.
    """
    return schemas.create(
        body, "network", functools.partial(_create, req), lock=functools.partial(authorization.lock_quotas, req),
        order=lambda params: str(params.get("provider:segmentation_id")))


def _create(req: Request, params: Body) -> Body:
    project_id = authorization.project_of(req, params)
    authorization.refuse_admin_only(req, params, "create_network", _ADMIN_ONLY)
    authorization.refuse_unsupported(params, _SUPPORTED)
    authorization.check_quota(req, project_id, "networks", used=networks.count)
    network = Network(
        project_id=project_id,
        name=params.get("name", ""),
        description=params.get("description", ""),
        shared=params.get("shared", False),
        is_external=params.get("router:external", False),
        port_security_enabled=params.get("port_security_enabled", True),
        mtu=_mtu(req, params),
    )
    networks.create(req.db, network, segment=schemas.number(params, "provider:segmentation_id", minimum=1, maximum=16777215), rng=authorization.RNG)
    return view(FIELDS, network, req)


def _mtu(req: Request, params: Body) -> int:
    """The network's MTU in bytes; 0 or none means the maximum of the underlay, as in Neutron."""
    maximum = int(req.conf.network.mtu)
    mtu = schemas.number(params, "mtu", minimum=0, maximum=maximum) or maximum
    if mtu < 576:  # RFC 791: every host accepts 576 bytes
        raise errors.BadRequest(reason=f"Invalid input for mtu. Reason: {mtu} is not from 576 to {maximum}.")
    return mtu


@route(
    "PUT", "/networks/{network_id}", policy=Rule("update_network", MEMBER), body={"2.0": UPDATE}, response=closed(network=FIELDS)
)
def update(req: Request, network_id: str, body: Body) -> Body:
    """Change a network's name, description, sharing or port security.

    200. 400: an attribute that is not supported, or a subnet would overlap one of another shared or external network. 403: not
    the owner, or an admin's attribute. 404: no such network. 409: other projects use it, so it must stay shared.
    """
    params = body["network"]
    network = _own(req, network_id, "update_network")
    authorization.refuse_admin_only(
        req, params, "update_network", {"shared": network.shared, "router:external": network.is_external}
    )
    authorization.refuse_unsupported(params, _SUPPORTED)
    if "shared" in params or "router:external" in params:
        networks.lock_ranges(req.db, [network])
    was_routed = network.is_routed
    is_routed = bool(params.get("shared", network.shared) or params.get("router:external", network.is_external))
    if is_routed and not was_routed:
        networks.lock_routed(req.db)
    if network.shared and params.get("shared") is False and networks.is_used_by_others(req.db, network):
        raise errors.Conflict(
            reason=f"Unable to reconfigure sharing settings for network {network.id}. Multiple projects are using it."
        )
    for name, attribute in (
        ("name", "name"),
        ("description", "description"),
        ("shared", "shared"),
        ("router:external", "is_external"),
        ("port_security_enabled", "port_security_enabled"),
    ):
        if name in params:
            setattr(network, attribute, params[name])
    if is_routed and not was_routed:
        networks.refuse_routed_overlap(req.db, network)
    req.db.flush()
    if is_routed != was_routed:
        network_sync.network(req, network.id)
    return {"network": view(FIELDS, network, req)}


@route("DELETE", "/networks/{network_id}", policy=Rule("delete_network", MEMBER), status=204)
def delete(req: Request, network_id: str) -> None:
    """Delete the network and its subnets, on all hosts. 204. 403: not the owner. 404: no such network. 409: it has ports."""
    networks.delete(req.db, _own(req, network_id, "delete_network"))
    network_sync.network_deleted(req, network_id)


def _own(req: Request, network_id: str, rule: str) -> Network:
    """The network, if the caller may change it: else 404 where it is not visible to the caller, or 403."""
    network = networks.get(req.db, network_id, project_id=req.ctxt.visible_project)
    authorization.refuse_unless_owner(req, network.project_id, rule)
    return network
