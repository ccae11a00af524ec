# SPDX-License-Identifier: Apache-2.0
"""What a host lacks for a guest, and which CPUs its guests get."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from oslo_config import cfg

from nova_lite.compute.virt import cpu_sets
from nova_lite.compute.virt.cpu_sets import CpuSets
from nova_lite.compute.virt.libvirt.hardware import capability_check, cpu_pinning
from nova_lite.values.hardware import CpuPolicy, Hardware, NumaNode
from tests.support.options import defaults


@pytest.fixture
def conf() -> cfg.ConfigOpts:
    return defaults()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with plain UEFI for x86_64, 8 free pages of 2 MiB, two NUMA nodes and no swtpm."""
    for name in ("firmware", "pages/hugepages-2048kB", "nodes/node0", "nodes/node1"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "firmware" / "60.json").write_text(json.dumps({
        "interface-types": ["uefi"], "targets": [{"architecture": "x86_64", "machines": ["pc-*"]}], "features": []}))
    (tmp_path / "pages" / "hugepages-2048kB" / "free_hugepages").write_text("8\n")
    monkeypatch.setattr(capability_check, "_FIRMWARES", tmp_path / "firmware")
    monkeypatch.setattr(capability_check, "_PAGES", tmp_path / "pages")
    monkeypatch.setattr(capability_check, "_NODES", tmp_path / "nodes")
    monkeypatch.setattr(capability_check, "_SWTPM", ("no-such-program",))
    return tmp_path


CELLS = tuple(NumaNode((n,), 8) for n in range(3))


@pytest.mark.parametrize(("hardware", "lack"), [
    (Hardware(), None), (Hardware(firmware="uefi"), None), (Hardware(firmware="bios"), None),
    (Hardware(firmware="uefi", secure_boot="required"), "package ovmf"), (Hardware(tpm_version="2.0"), "no swtpm"),
    (Hardware(page_size="small"), None), (Hardware(page_size=4), None), (Hardware(page_size="large"), None),
    (Hardware(page_size=2048), None), (Hardware(page_size=1048576), "huge pages"), (Hardware(numa_nodes=CELLS[:2]), None),
    (Hardware(numa_nodes=CELLS), "the host has 2"), (Hardware(cpus=CpuPolicy(dedicated=(0,))), "cpu_dedicated_set is empty"),
])
def test_a_host_says_what_it_lacks(host: Path, conf: cfg.ConfigOpts, hardware: Hardware, lack: str | None) -> None:
    said = capability_check.missing(hardware, ram_mb=16, arch="x86_64", conf=conf)
    assert said is None if lack is None else lack in (said or "")


def test_pages_that_others_took_are_missing(host: Path, conf: cfg.ConfigOpts) -> None:
    assert "not enough free huge pages for 18 MiB" in str(
        capability_check.missing(Hardware(page_size="large"), ram_mb=18, arch="x86_64", conf=conf))


def test_firmware_of_another_architecture_is_none(host: Path, conf: cfg.ConfigOpts) -> None:
    assert capability_check.missing(Hardware(firmware="uefi"), ram_mb=1, arch="aarch64", conf=conf) is not None


@dataclasses.dataclass
class Domain:
    """As libvirt has it, pinned to these CPUs."""

    name: str
    cpus: tuple[int, ...]

    def UUIDString(self) -> str:  # libvirt's name
        return self.name

    def XMLDesc(self, _flags: int) -> str:  # libvirt's name
        pinned = "".join(f"<vcpupin vcpu='{n}' cpuset='{cpu}'/>" for n, cpu in enumerate(self.cpus))
        return f"<domain><cputune>{pinned}</cputune></domain>"


@dataclasses.dataclass
class Domains:
    all: tuple[Domain, ...]

    def listAllDomains(self) -> list[Domain]:  # libvirt's name
        return list(self.all)


def choose(conn: Domains, *among: int, vcpus: int = 2) -> dict[int, int]:
    required = Hardware(cpus=CpuPolicy(dedicated=tuple(range(vcpus))))
    return dict(cpu_pinning.choose(conn, "mine", required, among=CpuSets(among, (0, 1))).cpus)


def test_the_lowest_cpus_that_no_guest_has_are_chosen() -> None:
    conn = Domains((Domain("other", (2, 4)), Domain("shared", ())))
    assert choose(conn, 2, 3, 4, 5) == {0: 3, 1: 5}


def test_a_guest_keeps_the_cpus_that_it_has() -> None:
    assert choose(Domains((Domain("mine", (5, 4)),)), 2, 3, 4, 5) == {0: 5, 1: 4}


def test_a_guest_that_was_resized_gets_others() -> None:
    assert choose(Domains((Domain("mine", (5,)),)), 2, 3, 5) == {0: 2, 1: 3}


def test_too_few_cpus_are_counted_in_the_refusal() -> None:
    with pytest.raises(cpu_sets.NoneFree, match="1 of the host's 2 dedicated CPUs are free, 2 are needed"):
        choose(Domains((Domain("other", (2,)),)), 2, 3)


@pytest.mark.parametrize("value", ["zero", "0-", "99999"])
def test_an_invalid_set_of_cpus_is_refused(conf: cfg.ConfigOpts, value: str) -> None:
    conf.set_override("cpu_dedicated_set", value, group="compute")
    with pytest.raises(ValueError, match="cpu_dedicated_set"):
        cpu_sets.refuse_absent(conf)
