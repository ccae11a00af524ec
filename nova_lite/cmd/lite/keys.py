# SPDX-License-Identifier: Apache-2.0
"""`nova-lite keys rotate`: a new primary key for tokens; running daemons notice."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cmd import settings
from nova_lite.runtime import tokens


def add_to(subcommands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    parser = subcommands.add_parser("keys", help="rotate the keys of tokens")
    parser.add_argument("what", choices=["rotate"])
    settings.add_to(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Rotate once; tokens made with the key before stay good."""
    repository = tokens.KeyRepository(tokens.directory_of(settings.load(arguments)))
    repository.create()
    print(f"Primary key is now number {repository.rotate()} in {repository.directory}")
    return 0
