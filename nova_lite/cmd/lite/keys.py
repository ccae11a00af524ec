# SPDX-License-Identifier: Apache-2.0
"""`nova-lite keys`: new keys for the tokens of the built-in identity, and those of messages between daemons."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
from pathlib import Path
from typing import Any

from nova_lite import errors
from nova_lite.cmd import settings
from nova_lite.rpc import signing
from nova_lite.runtime import tokens


def add_to(subcommands: Any) -> None:  # argparse keeps the type to itself
    parser = settings.add_command(
        subcommands, "keys", run, summary="rotate the keys that sign tokens, or make the key that signs messages between daemons",
        examples=["nova-lite keys rotate", "nova-lite keys rotate --config-file /etc/nova/nova.conf",
                  "nova-lite keys rpc --config-file /etc/nova/nova.conf", "nova-lite keys rpc --config-file /etc/nova/nova.conf --host compute1"],
        statuses=("0  rotate: new tokens are signed with the new key; tokens signed with the one before stay valid. rpc: the secret is there",
                  settings.FAILED))
    parser.add_argument("action", choices=["rotate", "rpc"], help=(
        "rotate: make a new primary key; no more often than [identity] token_expiration. rpc: make the secret unless it is there"))
    parser.add_argument("--host", metavar="NAME", help="rpc: print the key of this host ([DEFAULT] host there), for its secret_file")


def run(arguments: argparse.Namespace) -> int:
    """Carry out the action; both may be repeated."""
    return _rotate(arguments) if arguments.action == "rotate" else _rpc(arguments)


def _rotate(arguments: argparse.Namespace) -> int:
    repository = tokens.KeyRepository(tokens.directory_of(settings.load(arguments)))
    repository.create()
    print(f"Primary key is now number {repository.rotate()} in {repository.directory}")
    return 0


def _rpc(arguments: argparse.Namespace) -> int:
    """:raises errors.WrongKeyFile: there is none configured, or it has the key of one host only."""
    conf = settings.load(arguments)
    path = Path(conf.rpc.secret_file)
    if not conf.rpc.secret_file:
        raise errors.WrongKeyFile(path="", reason="[rpc] secret_file is not set")
    with contextlib.suppress(FileExistsError), os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{secrets.token_hex(32)}\n")
    host, key = signing.read_key(path)
    if not arguments.host:
        print(f"{path} has {f'the key of host {host}' if host else 'the secret of the cloud'}")
        return 0
    if host:
        raise errors.WrongKeyFile(path=path, reason=f"it has the key of host {host}, and keys of hosts are made from the cloud's secret")
    print(f"{arguments.host}:{signing.host_key(key, arguments.host).hex()}")
    return 0
