# SPDX-License-Identifier: Apache-2.0
"""`nova-lite keys rotate`: a new primary key for the tokens of the built-in identity."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cmd import settings
from nova_lite.runtime import tokens


def add_to(subcommands: Any) -> None:  # argparse keeps the type to itself
    parser = settings.add_command(
        subcommands, "keys", run, summary="rotate the keys that sign tokens",
        examples=["nova-lite keys rotate", "nova-lite keys rotate --config-file /etc/nova/nova.conf"],
        statuses=("0  new tokens are signed with the new key; tokens signed with the one before stay valid", settings.FAILED))
    parser.add_argument("action", choices=["rotate"], help="make a new primary key; no more often than [identity] token_expiration")


def run(arguments: argparse.Namespace) -> int:
    """Rotate once; tokens signed with the previous key stay valid."""
    repository = tokens.KeyRepository(tokens.directory_of(settings.load(arguments)))
    repository.create()
    print(f"Primary key is now number {repository.rotate()} in {repository.directory}")
    return 0
