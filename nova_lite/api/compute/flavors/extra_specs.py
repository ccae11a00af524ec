# SPDX-License-Identifier: Apache-2.0
"""Extra specs: a flavor's requirements of hosts and guests beyond its sizes."""

from __future__ import annotations

import re

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.flavors.flavors import SHOW_SPECS
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, STRINGS, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, READER, Rule
from nova_lite.db.compute import flavors

_SPEC = {r"^[a-zA-Z0-9-_:. ]{1,255}$": {"type": ["string", "number"], "maxLength": 255}}
_SPECS = {"type": "object", "patternProperties": _SPEC, "additionalProperties": False}
CREATE = schemas.keyed("extra_specs", _SPECS)
UPDATE = {**_SPECS, "minProperties": 1, "maxProperties": 1}

_ALL = closed(extra_specs=STRINGS)
_ONE = {"type": "object", "additionalProperties": STRING, "minProperties": 1, "maxProperties": 1}

_BOOLEAN = r"(?i)1|t|true|on|y|yes|0|f|false|off|n|no"
_COUNT, _NUMBER, _MODE = r"[1-9]\d*", r"\d+", "required|preferred|forbidden"
# Patterns of the keys that Nova defines and of their values; from 2.86 others are refused on create and update.
# https://docs.openstack.org/nova/latest/configuration/extra-specs.html
_DEFINED: tuple[tuple[str, str], ...] = (
    (r"hw:cpu_(sockets|cores|threads|max_sockets|max_cores|max_threads)", _COUNT),
    (r"hw:cpu_policy", "dedicated|shared|mixed"),
    (r"hw:cpu_thread_policy", "prefer|isolate|require"),
    (r"hw:emulator_threads_policy", "share|isolate"),
    (r"hw:cpu_(dedicated_mask|realtime_mask)", r"[\^]?\d+((-\d+)?(,[\^]?\d+(-\d+)?)?)*"),
    (r"hw:numa_nodes", _COUNT),
    (r"hw:numa_cpus\.\d+", r"\d+((-\d+)?(,\^?\d+(-\d+)?)?)*"),
    (r"hw:numa_mem\.\d+", _COUNT),
    (r"hw:(cpu_realtime|boot_menu|mem_encryption|pmu|locked_memory)", _BOOLEAN),
    (r"hw:mem_page_size", r"large|small|any|\d+([kKMGT]i?)?(b|bit|B)?"),
    (r"hw:pci_numa_affinity_policy", "required|preferred|legacy|socket"),
    (r"hw:(vif_multiqueue_enabled|tpm_secret_security)", rf"{_BOOLEAN}|user|host|deployment"),
    (r"hw:(watchdog_action)", "none|pause|poweroff|reset|disabled"),
    (r"hw:maxphysaddr_(mode|bits)", rf"passthrough|emulate|{_NUMBER}"),
    (r"hw:viommu_model", "intel|smmuv3|virtio|auto"),
    (r"hw:virtio_packed_ring", _BOOLEAN),
    (r"hw:(tpm_version)", r"1\.2|2\.0"),
    (r"hw:(tpm_model)", "tpm-tis|tpm-crb"),
    (r"hw:(serial_port_count|pmem)", r".+"),
    (r"hw:(input_bus|cdrom_bus|pointer_model|video_model|sound_model|usb_model|redirected_usb_ports)", r".+"),
    (r"hw_rng:allowed", _BOOLEAN),
    (r"hw_rng:rate_(bytes|period)", _NUMBER),
    (r"hw_video:ram_max_mb", _NUMBER),
    (r"os:secure_boot", "required|disabled|optional"),
    (r"quota:(cpu|disk|vif|memory|mem)_?\w*", r"custom|high|normal|low|\d+"),
    (r"resources\d*(_[\w-]+)?:(VCPU|MEMORY_MB|PCI_DEVICE|SRIOV_NET_VF|NUMA_\w+|VGPU\w*|FPGA|PCPU|PGPU|DISK_GB|\w+)",
     _NUMBER),
    (r"trait\d*(_[\w-]+)?:\w+", "required|forbidden"),
    (r"group_policy", "none|isolate"),
    (r"hide_hypervisor_id|hw:hide_hypervisor_id", _BOOLEAN),
)
_CHECKED_NAMESPACES = ("hw", "hw_rng", "hw_video", "os", "quota", "resources", "trait")


def _check(specs: dict[str, str]) -> None:
    """:raises errors.BadRequest: a key in one of Nova's namespaces is not defined, or its value is invalid."""
    for key, value in specs.items():
        value_pattern = next((values for keys, values in _DEFINED if re.fullmatch(keys, key, re.ASCII)), None)
        if value_pattern is None and ":" in key and key.split(":")[0] in _CHECKED_NAMESPACES:
            raise errors.BadRequest(reason=f"Validation failed; extra spec '{key}' does not appear to be a valid "
                                           "extra spec.")
        if value_pattern is not None and not re.fullmatch(value_pattern, value, re.ASCII):
            raise errors.BadRequest(reason=f"Validation failed; '{value}' is not a valid value of extra spec '{key}'.")


def _as_strings(specs: Body) -> dict[str, str]:
    return {key: str(value) for key, value in specs.items()}


@route("GET", "/flavors/{flavor_id}/os-extra_specs", policy=SHOW_SPECS, response=_ALL)
def index(req: Request, flavor_id: str) -> Body:
    """List a flavor's extra specs. 200. 404: no such flavor, or the project has no access to it."""
    return {"extra_specs": flavors.get(req.db, flavor_id, project_id=req.ctxt.visible_project).extra_specs}


@route("POST", "/flavors/{flavor_id}/os-extra_specs", policy=Rule("os_compute_api:os-flavor-extra-specs:create", ADMIN),
       until="2.85", body={"2.0": CREATE}, response=_ALL)
def create(req: Request, body: Body, flavor_id: str) -> Body:
    """Add or replace extra specs, without checks of keys and values. 200 with these specs. 404: no such flavor."""
    return _add(req, flavor_id, _as_strings(body["extra_specs"]))


@route("POST", "/flavors/{flavor_id}/os-extra_specs", policy=Rule("os_compute_api:os-flavor-extra-specs:create", ADMIN),
       since="2.86", body={"2.86": CREATE}, response=_ALL)
def create_checked(req: Request, body: Body, flavor_id: str) -> Body:
    """Add or replace extra specs.

    200 with these specs. 400: a key in one of Nova's namespaces is not defined, or its value is invalid. 404: no such flavor.
    """
    specs = _as_strings(body["extra_specs"])
    _check(specs)
    return _add(req, flavor_id, specs)


def _add(req: Request, flavor_id: str, specs: dict[str, str]) -> Body:
    flavor = flavors.get(req.db, flavor_id, project_id=None, is_locked=True)
    flavor.extra_specs = {**flavor.extra_specs, **specs}
    return {"extra_specs": specs}


@route("GET", "/flavors/{flavor_id}/os-extra_specs/{key}",
       policy=Rule("os_compute_api:os-flavor-extra-specs:show", READER), response=_ONE)
def show(req: Request, flavor_id: str, key: str) -> Body:
    """Show one extra spec. 200. 404: no such flavor, or it has no such spec."""
    flavor = flavors.get(req.db, flavor_id, project_id=req.ctxt.visible_project)
    if key not in flavor.extra_specs:
        raise _not_found(flavor_id, key)
    return {key: flavor.extra_specs[key]}


@route("PUT", "/flavors/{flavor_id}/os-extra_specs/{key}", until="2.85",
       policy=Rule("os_compute_api:os-flavor-extra-specs:update", ADMIN), body={"2.0": UPDATE}, response=_ONE)
def update(req: Request, body: Body, flavor_id: str, key: str) -> Body:
    """Set one extra spec, without a check of its value. 200 with it. 400: the body has another key than the path. 404: no such flavor."""
    return _set(req, flavor_id, key, _as_strings(body))


@route("PUT", "/flavors/{flavor_id}/os-extra_specs/{key}", since="2.86",
       policy=Rule("os_compute_api:os-flavor-extra-specs:update", ADMIN), body={"2.86": UPDATE}, response=_ONE)
def update_checked(req: Request, body: Body, flavor_id: str, key: str) -> Body:
    """Set one extra spec.

    200 with it. 400: the body has another key than the path, or the key or its value is invalid. 404: no such flavor.
    """
    _check(_as_strings(body))
    return _set(req, flavor_id, key, _as_strings(body))


def _set(req: Request, flavor_id: str, key: str, specs: dict[str, str]) -> Body:
    if key not in specs:
        raise errors.BadRequest(reason="Request body and URI mismatch")
    return _add(req, flavor_id, specs)["extra_specs"]  # type: ignore[no-any-return]


@route("DELETE", "/flavors/{flavor_id}/os-extra_specs/{key}",
       policy=Rule("os_compute_api:os-flavor-extra-specs:delete", ADMIN))
def delete(req: Request, flavor_id: str, key: str) -> None:
    """Delete one extra spec. 200 with no body. 404: no such flavor, or it has no such spec."""
    flavor = flavors.get(req.db, flavor_id, project_id=None, is_locked=True)
    if key not in flavor.extra_specs:
        raise _not_found(flavor_id, key)
    flavor.extra_specs = {name: value for name, value in flavor.extra_specs.items() if name != key}


def _not_found(flavor_id: str, key: str) -> errors.NotFound:
    return errors.NotFound(f"Flavor {flavor_id} has no extra specs with key {key}.")
