# SPDX-License-Identifier: Apache-2.0
"""nova-lite: the operator's command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import sqlalchemy as sa
from oslo_config import cfg

import nova_lite
from nova_lite import errors
from nova_lite.cmd import settings
from nova_lite.cmd.lite import audit, backup, db, doctor, down, keys, policy, up
from nova_lite.cmd.terminal import printable

COMMANDS = (up, down, doctor, audit, backup, db, keys, policy)
_EXAMPLES = (
    "nova-lite up                          start a cloud on this machine, as root, with libvirt",
    "nova-lite up --fake --state /tmp/c    start one with simulated guests, as any user",
    "nova-lite doctor                      check what this machine lacks",
    "nova-lite audit                       find leftovers and disagreements in the cloud",
    "nova-lite COMMAND --help              arguments and examples of one command",
)
_STATUSES = ("0  done", "1  it failed, and the last line on stderr says why; doctor, audit: something was found",
             settings.INVALID)


def main() -> None:
    """Run the subcommand of the command line and exit with its status."""
    sys.exit(execute(sys.argv[1:]))


def execute(argv: Sequence[str]) -> int:
    """The exit status of one command; what an operator can put right is one line on stderr instead of a traceback."""
    arguments = parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except (cfg.Error, sa.exc.ArgumentError) as error:
        return _fail(2, str(error))
    except BrokenPipeError:  # `nova-lite policy | head`: nobody reads on, and the interpreter would flush once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except sa.exc.OperationalError as error:
        return _fail(1, f"database: {str(error.orig).strip().splitlines()[0]}")
    except errors.NovaLiteError as error:
        return _fail(1, error.text)
    except OSError as error:
        return _fail(1, str(error))
    except KeyboardInterrupt:
        return 130  # as of a process that SIGINT ended


def parser() -> argparse.ArgumentParser:
    """The command line; each module of COMMANDS adds its own part."""
    top = argparse.ArgumentParser(
        prog="nova-lite", description="Run and look after a nova_lite cloud.", epilog=settings.epilog(_EXAMPLES, _STATUSES),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--version", action="version", version=f"nova_lite {nova_lite.__version__}")
    subcommands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_to(subcommands)
    return top


def _fail(status: int, reason: str) -> int:
    print(f"nova-lite: {printable(reason)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
