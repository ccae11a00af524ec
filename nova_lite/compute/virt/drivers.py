# SPDX-License-Identifier: Apache-2.0
"""Picks the driver that [compute] driver names, so that libvirt is loaded only where it is used."""

from __future__ import annotations

from oslo_config import cfg

from nova_lite.compute.virt.driver import Driver
from nova_lite.compute.virt.fake.driver import FakeDriver


def make(conf: cfg.ConfigOpts) -> Driver:
    if conf.compute.driver == "fake":
        return FakeDriver(conf)
    from nova_lite.compute.virt.libvirt.driver import LibvirtDriver  # noqa: PLC0415 - needs the C library

    return LibvirtDriver(conf)
