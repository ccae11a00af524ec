# SPDX-License-Identifier: Apache-2.0
"""Reads what flavor and image ask of a guest's hardware, once, with every refusal; the API checks and drivers obey."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from nova_lite import errors
from nova_lite.hardware import cpus, extra_specs, topology
from nova_lite.hardware.cpus import CpuPolicy
from nova_lite.hardware.topology import Cell, Topology

# Where both may speak and the image wins: as in Nova. Elsewhere the flavor does, who knows its host.
_IMAGE_WINS = frozenset({"watchdog", "video_model", "boot_menu", "pointer", "input_bus", "cdrom_bus"})
_LARGE = ("large", "any")
_OF_CPUS = ("cpu_policy", "cpu_thread_policy", "cpu_dedicated_mask", "cpu_realtime", "cpu_realtime_mask", "emulator_threads")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hardware:
    """What was asked for; None and empty: nothing was, so the host's own default holds.

    `page_size`: small, large, any or KiB. `quota`: libvirt's names with cpu_, disk_ or vif_ before them.
    """

    disk_bus: str | None = None
    cdrom_bus: str | None = None
    scsi_model: str | None = None
    vif_model: str | None = None
    vif_multiqueue: bool = False
    video_model: str | None = None
    video_ram_mb: int | None = None
    machine_type: str | None = None
    watchdog: str | None = None
    has_rng: bool = True
    rng_bytes: int | None = None
    rng_period_ms: int | None = None
    has_agent: bool = True
    topology: Topology | None = None
    page_size: int | str | None = None
    cpus: CpuPolicy = cpus.SHARED
    has_pmu: bool | None = None
    locked_memory: bool = False
    mem_encryption: bool = False
    sound_model: str | None = None
    cells: tuple[Cell, ...] = ()
    firmware: str | None = None
    secure_boot: str | None = None
    tpm_version: str | None = None
    tpm_model: str | None = None
    boot_menu: bool | None = None
    has_hpet: bool | None = None
    os_type: str | None = None
    pointer: str | None = None
    input_bus: str | None = None
    is_hidden: bool = False
    serial_ports: int = 1
    quota: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def root_device(self) -> str:
        """The root disk's name as the API shows it."""
        return {"virtio": "/dev/vda", "ide": "/dev/hda"}.get(self.disk_bus or "virtio", "/dev/sda")


def read(*, specs: Mapping[str, str], image: Mapping[str, str], vcpus: int, ram_mb: int) -> Hardware:
    """What a flavor's extra specs and an image's properties ask for.

    :raises errors.BadRequest: a value that is none, two that contradict, or one that this cloud does not offer.
    """
    _refuse_what_is_not_offered(specs, image)
    found = {field: extra_specs.read(wish, specs, image) for field, wish in extra_specs.WISHES.items()}
    values = {field: _one(field, said) for field, said in found.items()}
    _limit_by_flavor(specs, image)
    _check_firmware(values)
    is_hidden_old = values.pop("is_hidden_old")
    values["is_hidden"] = bool(values["is_hidden"] or is_hidden_old)
    values["has_rng"] = values.pop("rng_allowed") is not False
    values["has_agent"] = values["has_agent"] is not False
    for name in ("vif_multiqueue", "locked_memory", "mem_encryption"):
        values[name] = bool(values[name])
    wanted = (values.pop("cpu_sockets"), values.pop("cpu_cores"), values.pop("cpu_threads"))
    most = (values.pop("max_sockets"), values.pop("max_cores"), values.pop("max_threads"))
    nodes = values.pop("numa_nodes")
    values["cpu_policy"] = cpus.by_resources(specs, values["cpu_policy"], vcpus=vcpus)
    policy = cpus.policy_of(values, vcpus=vcpus)
    for unused in ("rng_model", "max_video_ram_mb", "shutdown_timeout", "config_drive", *_OF_CPUS):
        values.pop(unused)
    values["serial_ports"] = values["serial_ports"] or 1
    page_size = _page_size(specs, image)
    _check_memory(values, page_size=page_size, has_cells=nodes is not None)
    return Hardware(
        **values, cpus=policy, page_size=page_size, topology=topology.choose(vcpus, wanted=wanted, most=most),
        cells=topology.cells(nodes, vcpus=vcpus, ram_mb=ram_mb, specs=specs, image=image), quota=_quota(specs))


def _one(field: str, said: Mapping[str, str | bool | int]) -> Any:  # noqa: ANN401 - each field has a type of its own
    """What counts of what specs and image said, which come in this order."""
    spoken = list(said.values())
    if not spoken:
        return None
    return spoken[-1] if field in _IMAGE_WINS else spoken[0]


def _refuse_what_is_not_offered(specs: Mapping[str, str], image: Mapping[str, str]) -> None:
    for name in extra_specs.NOT_OFFERED:
        value = str(specs.get(name, image.get(name, "")))
        if value and value.lower() not in ("false", "no", "0", "off", "none", "share"):
            raise errors.BadRequest(reason=f"{name}={value} is not offered by this cloud")


def _limit_by_flavor(specs: Mapping[str, str], image: Mapping[str, str]) -> None:
    """The image may not take more than the flavor grants; the sentences are Nova's."""
    ram = int(extra_specs.read(extra_specs.WISHES["video_ram_mb"], {}, image).get("hw_video_ram", 0))
    most = int(extra_specs.read(extra_specs.WISHES["max_video_ram_mb"], specs, {}).get("hw_video:ram_max_mb", 0))
    if ram > most:
        raise errors.BadRequest(reason=(
            f"The requested amount of video memory {ram} is higher than the maximum allowed by flavor {most} "
            "(image property hw_video_ram, extra spec hw_video:ram_max_mb)."))
    for field in ("cpu_sockets", "cpu_cores", "cpu_threads"):
        limit = extra_specs.WISHES[field.replace("cpu_", "max_")]
        allowed = extra_specs.read(limit, specs, {}).get(limit.spec)
        for name in (extra_specs.WISHES[field].image, limit.image):
            asked = extra_specs.read(extra_specs.Wish("", name, kind="count"), {}, image).get(name)
            if asked and allowed and int(asked) > int(allowed):
                raise errors.BadRequest(reason=f"{name}={asked} of the image is more than {limit.spec}={allowed} allows")
    ports = extra_specs.read(extra_specs.WISHES["serial_ports"], specs, image)
    if int(ports.get("hw_serial_port_count", 0)) > int(ports.get("hw:serial_port_count", 1 << 30)):
        raise errors.BadRequest(reason="hw_serial_port_count of the image is more than hw:serial_port_count allows")
    policies = extra_specs.read(extra_specs.WISHES["cpu_policy"], specs, image)
    flavor, wanted = policies.get("hw:cpu_policy"), policies.get("hw_cpu_policy")
    if flavor in ("shared", "mixed") and wanted not in (None, flavor):
        raise errors.BadRequest(reason=f"hw_cpu_policy={wanted} of the image contradicts hw:cpu_policy={flavor}")
    _agree(specs, image, "cpu_thread_policy")
    _agree(specs, image, "mem_encryption")
    _agree(specs, image, "sound_model")


def _agree(specs: Mapping[str, str], image: Mapping[str, str], field: str) -> None:
    """Here neither overrules the other."""
    said = extra_specs.read(extra_specs.WISHES[field], specs, image)
    if len(set(said.values())) > 1:
        raise errors.BadRequest(reason=" and ".join(f"{name}={value}" for name, value in said.items()) + " contradict")


def _check_firmware(values: Mapping[str, Any]) -> None:
    if values["secure_boot"] == "required" and values["firmware"] != "uefi":
        raise errors.BadRequest(reason="os_secure_boot=required needs hw_firmware_type=uefi")
    if values["tpm_model"] and not values["tpm_version"]:
        raise errors.BadRequest(reason="hw:tpm_model needs hw:tpm_version")
    if values["tpm_model"] == "tpm-crb" and values["tpm_version"] == "1.2":
        raise errors.BadRequest(reason="hw:tpm_model=tpm-crb needs hw:tpm_version=2.0")


def _check_memory(values: Mapping[str, Any], *, page_size: int | str | None, has_cells: bool) -> None:
    if values["locked_memory"] and page_size is None and not has_cells:
        raise errors.BadRequest(reason="hw:locked_memory needs hw:mem_page_size or hw:numa_nodes")
    if values["mem_encryption"] and values["firmware"] != "uefi":
        raise errors.BadRequest(reason="hw:mem_encryption needs an image with hw_firmware_type=uefi")


def _page_size(specs: Mapping[str, str], image: Mapping[str, str]) -> int | str | None:
    """As in Nova an image may choose only where the flavor leaves the choice."""
    flavor = extra_specs.page_kib("hw:mem_page_size", str(specs["hw:mem_page_size"])) if "hw:mem_page_size" in specs else None
    if "hw_mem_page_size" not in image:
        return flavor
    chosen = extra_specs.page_kib("hw_mem_page_size", str(image["hw_mem_page_size"]))
    if flavor not in _LARGE:
        raise errors.BadRequest(reason="hw_mem_page_size of the image needs a flavor with hw:mem_page_size large or any")
    return chosen


def _quota(specs: Mapping[str, str]) -> dict[str, int]:
    """The limits of quota:cpu_*, quota:disk_* and quota:vif_*."""
    quota = {}
    for name in (*extra_specs.QUOTA_CPU, *extra_specs.QUOTA_DISK, *extra_specs.QUOTA_VIF):
        if f"quota:{name}" in specs:
            quota[name] = extra_specs.count(f"quota:{name}", str(specs[f"quota:{name}"]), least=0)
    for unit in ("bytes", "iops"):
        if f"disk_total_{unit}_sec" in quota and {f"disk_read_{unit}_sec", f"disk_write_{unit}_sec"} & quota.keys():
            raise errors.BadRequest(reason=f"quota:disk_total_{unit}_sec cannot be set together with read and write limits")
    for way in ("inbound", "outbound"):
        if {f"vif_{way}_peak", f"vif_{way}_burst"} & quota.keys() and f"vif_{way}_average" not in quota:
            raise errors.BadRequest(reason=f"quota:vif_{way}_peak and _burst need quota:vif_{way}_average")
    if not 1000 <= quota.get("cpu_period", 1000) <= 1000000:
        raise extra_specs.refuse("quota:cpu_period", quota["cpu_period"], "it is 1000 to 1000000 microseconds")
    if quota.get("cpu_quota", 1000) < 1000:
        raise extra_specs.refuse("quota:cpu_quota", quota["cpu_quota"], "it is 1000 microseconds or more")
    return quota
