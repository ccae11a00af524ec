# SPDX-License-Identifier: Apache-2.0
"""A server's copy of its flavor: what its disks take, and the JSON that rows of release 0.1 have too."""

from __future__ import annotations

from nova_lite.values.flavor import Flavor

FLAVOR = Flavor(id="2", number=7, name="large", vcpus=2, ram_mb=256, root_gb=2, ephemeral_gb=3, swap_mb=512, extra_specs={"a": "b"})
DISKLESS = Flavor(id="3", name="diskless", vcpus=1, ram_mb=64, root_gb=0)
# As release 0.1 wrote it for a server.
OLD = {"id": "2", "number": 7, "name": "large", "vcpus": 2, "ram": 256, "disk": 2, "ephemeral": 3, "swap": 512, "extra_specs": {"a": "b"}}


def test_all_disks_are_counted_and_swap_is_rounded_up() -> None:
    assert (FLAVOR.root_disk_gb, FLAVOR.total_gb) == (2, 6)


def test_the_image_decides_on_the_root_disk_only_where_the_flavor_does_not() -> None:
    assert FLAVOR.with_image_gb(9) == FLAVOR
    assert (DISKLESS.with_image_gb(9).root_gb, DISKLESS.with_image_gb(9).total_gb) == (0, 9)


def test_a_copy_survives_its_json() -> None:
    for flavor in (FLAVOR, DISKLESS, DISKLESS.with_image_gb(9)):
        assert Flavor.from_json(flavor.to_json()) == flavor


def test_a_copy_of_release_0_1_is_read() -> None:
    assert Flavor.from_json(OLD) == FLAVOR
    assert Flavor.from_json({**OLD, "disk": 0, "root_gb": 5}).total_gb == 9


def test_release_0_1_can_read_a_copy() -> None:
    assert OLD.items() <= FLAVOR.to_json().items()
    assert FLAVOR.to_json()["root_gb"] == 2
