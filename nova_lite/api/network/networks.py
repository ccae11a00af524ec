# SPDX-License-Identifier: Apache-2.0
"""/networks: layer-2 networks of a project, shared ones, and those that are external."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.network import authorization, listing, network_sync, schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import ADMIN, MEMBER, READER, Field, Rule, route, view
from nova_lite.db.network import networks
from nova_lite.db.network.networks import Network

FIELDS = (
    Field("id", lambda n: n.id),
    Field("name", lambda n: n.name),
    Field("description", lambda n: n.description),
    Field("tenant_id", lambda n: n.project_id),
    Field("project_id", lambda n: n.project_id),
    Field("admin_state_up", lambda n: n.admin_state_up),
    Field("status", lambda _: "ACTIVE"),
    Field("subnets", lambda n: [subnet.id for subnet in n.subnets]),
    Field("shared", lambda n: n.shared),
    Field("router:external", lambda n: n.is_external),
    Field("is_default", lambda _: False),
    Field("mtu", lambda n: n.mtu),
    Field("port_security_enabled", lambda n: n.port_security_enabled),
    Field("availability_zone_hints", lambda _: []),
    Field("availability_zones", lambda _: []),
    Field("ipv4_address_scope", lambda _: None),
    Field("ipv6_address_scope", lambda _: None),
    Field("tags", lambda _: []),
    Field("created_at", lambda n: schemas.moment(n.created_at)),
    Field("updated_at", lambda n: schemas.moment(n.updated_at or n.created_at)),
    Field("provider:network_type", lambda _: "vxlan", role=ADMIN),
    Field("provider:physical_network", lambda _: None, role=ADMIN),
    Field("provider:segmentation_id", lambda n: n.segment, role=ADMIN),
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
CREATE = schemas.body(
    "network",
    {
        **_CHANGEABLE,
        **schemas.OWNER,
        "mtu": {"type": "integer", "minimum": 0, "maximum": 65535},
        "availability_zone_hints": {"type": "array"},
        "provider:network_type": schemas.maybe(schemas.TEXT),
        "provider:physical_network": schemas.maybe(schemas.TEXT),
        "provider:segmentation_id": schemas.maybe({"type": "integer", "minimum": 1, "maximum": 16777215}),
    },
)
UPDATE = schemas.body("network", _CHANGEABLE)


@route("GET", "/networks", policy=Rule("get_networks", READER))
def index(req: Request) -> Body:
    """Own networks, and those that everybody may see."""
    asked = listing.read(req, networks.NETWORK_COLUMNS, constants=_CONSTANTS)
    rows = (
        []
        if asked.is_empty
        else networks.find(
            req.db, project_id=req.ctxt.visible_project, filters=asked.filters, page=asked.page
        )
    )
    return listing.write(req, "networks", rows, asked, lambda row: view(FIELDS, row, req))


@route("GET", "/networks/{network_id}", policy=Rule("get_network", READER))
def show(req: Request, network_id: str) -> Body:
    """One network."""
    network = networks.get(req.db, network_id, project_id=req.ctxt.visible_project)
    return {"network": listing.only_fields(req, view(FIELDS, network, req))}


@route("POST", "/networks", policy=Rule("create_network", MEMBER), status=201, body={"2.0": CREATE})
def create(req: Request, body: Body) -> Body:
    """A new network; hosts make it when the first server there needs it."""
    asked = body["network"]
    project_id = authorization.project_of(req, asked)
    authorization.refuse_admin_only(req, asked, "create_network", _ADMIN_ONLY)
    authorization.refuse_unsupported(asked, _SUPPORTED)
    authorization.check_quota(req, project_id, "networks", used=networks.count(req.db, project_id))
    network = Network(
        project_id=project_id,
        name=asked.get("name", ""),
        description=asked.get("description", ""),
        shared=asked.get("shared", False),
        is_external=asked.get("router:external", False),
        port_security_enabled=asked.get("port_security_enabled", True),
        mtu=_mtu(req, asked),
    )
    networks.create(req.db, network, segment=asked.get("provider:segmentation_id"), rng=authorization.RNG)
    return {"network": view(FIELDS, network, req)}


def _mtu(req: Request, asked: Body) -> int:
    """The MTU asked for; 0 and none mean the most that the underlay carries, as in Neutron."""
    most = int(req.conf.network.mtu)
    wanted = int(asked.get("mtu") or most)
    if not 576 <= wanted <= most:  # RFC 791: every host takes 576 bytes
        raise errors.BadRequest(reason=f"Invalid input for mtu. Reason: {wanted} is not from 576 to {most}.")
    return wanted


@route("PUT", "/networks/{network_id}", policy=Rule("update_network", MEMBER), body={"2.0": UPDATE})
def update(req: Request, network_id: str, body: Body) -> Body:
    """Change names and switches; sharing again what servers of other projects use is not taken back."""
    asked = body["network"]
    network = _own(req, network_id, "update_network")
    authorization.refuse_admin_only(
        req, asked, "update_network", {"shared": network.shared, "router:external": network.is_external}
    )
    authorization.refuse_unsupported(asked, _SUPPORTED)
    was_routed = network.is_routed
    is_routed = bool(asked.get("shared", network.shared) or asked.get("router:external", network.is_external))
    if is_routed and not was_routed:
        networks.lock_routed(req.db, network)
    if network.shared and asked.get("shared") is False and networks.is_used_by_others(req.db, network):
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
        if name in asked:
            setattr(network, attribute, asked[name])
    if is_routed and not was_routed:
        networks.refuse_routed_overlap(req.db, network)
    req.db.flush()
    if is_routed != was_routed:
        network_sync.network(req, network.id)
    return {"network": view(FIELDS, network, req)}


@route("DELETE", "/networks/{network_id}", policy=Rule("delete_network", MEMBER), status=204)
def delete(req: Request, network_id: str) -> None:
    """Remove the network and its subnets, and tell the hosts."""
    networks.delete(req.db, _own(req, network_id, "delete_network"))
    network_sync.network_removed(req, network_id)


def _own(req: Request, network_id: str, rule: str) -> Network:
    """The network, when the caller may write it: 404 when it may not even be seen, else 403."""
    network = networks.get(req.db, network_id, project_id=req.ctxt.visible_project)
    authorization.refuse_unless_owner(req, network.project_id, rule)
    return network
