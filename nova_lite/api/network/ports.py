# SPDX-License-Identifier: Apache-2.0
"""/ports: connections to networks, of servers and of their own."""

from __future__ import annotations

import collections
import functools
import re
from collections.abc import Sequence

from nova_lite import errors
from nova_lite.api.network import authorization, listing, network_sync, schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import BOOLEAN, EMPTY_LIST, OBJECT, STRING, TIME, UUID, Field, closed, many, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, MEMBER, READER, Rule
from nova_lite.db.compute import actions, servers
from nova_lite.db.network import floating_ips, interfaces, networks, ports, security_groups
from nova_lite.db.network.ip_allocations import Wanted
from nova_lite.db.network.networks import Network
from nova_lite.db.network.ports import Port

FIELDS = (
    Field("id", lambda p: p.id, UUID),
    Field("name", lambda p: p.name, STRING),
    Field("description", lambda p: p.description, STRING),
    Field("tenant_id", lambda p: p.project_id, STRING),
    Field("project_id", lambda p: p.project_id, STRING),
    Field("network_id", lambda p: p.network_id, UUID),
    Field("mac_address", lambda p: p.mac_address, STRING),
    Field("admin_state_up", lambda p: p.admin_state_up, BOOLEAN),
    Field("status", lambda p: p.status, STRING),
    Field("device_id", lambda p: p.device_id, STRING),
    Field("device_owner", lambda p: p.device_owner, STRING),
    Field("fixed_ips", lambda p: [{"subnet_id": a.subnet_id, "ip_address": a.address} for a in p.addresses], schemas.FIXED_IPS),
    Field("security_groups", lambda p: sorted(member.group_id for member in p.security_groups), many(UUID)),
    Field("port_security_enabled", lambda p: p.port_security_enabled, BOOLEAN),
    Field("binding:vnic_type", lambda _: "normal", STRING),
    Field("allowed_address_pairs", lambda _: [], EMPTY_LIST),
    Field("extra_dhcp_opts", lambda _: [], EMPTY_LIST),
    Field("tags", lambda p: p.tags or [], many(STRING)),
    Field("created_at", lambda p: schemas.moment(p.created_at), TIME),
    Field("updated_at", lambda p: schemas.moment(p.updated_at or p.created_at), TIME),
    Field("binding:host_id", lambda p: p.host or "", STRING, role=ADMIN),
    Field("binding:vif_type", lambda p: "bridge" if p.host else "unbound", STRING, role=ADMIN),
    Field("binding:vif_details", lambda _: {}, OBJECT, role=ADMIN),
    Field("binding:profile", lambda _: {}, OBJECT, role=ADMIN),
)
_SUPPORTED: dict[str, object] = {
    "admin_state_up": True,
    "allowed_address_pairs": [],
    "extra_dhcp_opts": [],
    "binding:vnic_type": "normal",
    "binding:profile": {},
    "binding:host_id": "",
    "qos_policy_id": None,
    "tags": [],
}
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)
_FIXED_IPS: schemas.Schema = {
    "type": "array",
    "maxItems": 5,
    "items": {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "properties": {"subnet_id": schemas.UUID, "ip_address": schemas.ADDRESS},
    },
}
_CHANGEABLE: schemas.Schema = {
    "name": schemas.TEXT,
    "description": schemas.TEXT,
    "admin_state_up": schemas.BOOL,
    "fixed_ips": schemas.maybe(_FIXED_IPS),
    "security_groups": schemas.maybe(schemas.UUIDS),
    "port_security_enabled": schemas.BOOL,
    "mac_address": schemas.TEXT,
    "device_id": schemas.TEXT,
    "device_owner": schemas.TEXT,
    "allowed_address_pairs": schemas.maybe({"type": "array"}),
    "extra_dhcp_opts": schemas.maybe({"type": "array"}),
    "binding:vnic_type": schemas.TEXT,
    "binding:profile": schemas.maybe({"type": "object"}),
    "binding:host_id": schemas.maybe(schemas.TEXT),
    "qos_policy_id": schemas.maybe(schemas.TEXT),
}
CREATE = schemas.new_body(
    "port",
    {
        **_CHANGEABLE,
        **schemas.OWNER,
        "network_id": schemas.UUID,
        "tags": {"type": "array"},
    },
    required=("network_id",),
)
UPDATE = schemas.body("port", _CHANGEABLE)


@route("GET", "/ports", policy=Rule("get_ports", READER), response=schemas.listed("ports", FIELDS))
def index(req: Request) -> Body:
    """List the project's ports; `fixed_ips=ip_address=…`, `fixed_ips=subnet_id=…` and `security_groups=…` filter too.

    200, a page with filters, order and `fields` of the query. 400: an unknown filter or a wrong value.
    """
    query = listing.read(
        req,
        ports.PORT_COLUMNS,
        extra=("fixed_ips", "security_groups"),
        constants={"binding:vnic_type": "normal"},
    )
    rows = (
        []
        if query.is_empty
        else ports.find(
            req.db,
            project_id=req.ctxt.visible_project,
            filters=query.filters,
            page=query.page,
            fixed_ips=_fixed_ip_filters(req),
            group_ids=req.query.getall("security_groups"),
        )
    )
    return listing.write(req, "ports", rows, query, lambda row: view(FIELDS, row, req))


def _fixed_ip_filters(req: Request) -> list[Wanted]:
    filters = []
    for text in req.query.getall("fixed_ips"):
        name, _, value = text.partition("=")
        if name not in ("ip_address", "subnet_id") or not value:
            raise errors.BadRequest(
                reason=f"Invalid input for fixed_ips. Reason: '{text}' is neither "
                "ip_address=ADDRESS nor subnet_id=ID."
            )
        filters.append(Wanted(address=value) if name == "ip_address" else Wanted(subnet_id=value))
    return filters


@route("GET", "/ports/{port_id}", policy=Rule("get_port", READER), response=schemas.shown("port", FIELDS))
def show(req: Request, port_id: str) -> Body:
    """Show one port. 200. 404: no such port in the project."""
    port = ports.get(req.db, port_id, project_id=req.ctxt.visible_project)
    return {"port": listing.only_fields(req, view(FIELDS, port, req))}


@route(
    "POST", "/ports", policy=Rule("create_port", MEMBER), status=201, body={"2.0": CREATE}, response=schemas.made("port", FIELDS)
)
def create(req: Request, body: Body) -> Body:
    """Create a port on a network of the project or a shared one, or `ports`, all or none; a server may use it later (compute API, os-interface).

    201. 400: an attribute that is not supported, a wrong MAC or fixed IP, or a `device_id`. 403: on another's network, MAC or
    port security on a shared one. 404: no such network or security group. 409: the quota is exceeded, the MAC or address is
    in use, or none is free.
    """
    made = schemas.create(body, "port", functools.partial(_create, req), lock=functools.partial(_lock, req), order=_unique_values)
    # After the row of one port, as a create of one server has it: who waits for an address that another is about to get has no quota lock.
    items = [made["port"]] if "port" in made else made["ports"]
    for project_id, number in sorted(collections.Counter(port["project_id"] for port in items).items()):
        authorization.check_quota(req, project_id, "ports", used=ports.count, made=number)
    return made


def _lock(req: Request, items: Sequence[Body]) -> None:
    security_groups.make_defaults(req.db, (
        authorization.project_of(req, params) for params in items
        if params.get("security_groups") is None and params.get("port_security_enabled", True)))
    # Before the rows: two lists of one project would else wait for random addresses of each other.
    authorization.lock_quotas(req, items)


def _unique_values(params: Body) -> tuple[list[str], str]:
    """What no two ports of a network have."""
    addresses = sorted(item.get("ip_address", "") for item in params.get("fixed_ips") or ())
    return addresses, params.get("mac_address", "").lower()


def _create(req: Request, params: Body) -> Body:
    project_id = authorization.project_of(req, params)
    network = networks.get(req.db, params["network_id"], project_id=req.ctxt.visible_project)
    _refuse_external(req, network)
    _refuse_owners_only(req, network, params, "create_port")
    authorization.refuse_unsupported(params, _SUPPORTED)
    _refuse_device(params, "")
    is_secured = params.get("port_security_enabled", network.port_security_enabled)
    group_ids = _groups(req, project_id, params.get("security_groups"), is_secured=is_secured)
    values = {
        "project_id": project_id,
        "name": params.get("name", ""),
        "description": params.get("description", ""),
        "port_security_enabled": is_secured,
    }
    if params.get("mac_address"):
        values["mac_address"] = _mac(params["mac_address"])
    port_id = ports.create(
        req.db, values, network=network, wanted=_requested_ips(params), group_ids=group_ids, rng=authorization.RNG
    )
    network_sync.push(req)
    return view(FIELDS, ports.get(req.db, port_id), req)


@route(
    "PUT", "/ports/{port_id}", policy=Rule("update_port", MEMBER), body={"2.0": UPDATE}, response=closed(port=FIELDS)
)
def update(req: Request, port_id: str, body: Body) -> Body:
    """Change a port; the host of its server applies the change at once.

    200. 400: an attribute that is not supported, or a `device_id`: servers attach ports by the compute API. 403: MAC or port
    security on another's network. 404: no such port or security group. 409: the MAC of a server's port, an address in use,
    port security without removing the security groups, or more than name and description of a router's or floating IP's port.
    """
    params = body["port"]
    port = ports.get(req.db, port_id, project_id=req.ctxt.visible_project)
    _refuse_internal(port, params)
    network = networks.get(req.db, port.network_id)
    changed = {
        name: value
        for name, value in params.items()
        if name not in ("mac_address", "port_security_enabled") or value != getattr(port, name)
    }
    _refuse_owners_only(req, network, changed, "update_port")
    authorization.refuse_unsupported(params, {**_SUPPORTED, "binding:host_id": port.host or ""})
    _refuse_device(params, port.device_id)
    if "mac_address" in changed:
        if port.device_id:
            raise errors.Conflict(
                reason=f"Unable to complete operation on port {port.id}: a server uses it, so its "
                "MAC address cannot change."
            )
        ports.change_mac(req.db, port, _mac(changed["mac_address"]))
    if "port_security_enabled" in changed:
        interfaces.secure(req.db, port, is_secured=changed["port_security_enabled"])
    for name in ("name", "description"):
        if name in params:
            setattr(port, name, params[name])
    old_groups = {member.group_id for member in port.security_groups}
    new_groups = _new_groups(req, port, params, old_groups)
    if params.get("fixed_ips") is not None:
        ports.readdress(req.db, port, network=network, wanted=_requested_ips(params) or [], rng=authorization.RNG)
        floating_ips.refuse_orphans(req.db, port)
    ports.regroup(req.db, port, sorted(new_groups))
    network_sync.push(req)
    network_sync.servers(req, [port.device_id])
    return {"port": view(FIELDS, ports.reread(req.db, port), req)}


@route("DELETE", "/ports/{port_id}", policy=Rule("delete_port", MEMBER), status=204)
def delete(req: Request, port_id: str) -> None:
    """Delete a port; one that a server uses is detached in the background, and deleted when the guest has released it.

    204. 404: no such port. 409: the server's state does not allow a detach, or a router has the port.
    """
    port = ports.get(req.db, port_id, project_id=req.ctxt.visible_project)
    if not ports.delete_unused(req.db, port):
        _detach(req, port)
        return
    network_sync.push(req)


def _detach(req: Request, port: Port) -> None:
    """:raises errors.Conflict: the server's state does not allow it, or the port is not a server's."""
    if port.device_owner != ports.SERVER_OWNER:
        raise errors.Conflict(
            reason=f"Port {port.id} cannot be deleted directly via the port API: has device owner {port.device_owner}."
        )
    server = servers.get(req.db, port.device_id)
    servers.begin(req.db, server, "detach_interface")
    action = actions.add(
        req.db,
        server_id=server.id,
        name="detach_interface",
        request_id=req.ctxt.request_id,
        user_id=req.ctxt.user_id,
        project_id=req.ctxt.project_id,
        inputs={"port_id": port.id},
    )
    interfaces.give_up(req.db, server.id, port.id)
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=action.id)


def _refuse_internal(port: Port, params: Body) -> None:
    """Refuse changes of ports that this service has made for itself: their addresses are those of gateways and floating IPs."""
    if port.device_owner.startswith("network:") and params.keys() - {"name", "description"}:
        raise errors.Conflict(
            reason=f"Port {port.id} cannot be changed directly via the port API: has device owner {port.device_owner}.")


def _refuse_external(req: Request, network: Network) -> None:
    """Refuse ports on external networks that are not shared to all but their owner and admins."""
    is_own = req.ctxt.is_admin or network.project_id == req.ctxt.project_id
    if not is_own and not network.shared:
        raise errors.PolicyForbids(rule="create_port")


def _refuse_owners_only(req: Request, network: Network, params: Body, rule: str) -> None:
    """On a shared network only its owner sets MAC and port security: else a port could impersonate another."""
    if req.ctxt.is_admin or network.project_id == req.ctxt.project_id:
        return
    for name in ("mac_address", "port_security_enabled"):
        default = network.port_security_enabled if name == "port_security_enabled" else None
        if name in params and params[name] != default:
            raise errors.PolicyForbids(rule=f"{rule}:{name}")


def _refuse_device(params: Body, device_id: str) -> None:
    """Refuse to attach a port to a server here: the compute API checks whose server it is."""
    if params.get("device_id", device_id) != device_id:
        raise errors.BadRequest(
            reason="Invalid input for device_id. Reason: attach and detach ports with the "
            "compute API (os-interface)."
        )
    owner = params.get("device_owner", "")
    if owner and not device_id:
        raise errors.BadRequest(
            reason="Invalid input for device_owner. Reason: it is set when a server gets the port."
        )


def _mac(text: str) -> str:
    """A unicast MAC address in lower case."""
    if not _MAC.fullmatch(text) or int(text[:2], 16) & 1 or not text.replace(":", "").strip("0"):
        raise errors.BadRequest(
            reason=f"Invalid input for mac_address. Reason: '{text}' is not a valid MAC address."
        )
    return text.lower()


def _requested_ips(params: Body) -> list[Wanted] | None:
    if params.get("fixed_ips") is None:
        return None
    return [
        Wanted(subnet_id=item.get("subnet_id"), address=item.get("ip_address")) for item in params["fixed_ips"]
    ]


def _groups(req: Request, project_id: str, group_ids: Sequence[str] | None, *, is_secured: bool) -> list[str]:
    """The groups of a new port: the requested ones or the default one; none without port security."""
    if not is_secured:
        if group_ids:
            raise errors.Conflict(
                reason="Port Security must be enabled in order to have security groups on a port."
            )
        return []
    if group_ids is None:
        return [security_groups.default_id(req.db, project_id)]
    return _existing(req, project_id, group_ids)


def _new_groups(req: Request, port: Port, params: Body, old: set[str]) -> set[str]:
    if "security_groups" not in params:
        if old and not port.port_security_enabled:
            raise errors.Conflict(
                reason=f"Port {port.id} has security groups; remove them to disable port security."
            )
        return old
    group_ids = params["security_groups"] or []
    return set(_groups(req, port.project_id, group_ids, is_secured=port.port_security_enabled))


def _existing(req: Request, project_id: str, group_ids: Sequence[str]) -> list[str]:
    unknown = security_groups.missing(req.db, group_ids, project_id=None if req.ctxt.is_admin else project_id)
    if unknown:
        raise errors.NotFound(
            f"Security group {unknown[0]} does not exist", what="Security group", id=unknown[0]
        )
    return list(dict.fromkeys(group_ids))
