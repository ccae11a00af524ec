# SPDX-License-Identifier: Apache-2.0
"""Every option of nova_lite: one module is one section of nova.conf."""

from __future__ import annotations

import copy

from oslo_config import cfg
from oslo_log import log as logging
from oslo_policy import opts as oslo_policy

import nova_lite
from nova_lite.conf import (
    api,
    backend_defaults,
    compute,
    conductor,
    console,
    consoleauth,
    database,
    default,
    identity,
    image,
    keystone,
    libvirt,
    network,
    notifications,
    quota,
    rpc,
    scheduler,
    serial_console,
    vnc,
    volume,
)

SECTIONS = (
    default, api, database, conductor, scheduler, compute, libvirt, network, volume, backend_defaults, notifications, image, identity, keystone, quota, rpc, console,
    consoleauth, serial_console, vnc,
)


def register(conf: cfg.ConfigOpts) -> None:
    """Register all options on `conf`; harmless when done again."""
    oslo_policy.set_defaults(conf)  # [oslo_policy] policy_file
    for section in SECTIONS:
        # oslo.config would make a second section of the name if DEFAULT were given
        conf.register_opts(section.OPTIONS, group=None if section.GROUP == "DEFAULT" else section.GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """The options by section, for oslo.config's generators: the entry point `oslo.config.opts`."""
    return [(section.GROUP, list(section.OPTIONS)) for section in SECTIONS]


def load(
    args: list[str], *, conf: cfg.ConfigOpts | None = None, files: list[str] | None = None, description: str = "", epilog: str = "",
) -> cfg.ConfigOpts:
    """Options from the command line `args` and configuration files (default: nova.conf where oslo looks).

    `description` and `epilog` stand above and below the arguments in `--help`.

    :raises oslo_config.cfg.Error: an unknown argument, an unreadable file, or an invalid value of an option.
    """
    conf = cfg.ConfigOpts() if conf is None else conf  # an empty ConfigOpts is false
    register(conf)
    if "debug" not in conf:
        logging.register_options(conf)
    conf(args, project="nova", version=f"nova_lite {nova_lite.__version__}", default_config_files=files,
         description=description, epilog=epilog)
    for name in conf.enabled_backends:
        register_backend(conf, name)
    _validate(conf)
    return conf


def register_backend(conf: cfg.ConfigOpts, name: str) -> None:
    """Register the options of a volume backend's section; harmless when done again."""
    conf.register_opts([_unset(option) for option in backend_defaults.OPTIONS], group=name)


def _unset(option: cfg.Opt) -> cfg.Opt:
    """The same option without a default: None says that the section does not set it."""
    unset = copy.copy(option)
    unset.default = None
    return unset


def _validate(conf: cfg.ConfigOpts) -> None:
    """Read every option: oslo.config converts a value only when it is read, and an invalid one must not surface in a running daemon."""
    for section in SECTIONS:
        group = conf if section.GROUP == "DEFAULT" else conf[section.GROUP]
        for option in section.OPTIONS:
            group[option.dest]
    for name in conf.enabled_backends:
        for option in backend_defaults.OPTIONS:
            conf[name][option.dest]
