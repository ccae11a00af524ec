# SPDX-License-Identifier: Apache-2.0
"""nova-lite policy: every rule that policy.yaml may override, with its default and where it is asked."""

from __future__ import annotations

import argparse
import json
from typing import Any

from nova_lite.api.services import SERVICES
from nova_lite.api.wsgi import rules as policy_rules


def add_to(subcommands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    parser = subcommands.add_parser("policy", help="print the rules that policy.yaml may override, with their defaults")
    parser.add_argument("-f", "--format", choices=["table", "json", "yaml"], default="table",
                        help="yaml: a policy.yaml with every line commented out")
    parser.add_argument("--face", choices=list(SERVICES), help="only the rules of this face")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the rules."""
    print(render(arguments.format, [arguments.face] if arguments.face else list(SERVICES)))
    return 0


def render(form: str, faces: list[str]) -> str:
    """The rules of these faces as a table, JSON or a commented policy.yaml."""
    rules = rules_of(faces)
    if form == "json":
        return json.dumps(rules, indent=1)
    if form == "yaml":
        asked = where_asked(faces)
        return "\n".join("".join(f"# {place}\n" for place in asked.get(name, ())) + f"#{json.dumps(name)}: {json.dumps(check)}"
                         for name, check in rules.items())
    width = max(map(len, rules))
    return "\n".join(f"{name:<{width}}  {check}" for name, check in rules.items())


def rules_of(faces: list[str]) -> dict[str, str]:
    """Each rule's default check."""
    return policy_rules.sample([rule for name in faces for rule in SERVICES[name].rules])


def where_asked(faces: list[str]) -> dict[str, list[str]]:
    """The routes that ask for each rule."""
    found: dict[str, list[str]] = {}
    for name in faces:
        for route in SERVICES[name].routes:
            place = f"{route.method} {route.path}" + (f" ({route.action})" if route.action else "")
            places = found.setdefault(route.policy.name, [])
            if place not in places:
                places.append(place)
    return found
