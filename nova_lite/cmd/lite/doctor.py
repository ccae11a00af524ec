# SPDX-License-Identifier: Apache-2.0
"""`nova-lite doctor`: checks of this machine and of the cloud on it, each with its reason and the remedy."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from oslo_config import cfg

from nova_lite.cmd import settings
from nova_lite.cmd.lite import cloud_file
from nova_lite.cmd.lite.diagnosis import cloud, exposure, machine
from nova_lite.cmd.lite.diagnosis.finding import Check, Finding, Result
from nova_lite.cmd.terminal import printable

# In the order in which a machine is prepared: later checks depend on what earlier ones look at.
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
    Check("kernel", exposure.check_kernel),
    Check("configuration files", exposure.check_configuration_files),
    Check("passwords", exposure.check_passwords),
    Check("message bus", exposure.check_message_bus),
    Check("listeners", exposure.check_listeners),
    Check("TLS", exposure.check_api_exposure),
    Check("guests", exposure.check_guests),
    Check("port", cloud.check_port),
    Check("database", cloud.check_database),
    Check("API", cloud.check_api),
    Check("services", cloud.check_services),
)
_COLOURS = {Result.OK: "32", Result.NOTE: "33", Result.PROBLEM: "31"}
_WIDTH = 110


def add_to(subcommands: Any) -> None:  # argparse keeps the type to itself
    parser = settings.add_command(
        subcommands, "doctor", run, summary="check this machine and the cloud on it, and suggest remedies",
        examples=["nova-lite doctor", "nova-lite doctor --config-file /etc/nova/nova.conf -f json"],
        statuses=(
            "0  no check found a problem; there may be notes",
            "1  at least one check found a problem"))
    parser.add_argument("--port", type=int, help="port of the API (default: that of the running cloud, else of nova.conf)")
    parser.add_argument("-f", "--format", choices=["table", "json"], default="table", help="default: table")


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; 1 if one is a problem."""
    conf = settings.load(arguments)
    find_api(conf, port=arguments.port)
    findings = list(examine(conf))
    if arguments.format == "json":
        print(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        print("\n".join(table(findings, is_coloured=sys.stdout.isatty())))
    return int(any(finding.result is Result.PROBLEM for finding in findings))


def find_api(conf: cfg.ConfigOpts, *, port: int | None) -> None:
    """Set the API's port in `conf`: the given one, else that of the cloud of the state directory."""
    if port is None:
        try:
            with open(cloud_file.path(conf)) as file:
                port = urlsplit(json.load(file)["clouds"][cloud_file.CLOUD]["auth"]["auth_url"]).port
        except (OSError, ValueError, KeyError, TypeError):
            return
    if port is not None:
        conf.set_override("port", port, group="api")


def examine(conf: cfg.ConfigOpts, *, skip: tuple[str, ...] = ()) -> Iterator[Finding]:
    """Run the checks one after the other; one that raises is a problem, and the others still run."""
    for check in CHECKS:
        if check.name not in skip:
            yield _run(check, conf)


def _run(check: Check, conf: cfg.ConfigOpts) -> Finding:
    try:
        return check.run(conf).named(check.name)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the machine, the other checks must still run
        return Finding(Result.PROBLEM, f"the check itself failed: {type(error).__name__}: {error}",
                       "report this with the text above").named(check.name)


def table(findings: list[Finding], *, is_coloured: bool) -> list[str]:
    """Lines of `result  check  reason`, remedies below their reason, and the totals."""
    name_width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        result = f"{finding.result:<7}"
        shown = f"\033[{_COLOURS[finding.result]}m{result}\033[0m" if is_coloured else result
        indent = " " * (len(result) + name_width + 4)
        reason = textwrap.wrap(printable(finding.reason), _WIDTH - len(indent)) or [""]
        lines.append(f"{shown}  {finding.name:<{name_width}}  {reason[0]}")
        lines += [indent + line for line in reason[1:]]
        if finding.remedy:
            lines += [indent + line for line in textwrap.wrap(printable(f"remedy: {finding.remedy}"), _WIDTH - len(indent))]
    counts = {result: sum(finding.result is result for finding in findings) for result in Result}
    lines.append(f"on {os.uname().nodename}: {counts[Result.OK]} ok, {_counted(counts[Result.NOTE], 'note')}, "
                 f"{_counted(counts[Result.PROBLEM], 'problem')}")
    return lines


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
