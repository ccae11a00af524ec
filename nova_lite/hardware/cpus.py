# SPDX-License-Identifier: Apache-2.0
"""Reads which of a guest's CPUs have a dedicated CPU of the host, which run in real time, and where its emulator runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_lite import errors
from nova_lite.hardware import extra_specs
from nova_lite.hardware.topology import parse_cpus
from nova_lite.values.hardware import CpuPolicy


def policy_of(values: Mapping[str, Any], *, vcpus: int) -> CpuPolicy:
    """The policy for a guest of so many CPUs; `values` by the names of extra_specs.EXTRA_SPECS. The rules are Nova's.

    :raises errors.BadRequest: they contradict each other.
    """
    policy = values["cpu_policy"]
    realtime = _realtime(values, vcpus)
    dedicated = _dedicated(values, vcpus, realtime)
    emulator, threads = values["emulator_threads"], values["cpu_thread_policy"]
    if threads is not None and not dedicated:
        raise errors.BadRequest(reason="hw:cpu_thread_policy needs hw:cpu_policy dedicated or mixed")
    if emulator == "isolate" and policy != "dedicated":
        raise errors.BadRequest(reason="hw:emulator_threads_policy=isolate needs hw:cpu_policy=dedicated")
    if not set(realtime) <= set(dedicated):
        raise errors.BadRequest(reason=(
            "hw:cpu_realtime needs hw:cpu_policy dedicated or mixed, with all CPUs of hw:cpu_realtime_mask dedicated"))
    if realtime and len(realtime) == vcpus and emulator is None:
        raise errors.BadRequest(reason=(
            "hw:cpu_realtime needs hw:cpu_realtime_mask with at least one CPU that is not real-time, or "
            "hw:emulator_threads_policy"))
    return CpuPolicy(dedicated=dedicated, realtime=realtime, emulator=emulator, threads=threads or "prefer")


def policy_by_resources(specs: Mapping[str, str], policy: str | None, *, vcpus: int) -> str | None:
    """hw:cpu_policy as it is, or `dedicated` where resources:PCPU requires that.

    :raises errors.BadRequest: both are there, or their sum is not the flavor's number of CPUs. As in Nova.
    """
    counts = {name: extra_specs.count(name, str(specs[name]), least=0) for name in ("resources:VCPU", "resources:PCPU") if name in specs}
    for name in ("resources:MEMORY_MB", "resources:DISK_GB"):
        extra_specs.count(name, str(specs.get(name, 0)), least=0)
    if not counts.get("resources:PCPU"):
        return policy
    if policy is not None or counts.get("resources:VCPU"):
        raise errors.BadRequest(reason="resources:PCPU cannot be set together with hw:cpu_policy or resources:VCPU")
    if counts["resources:PCPU"] != vcpus:
        raise errors.BadRequest(reason=f"resources:PCPU={counts['resources:PCPU']} is not the flavor's {vcpus} CPUs")
    return "dedicated"


def _realtime(values: Mapping[str, Any], vcpus: int) -> tuple[int, ...]:
    if not values["cpu_realtime"]:
        return ()
    if values["cpu_realtime_mask"] is None:
        return tuple(range(vcpus))
    return mask("hw:cpu_realtime_mask", values["cpu_realtime_mask"], vcpus=vcpus)


def _dedicated(values: Mapping[str, Any], vcpus: int, realtime: tuple[int, ...]) -> tuple[int, ...]:
    dedicated_mask = values["cpu_dedicated_mask"]
    if values["cpu_policy"] != "mixed":
        if dedicated_mask is not None:
            raise errors.BadRequest(reason="hw:cpu_dedicated_mask needs hw:cpu_policy=mixed")
        return tuple(range(vcpus)) if values["cpu_policy"] == "dedicated" else ()
    if dedicated_mask is None:
        if not 0 < len(realtime) < vcpus:
            raise errors.BadRequest(reason="hw:cpu_policy=mixed needs hw:cpu_dedicated_mask or hw:cpu_realtime_mask")
        return realtime
    if realtime:
        raise errors.BadRequest(reason="hw:cpu_dedicated_mask cannot be set together with hw:cpu_realtime")
    dedicated = mask("hw:cpu_dedicated_mask", dedicated_mask, vcpus=vcpus)
    if len(dedicated) == vcpus:
        raise errors.BadRequest(reason="hw:cpu_dedicated_mask leaves no CPU shared: use hw:cpu_policy=dedicated")
    return dedicated


def mask(name: str, text: str, *, vcpus: int) -> tuple[int, ...]:
    """The guest's CPUs in a list such as `2-3` or `^0-1` (all except these).

    :raises errors.BadRequest: it is not a list, or is empty, or has a CPU that the guest does not have.
    """
    parts = text.replace(" ", "").split(",")
    is_exclusion = all(part.startswith("^") for part in parts)
    cpus = parse_cpus(name, f"0-{vcpus - 1},{text}" if is_exclusion else text)
    listed = {cpu for part in parts for cpu in parse_cpus(name, part.removeprefix("^"))}
    if not cpus or max(listed) >= vcpus:
        raise extra_specs.refuse(name, text, f"list at least one of the guest's CPUs 0 to {vcpus - 1}, and no other")
    return cpus
