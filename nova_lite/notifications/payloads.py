# SPDX-License-Identifier: Apache-2.0
"""The payloads of notifications about servers, in the envelope of Nova's versioned objects."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from nova_lite.db.compute.actions import Action
from nova_lite.db.compute.keypairs import Keypair
from nova_lite.db.compute.servers import Server, instance_name
from nova_lite.db.network.ports import Port
from nova_lite.lifecycle.servers import Power
from nova_lite.notifications.names import Kind
from nova_lite.values.flavor import Flavor

Body = dict[str, Any]
_POWER = {Power.NOSTATE: "pending", Power.RUNNING: "running", Power.PAUSED: "paused", Power.SHUTDOWN: "shutdown",
          Power.CRASHED: "crashed", Power.SUSPENDED: "suspended"}


def enveloped(name: str, version: str, data: Body) -> Body:
    """The data as a versioned object of Nova's."""
    return {"nova_object.name": name, "nova_object.namespace": "nova", "nova_object.version": version,
            "nova_object.data": data}


def payload(
    kind: Kind, server: Server, action: Action, ports: Sequence[Port], *, keypair: Keypair | None, error: str | None
) -> Body:
    """The payload of a notification; `keypair`: the server's, if its user still has it; `error`: the reason if the action failed."""
    data = _server(server) | {
        "ip_addresses": [_address(port, number, address.address) for number, port in enumerate(ports) for address in port.addresses],
        "fault": _fault(error) if error is not None else None,
        "request_id": action.request_id, "action_initiator_user": action.user_id, "action_initiator_project": action.project_id,
    }
    return enveloped(kind.payload, kind.version, data | _special(kind, server, action, keypair))


def _server(server: Server) -> Body:
    return {
        "uuid": server.id, "user_id": server.user_id, "tenant_id": server.project_id, "reservation_id": server.reservation_id,
        "display_name": server.name, "display_description": server.description, "host_name": server.hostname,
        "host": server.host, "node": server.host, "os_type": server.image_properties.get("os_type"),
        "architecture": server.image_properties.get("architecture"), "availability_zone": server.availability_zone,
        "flavor": _flavor(server.flavor), "image_uuid": server.image_id or "", "key_name": server.key_name,
        "kernel_id": "", "ramdisk_id": "", "created_at": _time(server.created_at), "launched_at": _time(server.launched_at),
        "terminated_at": _time(server.terminated_at), "deleted_at": _time(server.deleted_at),
        "updated_at": _time(server.updated_at), "state": server.vm_state, "task_state": server.task_state,
        "power_state": _POWER.get(Power(server.power_state), "pending"), "progress": server.progress, "block_devices": [],
        "metadata": dict(server.metadata_items), "locked": server.locked_by is not None, "locked_reason": server.locked_reason,
        "auto_disk_config": server.disk_config,
    }


def _special(kind: Kind, server: Server, action: Action, keypair: Keypair | None) -> Body:
    """The fields that only payloads of this name have."""
    inputs = {**action.inputs, **action.saved}
    if kind.payload == "InstanceCreatePayload":
        return {"keypairs": [_keypair(keypair)] if keypair else [], "tags": list(server.tags), "trusted_image_certificates": None,
                "instance_name": instance_name(server.number)}
    if kind.payload == "InstanceActionRebuildPayload":
        return {"trusted_image_certificates": None}
    if kind.payload == "InstanceActionRescuePayload":
        return {"rescue_image_ref": inputs.get("image_id") or server.image_id}
    if kind.payload == "InstanceActionSnapshotPayload":
        return {"snapshot_image_id": inputs.get("image_id") or ""}
    if kind.payload == "InstanceActionVolumePayload":
        return {"volume_id": inputs.get("volume_id") or ""}
    return {}


def _keypair(keypair: Keypair) -> Body:
    return enveloped("KeypairPayload", "1.0", {
        "user_id": keypair.user_id, "name": keypair.name, "fingerprint": keypair.fingerprint, "public_key": keypair.public_key,
        "type": keypair.type})


def _flavor(flavor: Flavor) -> Body:
    return enveloped("FlavorPayload", "1.4", {
        "flavorid": flavor.id, "name": flavor.name, "memory_mb": flavor.ram_mb, "vcpus": flavor.vcpus, "root_gb": flavor.root_gb,
        "ephemeral_gb": flavor.ephemeral_gb, "swap": flavor.swap_mb, "rxtx_factor": 1.0, "vcpu_weight": 0, "disabled": False,
        "is_public": True, "extra_specs": dict(flavor.extra_specs), "projects": None, "description": None,
    })


def _address(port: Port, number: int, address: str) -> Body:
    return enveloped("IpPayload", "1.0", {
        "label": port.network.name, "mac": port.mac_address, "meta": {}, "port_uuid": port.id,
        "version": 6 if ":" in address else 4, "address": address, "device_name": f"nic{number}"})


def _fault(error: str) -> Body:
    return enveloped("ExceptionPayload", "1.1", {
        "function_name": "", "module_name": "", "exception": "InstanceFault", "exception_message": error, "traceback": ""})


def _time(moment: datetime.datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
