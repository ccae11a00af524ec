# SPDX-License-Identifier: Apache-2.0
"""The domain XML, compared with reviewed files: change them on purpose only, with NOVA_LITE_WRITE_GOLDEN=1."""

from __future__ import annotations

import dataclasses
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from nova_lite.compute.virt.libvirt.xml.domain import NAMESPACE, Disk, Machine, domain_xml, owner_of
from nova_lite.rpc.compute import Guest, Image, Nic
from nova_lite.values import guest_disk

GOLDEN = Path(__file__).parent / "golden"
SERVER = "6c9b1a52-0000-4000-8000-000000000001"
TCG = Machine(
    owner="node1:/instances", virt_type="qemu", arch="x86_64", machine="pc", emulator="/usr/bin/qemu-system-x86_64",
    tb_cache_mb=32,
)
ROOT = Disk(path=Path(f"/instances/{SERVER}/disk"), format="qcow2", serial="root", backing=Path("/instances/_base/0123"))
CONFIG = Disk(path=Path(f"/instances/{SERVER}/disk.config"), format="raw", serial="config-2", is_readonly=True)
SWAP = Disk(path=Path(f"/instances/{SERVER}/disk.swap"), format="raw", serial="swap0")
GUEST = Guest(
    server_id=SERVER, host="node1", instance_name="instance-00000001", display_name="web <1> & more",
    hostname="web", vcpus=2, ram_mb=512, disks=guest_disk.of_flavor(root_gb=1, ephemeral_gb=0, swap_mb=0),
    image=Image(id="i", disk_format="qcow2", size=1, hash_algo="sha512", checksum="", url="", token="", properties={}),
    nics=(Nic(port_id="p", mac="fa:16:3e:00:00:01", tap="tap01234567-89", bridge="br-01234567-89", mtu=1450),),
    config_drive=True, documents={}, extra_specs={}, project_id="project", user_id="user",
)
CASES = {
    "tcg": (GUEST, TCG, (ROOT, CONFIG)),
    "kvm": (GUEST, dataclasses.replace(TCG, virt_type="kvm"), (ROOT, CONFIG)),
    "aarch64": (
        GUEST,
        dataclasses.replace(TCG, arch="aarch64", machine="virt", emulator="/usr/bin/qemu-system-aarch64"),
        (ROOT,),
    ),
    "bare": (dataclasses.replace(GUEST, nics=()), TCG, (ROOT, SWAP)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_description_is_the_reviewed_one(name: str) -> None:
    guest, machine, disks = CASES[name]
    text = domain_xml(guest, machine, disks=disks, console_log=Path(f"/instances/{SERVER}/console.log"),
                      serial_socket=Path(f"/instances/{SERVER}/serial.sock"))
    golden = GOLDEN / f"{name}.xml"
    if os.environ.get("NOVA_LITE_WRITE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


def test_an_image_may_name_its_machine_type() -> None:
    image = dataclasses.replace(GUEST.image, properties={"hw_machine_type": "q35"})
    text = domain_xml(dataclasses.replace(GUEST, image=image), TCG, disks=(ROOT,), console_log=Path("/c"))
    kind = ET.fromstring(text).find("os/type")
    assert kind is not None
    assert kind.get("machine") == "q35"


def test_serials_are_cut_as_virtio_cuts_them() -> None:
    disk = dataclasses.replace(ROOT, serial="0123456789012345678901234")
    text = domain_xml(GUEST, TCG, disks=(disk,), console_log=Path("/c"))
    assert ET.fromstring(text).findtext("devices/disk/serial") == "01234567890123456789"


def test_the_owner_is_read_back_from_the_metadata() -> None:
    text = domain_xml(GUEST, TCG, disks=(ROOT,), console_log=Path("/c"))
    element = ET.fromstring(text).find(f"metadata/{{{NAMESPACE}}}server")
    assert element is not None
    assert owner_of(ET.tostring(element, encoding="unicode")) == "node1:/instances"
