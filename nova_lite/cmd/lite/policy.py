# SPDX-License-Identifier: Apache-2.0
"""`nova-lite policy`: every rule that policy.yaml may override, with its default and the requests that it guards."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from nova_lite.api.policies import list_rules
from nova_lite.api.services import SERVICES
from nova_lite.cmd import settings


def add_to(subcommands: Any) -> None:  # argparse keeps the type to itself
    parser = settings.add_command(
        subcommands, "policy", run, summary="print the rules that policy.yaml may override, with their defaults", reads_conf=False,
        examples=["nova-lite policy --service network", "nova-lite policy -f yaml > /etc/nova/policy.yaml"], statuses=("0  printed", settings.FAILED))
    parser.add_argument("-f", "--format", choices=["table", "json", "yaml"], default="table",
                        help="yaml: a policy.yaml with every line commented out (default: table)")
    parser.add_argument("--service", choices=list(SERVICES), help="only the rules of this API service (default: all)")


def run(arguments: argparse.Namespace) -> int:
    """Print the rules."""
    print(render(arguments.format, [arguments.service] if arguments.service else list(SERVICES)))
    return 0


def render(form: str, services: Sequence[str]) -> str:
    """The rules of these API services as a table, JSON or a commented policy.yaml."""
    rules = list_rules(services)
    if form == "json":
        return json.dumps({rule.name: rule.check_str for rule in rules}, indent=1)
    if form == "yaml":
        return "\n".join(line for rule in rules for line in (
            *(f"# {request['method']} {request['path']}" for request in getattr(rule, "operations", ())),
            f"#{json.dumps(rule.name)}: {json.dumps(rule.check_str)}"))
    width = max(len(rule.name) for rule in rules)
    return "\n".join(f"{rule.name:<{width}}  {rule.check_str}" for rule in rules)
