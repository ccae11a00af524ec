# SPDX-License-Identifier: Apache-2.0
"""Picks the driver that [compute] driver names, so that libvirt is loaded only where it is used."""

from __future__ import annotations

from oslo_config import cfg

from nova_lite import errors
from nova_lite.compute.virt.driver import Driver
from nova_lite.compute.virt.fake.driver import FakeDriver


def make(conf: cfg.ConfigOpts) -> Driver:
    """The driver, not yet connected.

    :raises errors.NovaLiteError: libvirt's Python package is needed and not installed.
    """
    if conf.compute.driver == "fake":
        return FakeDriver(conf)
    try:
        from nova_lite.compute.virt.libvirt.driver import LibvirtDriver  # noqa: PLC0415 - needs the C library
    except ModuleNotFoundError as error:
        if error.name != "libvirt":
            raise
        raise errors.NovaLiteError("[compute] driver is libvirt, and the Python package libvirt-python is not installed: "
                                   "pip install 'nova_lite[libvirt]'") from error
    return LibvirtDriver(conf)
