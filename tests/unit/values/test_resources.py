# SPDX-License-Identifier: Apache-2.0
"""Resources are added, subtracted and compared as one value."""

from __future__ import annotations

import pytest

from nova_lite.values.resources import AllocationRatios, Resources

ONE = Resources(vcpus=1, ram_mb=2, disk_gb=3, pcpus=4, hugepages_mb=5)
TWO = Resources(vcpus=2, ram_mb=4, disk_gb=6, pcpus=8, hugepages_mb=10)


def test_amounts_are_added_and_subtracted_one_by_one() -> None:
    assert ONE + ONE == TWO
    assert TWO - ONE == ONE
    assert Resources(vcpus=-1, ram_mb=-2, disk_gb=-3, pcpus=-4, hugepages_mb=-5) == ONE - TWO


@pytest.mark.parametrize("name", list(ONE.amounts()))
def test_resources_fit_only_where_there_is_enough_of_each(name: str) -> None:
    less = ONE.replace(**{name: ONE.amounts()[name] - 1})
    assert ONE.fits_in(ONE)
    assert not ONE.fits_in(less)
    assert ONE.lacking_in(less) == [name]


def test_none_of_a_resource_fits_where_less_than_nothing_is_free() -> None:
    assert Resources(ram_mb=1).fits_in(Resources(ram_mb=1, pcpus=-2))


def test_the_larger_and_the_smaller_of_two_are_taken_per_resource() -> None:
    other = ONE.replace(vcpus=9, ram_mb=0)
    assert ONE.larger_of(other) == ONE.replace(vcpus=9)
    assert ONE.smaller_of(other) == ONE.replace(ram_mb=0)


def test_ratios_round_down_and_leave_dedicated_cpus_and_huge_pages() -> None:
    assert AllocationRatios(cpu=2.5, ram=1.5, disk=0.5).capacity(ONE) == ONE.replace(vcpus=2, ram_mb=3, disk_gb=1)
