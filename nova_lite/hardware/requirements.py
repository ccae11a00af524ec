# SPDX-License-Identifier: Apache-2.0
"""Reads the hardware that flavor and image require, with every refusal, for the API's checks and for the drivers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_lite import errors
from nova_lite.hardware import cpus, extra_specs, topology
from nova_lite.values.hardware import Hardware

# Where both may set it and the image takes precedence, as in Nova. Elsewhere the flavor does.
_IMAGE_WINS = frozenset({"watchdog", "video_model", "boot_menu", "pointer", "input_bus", "cdrom_bus"})
_LARGE = ("large", "any")
_PER_CPU = ("cpu_sockets", "cpu_cores", "cpu_threads", "max_sockets", "max_cores", "max_threads", "cpu_policy", "cpu_realtime", "numa_nodes")
_OF_CPUS = ("cpu_policy", "cpu_thread_policy", "cpu_dedicated_mask", "cpu_realtime", "cpu_realtime_mask", "emulator_threads")


def read(*, specs: Mapping[str, str], image: Mapping[str, str], vcpus: int, ram_mb: int) -> Hardware:
    """The hardware that a flavor's extra specs and an image's properties require.

    :raises errors.BadRequest: a value is not allowed, two contradict, or one is not supported here.
    """
    _refuse_unsupported(specs, image)
    values = {field: _effective(field, extra_specs.read(extra_spec, specs, image))
              for field, extra_spec in extra_specs.EXTRA_SPECS.items()}
    if vcpus > extra_specs.MAX_CPUS and any(values[name] for name in _PER_CPU):  # these are written out for each CPU
        raise errors.BadRequest(reason=f"A guest of {vcpus} CPUs cannot have a CPU topology, CPU policy or NUMA nodes")
    _limit_by_flavor(specs, image)
    _check_firmware(values)
    is_hidden_old = values.pop("is_hidden_old")
    values["is_hidden"] = bool(values["is_hidden"] or is_hidden_old)
    values["has_rng"] = values.pop("rng_allowed") is not False
    values["has_agent"] = values["has_agent"] is not False
    for name in ("vif_multiqueue", "locked_memory", "mem_encryption"):
        values[name] = bool(values[name])
    preferred = (values.pop("cpu_sockets"), values.pop("cpu_cores"), values.pop("cpu_threads"))
    limits = (values.pop("max_sockets"), values.pop("max_cores"), values.pop("max_threads"))
    node_count = values.pop("numa_nodes")
    values["cpu_policy"] = cpus.policy_by_resources(specs, values["cpu_policy"], vcpus=vcpus)
    policy = cpus.policy_of(values, vcpus=vcpus)
    for unused in ("rng_model", "max_video_ram_mb", "shutdown_timeout", "config_drive", *_OF_CPUS):
        values.pop(unused)
    values["serial_ports"] = values["serial_ports"] or 1
    page_size = _page_size(specs, image)
    _check_memory(values, page_size=page_size, has_numa_nodes=node_count is not None)
    return Hardware(
        **values, cpus=policy, page_size=page_size, topology=topology.choose(vcpus, preferred=preferred, limits=limits),
        numa_nodes=topology.numa_nodes(node_count, vcpus=vcpus, ram_mb=ram_mb, specs=specs, image=image), quota=_quota(specs))


def _effective(field: str, values: Mapping[str, str | bool | int]) -> Any:  # each field has a type of its own
    """The value that takes precedence; `values`: that of the specs, then that of the image."""
    if not values:
        return None
    return list(values.values())[-1 if field in _IMAGE_WINS else 0]


def _refuse_unsupported(specs: Mapping[str, str], image: Mapping[str, str]) -> None:
    for name in extra_specs.UNSUPPORTED:
        value = str(specs.get(name, image.get(name, "")))
        if value and value.lower() not in ("false", "no", "0", "off", "none", "share"):
            raise errors.BadRequest(reason=f"{name}={value} is not supported by this cloud")


def _limit_by_flavor(specs: Mapping[str, str], image: Mapping[str, str]) -> None:
    """The image may not exceed the flavor's limits; the texts are Nova's."""
    ram = int(extra_specs.read(extra_specs.EXTRA_SPECS["video_ram_mb"], {}, image).get("hw_video_ram", 0))
    max_ram = int(extra_specs.read(extra_specs.EXTRA_SPECS["max_video_ram_mb"], specs, {}).get("hw_video:ram_max_mb", 0))
    if ram > max_ram:
        raise errors.BadRequest(reason=(
            f"The requested amount of video memory {ram} is higher than the maximum allowed by flavor {max_ram} "
            "(image property hw_video_ram, extra spec hw_video:ram_max_mb)."))
    for field in ("cpu_sockets", "cpu_cores", "cpu_threads"):
        limit = extra_specs.EXTRA_SPECS[field.replace("cpu_", "max_")]
        allowed = extra_specs.read(limit, specs, {}).get(limit.spec)
        for name in (extra_specs.EXTRA_SPECS[field].image, limit.image):
            value = extra_specs.read(extra_specs.ExtraSpec("", name, kind="count"), {}, image).get(name)
            if value and allowed and int(value) > int(allowed):
                raise errors.BadRequest(reason=f"{name}={value} of the image is more than {limit.spec}={allowed} allows")
    ports = extra_specs.read(extra_specs.EXTRA_SPECS["serial_ports"], specs, image)
    if int(ports.get("hw_serial_port_count", 0)) > int(ports.get("hw:serial_port_count", extra_specs.MAX_SERIAL_PORTS)):
        raise errors.BadRequest(reason="hw_serial_port_count of the image is more than hw:serial_port_count allows")
    policies = extra_specs.read(extra_specs.EXTRA_SPECS["cpu_policy"], specs, image)
    flavor_policy, image_policy = policies.get("hw:cpu_policy"), policies.get("hw_cpu_policy")
    if flavor_policy in ("shared", "mixed") and image_policy not in (None, flavor_policy):
        raise errors.BadRequest(reason=f"hw_cpu_policy={image_policy} of the image contradicts hw:cpu_policy={flavor_policy}")
    _refuse_contradiction(specs, image, "cpu_thread_policy")
    _refuse_contradiction(specs, image, "mem_encryption")
    _refuse_contradiction(specs, image, "sound_model")


def _refuse_contradiction(specs: Mapping[str, str], image: Mapping[str, str], field: str) -> None:
    """Neither flavor nor image takes precedence here."""
    values = extra_specs.read(extra_specs.EXTRA_SPECS[field], specs, image)
    if len(set(values.values())) > 1:
        raise errors.BadRequest(reason=" and ".join(f"{name}={value}" for name, value in values.items()) + " contradict")


def _check_firmware(values: Mapping[str, Any]) -> None:
    if values["secure_boot"] == "required" and values["firmware"] != "uefi":
        raise errors.BadRequest(reason="os_secure_boot=required needs hw_firmware_type=uefi")
    if values["tpm_model"] and not values["tpm_version"]:
        raise errors.BadRequest(reason="hw:tpm_model needs hw:tpm_version")
    if values["tpm_model"] == "tpm-crb" and values["tpm_version"] == "1.2":
        raise errors.BadRequest(reason="hw:tpm_model=tpm-crb needs hw:tpm_version=2.0")


def _check_memory(values: Mapping[str, Any], *, page_size: int | str | None, has_numa_nodes: bool) -> None:
    if values["locked_memory"] and page_size is None and not has_numa_nodes:
        raise errors.BadRequest(reason="hw:locked_memory needs hw:mem_page_size or hw:numa_nodes")
    if values["mem_encryption"] and values["firmware"] != "uefi":
        raise errors.BadRequest(reason="hw:mem_encryption needs an image with hw_firmware_type=uefi")


def _page_size(specs: Mapping[str, str], image: Mapping[str, str]) -> int | str | None:
    """As in Nova an image may set it only where the flavor has large or any."""
    flavor = extra_specs.page_kib("hw:mem_page_size", str(specs["hw:mem_page_size"])) if "hw:mem_page_size" in specs else None
    if "hw_mem_page_size" not in image:
        return flavor
    size = extra_specs.page_kib("hw_mem_page_size", str(image["hw_mem_page_size"]))
    if flavor not in _LARGE:
        raise errors.BadRequest(reason="hw_mem_page_size of the image needs a flavor with hw:mem_page_size large or any")
    return size


def _quota(specs: Mapping[str, str]) -> dict[str, int]:
    """The limits of quota:cpu_*, quota:disk_* and quota:vif_*."""
    quota = {}
    for name in (*extra_specs.QUOTA_CPU, *extra_specs.QUOTA_DISK, *extra_specs.QUOTA_VIF):
        if f"quota:{name}" in specs:
            quota[name] = extra_specs.count(f"quota:{name}", str(specs[f"quota:{name}"]), least=0)
    for unit in ("bytes", "iops"):
        if f"disk_total_{unit}_sec" in quota and {f"disk_read_{unit}_sec", f"disk_write_{unit}_sec"} & quota.keys():
            raise errors.BadRequest(reason=f"quota:disk_total_{unit}_sec cannot be set together with read and write limits")
    for direction in ("inbound", "outbound"):
        if {f"vif_{direction}_peak", f"vif_{direction}_burst"} & quota.keys() and f"vif_{direction}_average" not in quota:
            raise errors.BadRequest(reason=f"quota:vif_{direction}_peak and _burst need quota:vif_{direction}_average")
    if not 1000 <= quota.get("cpu_period", 1000) <= 1000000:
        raise extra_specs.refuse("quota:cpu_period", quota["cpu_period"], "use 1000 to 1000000 microseconds")
    if quota.get("cpu_quota", 1000) < 1000:
        raise extra_specs.refuse("quota:cpu_quota", quota["cpu_quota"], "use 1000 microseconds or more")
    return quota
