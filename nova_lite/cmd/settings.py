# SPDX-License-Identifier: Apache-2.0
"""What the operator's subcommands share: how they are declared, their common arguments, their configuration."""

from __future__ import annotations

import argparse
import os
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from oslo_config import cfg

from nova_lite import conf as options

DEFAULT_STATE = "/var/lib/nova-lite"
FAILED = "1  it failed, and the last line on stderr says why"
INVALID = "2  the command line or nova.conf is invalid"


def add_command(
    subcommands: Any, name: str, run: Callable[[argparse.Namespace], int], *,  # argparse keeps the type to itself
    summary: str, examples: Sequence[str], statuses: tuple[str, str], reads_conf: bool = True,
) -> argparse.ArgumentParser:
    """Add a subcommand whose `--help` has these examples and exit statuses.

    `statuses`: of success and of failure. `reads_conf`: it takes the arguments of `load`.
    """
    parser: argparse.ArgumentParser = subcommands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=epilog(examples, [*statuses, INVALID]),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    if reads_conf:
        parser.add_argument("--config-file", action="append", default=[], metavar="FILE", help="nova.conf to read; may be repeated")
        parser.add_argument(
            "--state", metavar="DIR", help=f"directory for all state (default: state_path of nova.conf, {DEFAULT_STATE})")
    parser.set_defaults(run=run)
    return parser


def epilog(examples: Sequence[str], statuses: Sequence[str]) -> str:
    """The end of a `--help`."""
    return "\n".join(["Examples:", *(f"  {line}" for line in examples), "", "Exit status:",
                      *(textwrap.fill(line, 120, initial_indent="  ", subsequent_indent="     ") for line in statuses)])


def argument(option_type: Callable[[str], Any]) -> Callable[[str], Any]:
    """The argparse type of an argument that sets an option: validated by the option's type, which need not be hashable."""
    def parse(text: str) -> Any:  # the option's value
        try:
            return option_type(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


def load(arguments: argparse.Namespace) -> cfg.ConfigOpts:
    """The global configuration, with `--state` on top.

    :raises oslo_config.cfg.Error: a file is missing or invalid.
    """
    conf = cfg.CONF
    files = [argument for path in arguments.config_file for argument in ("--config-file", os.path.abspath(path))]
    options.load(files, conf=conf, files=None if files else [])
    if arguments.state:
        conf.set_override("state_path", os.path.abspath(arguments.state))
    return conf
