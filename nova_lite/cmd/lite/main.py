# SPDX-License-Identifier: Apache-2.0
"""nova-lite: the operator's command."""

from __future__ import annotations

import argparse
import sys

from nova_lite.cmd.lite import db, doctor, down, keys, policy, up

COMMANDS = (up, down, doctor, db, keys, policy)


def main() -> None:
    """Run the subcommand; each module of COMMANDS adds its own and says what it does."""
    parser = argparse.ArgumentParser(prog="nova-lite", description="Run and look after a nova_lite cloud.")
    subcommands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_to(subcommands)
    arguments = parser.parse_args()
    sys.exit(arguments.run(arguments) or 0)


if __name__ == "__main__":
    main()
