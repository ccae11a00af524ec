# SPDX-License-Identifier: Apache-2.0
"""Options shared by the operator's subcommands, turned into a configuration."""

from __future__ import annotations

import argparse
import os

from oslo_config import cfg

from nova_lite import conf as options

DEFAULT_STATE = "/var/lib/nova-lite"


def add_to(parser: argparse.ArgumentParser) -> None:
    """--config-file and --state, as every subcommand takes them."""
    parser.add_argument("--config-file", action="append", default=[], help="nova.conf to read; may be repeated")
    parser.add_argument("--state", help=f"directory for all state (default: state_path of nova.conf, {DEFAULT_STATE})")


def load(arguments: argparse.Namespace) -> cfg.ConfigOpts:
    """The global configuration, with `--state` on top."""
    conf = cfg.CONF
    files = [argument for path in arguments.config_file for argument in ("--config-file", os.path.abspath(path))]
    options.load(files, conf=conf, files=None if files else [])
    if arguments.state:
        conf.set_override("state_path", os.path.abspath(arguments.state))
    return conf
