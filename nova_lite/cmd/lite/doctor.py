# SPDX-License-Identifier: Apache-2.0
"""`nova-lite doctor`: what this machine can and cannot do for the cloud, each with the reason and the remedy."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from oslo_config import cfg

from nova_lite.cmd import settings
from nova_lite.cmd.lite import cloud_file
from nova_lite.cmd.lite.diagnosis import cloud, machine
from nova_lite.cmd.lite.diagnosis.finding import Check, Finding, Result

# In the order in which a machine is made ready: what is further down needs what is further up.
CHECKS: tuple[Check, ...] = (
    Check("root", machine.check_root),
    Check("programs", machine.check_programs),
    Check("clock", machine.check_clock),
    Check("disk space", machine.check_disk_space),
    Check("state directory", machine.check_state_directory),
    Check("namespaces", machine.check_namespaces),
    Check("packet filter", machine.check_packet_filter),
    Check("bridge filter", machine.check_bridge_filter),
    Check("KVM", machine.check_kvm),
    Check("libvirt", machine.check_libvirt),
    Check("port", cloud.check_port),
    Check("database", cloud.check_database),
    Check("API", cloud.check_api),
    Check("services", cloud.check_services),
)
_COLOURS = {Result.OK: "32", Result.NOTE: "33", Result.PROBLEM: "31"}
_WIDTH = 110


def add_to(subcommands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    parser = subcommands.add_parser("doctor", help="check this machine and the cloud on it; names remedies")
    settings.add_to(parser)
    parser.add_argument("--port", type=int, help="port of the API (default: the running cloud's, else nova.conf's)")
    parser.add_argument("-f", "--format", choices=["table", "json"], default="table", help="default: table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; 1 if anything is a problem."""
    conf = settings.load(arguments)
    find_api(conf, port=arguments.port)
    found = list(examine(conf))
    if arguments.format == "json":
        print(json.dumps([finding.as_dict() for finding in found], indent=2))
    else:
        print("\n".join(table(found, is_coloured=sys.stdout.isatty())))
    return int(any(finding.result is Result.PROBLEM for finding in found))


def find_api(conf: cfg.ConfigOpts, *, port: int | None) -> None:
    """Have `conf` name the port that is meant: the one given, else that of the cloud on the state directory."""
    if port is None:
        try:
            with open(cloud_file.path(conf)) as file:
                port = urlsplit(json.load(file)["clouds"][cloud_file.CLOUD]["auth"]["auth_url"]).port
        except (OSError, ValueError, KeyError, TypeError):
            return
    if port is not None:
        conf.set_override("port", port, group="api")


def examine(conf: cfg.ConfigOpts, *, skip: tuple[str, ...] = ()) -> Iterator[Finding]:
    """Do the checks one after the other; one that breaks is a problem, not the end."""
    for check in CHECKS:
        if check.name not in skip:
            yield _do(check.name, check.look, conf)


def _do(name: str, look: Callable[[cfg.ConfigOpts], Finding], conf: cfg.ConfigOpts) -> Finding:
    try:
        return look(conf).named(name)
    except Exception as error:  # noqa: BLE001 - a doctor must not die of what he finds
        return Finding(Result.PROBLEM, f"the check itself failed: {type(error).__name__}: {error}",
                       "report this with the text above").named(name)


def table(found: list[Finding], *, is_coloured: bool) -> list[str]:
    """Lines of `result  check  reason`, remedies below their reason, and the sum."""
    name_width = max(len(finding.name) for finding in found)
    lines = []
    for finding in found:
        word = f"{finding.result:<7}"
        shown = f"\033[{_COLOURS[finding.result]}m{word}\033[0m" if is_coloured else word
        indent = " " * (len(word) + name_width + 4)
        said = textwrap.wrap(finding.reason, _WIDTH - len(indent)) or [""]
        lines.append(f"{shown}  {finding.name:<{name_width}}  {said[0]}")
        lines += [indent + line for line in said[1:]]
        if finding.remedy:
            lines += [indent + line for line in textwrap.wrap(f"remedy: {finding.remedy}", _WIDTH - len(indent))]
    counts = {result: sum(finding.result is result for finding in found) for result in Result}
    lines.append(f"on {os.uname().nodename}: {counts[Result.OK]} ok, {_counted(counts[Result.NOTE], 'note')}, "
                 f"{_counted(counts[Result.PROBLEM], 'problem')}")
    return lines


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
