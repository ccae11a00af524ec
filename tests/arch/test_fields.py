# SPDX-License-Identifier: Apache-2.0
"""What each compute route takes and answers at each microversion has the names that Nova's own tables have (nova_fields.tsv).

tests/support/api/declared_responses.py checks that handlers answer as declared, for every response of every test.
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from nova_lite.api import compute
from nova_lite.api.compute.microversions import HISTORY
from nova_lite.api.wsgi.routing import Route, routes_of
from nova_lite.api.wsgi.versions import Version, parse

VERSIONS = [parse(version) for version, _ in HISTORY]
_SINCE = re.compile(r"^(2\.\d+): (.*)$")
_MOVES = "servers are not moved between hosts yet: their lists are empty, and there is none to show"
_REFUSED = "refused, as Nova's libvirt driver refuses it"
_STRICTER = "the handler checks it, with a more precise message than a schema could give"
_READ_HERE = "named because it is read here; in Nova's schema one of any name"
# Names that differ at some microversion, and why. A fix of one removes its line.
DIFFERENT: dict[str, tuple[str, str]] = {
    "body POST /os-aggregates/{}/images": ("cache[].id", "of the items, which Nova's table leaves out"),
    "body PUT /os-quota-sets/{}": ("tenant_id", "clients send it back"),
    "body POST /os-security-group-rules": ("cidr from_port group_id ip_protocol parent_group_id to_port", _STRICTER),
    "body POST /os-security-groups": ("description name", _STRICTER),
    "body PUT /os-security-groups/{}": ("description name", _STRICTER),
    "body POST /servers": (
        " ".join(f"{word}:scheduler_hints.{name}" for word in ("os", "OS-SCH-HNT") for name in ("different_host", "group", "same_host")),
        _READ_HERE),
    "body POST /servers/{}/action migrate": ("host", "from 2.56 on, as Nova's reference says; its table has it always"),
    "query GET /limits": ("reserved", "novaclient sends it"),
    **{f"query GET /images{rest}": ("offset page_size", "accepted and ignored: images are paged by marker") for rest in ("", "/detail")},
    **{f"answer {method} /os-volumes{rest}": (
        "attachments[].device attachments[].id attachments[].serverId attachments[].volumeId", "of the items, which Nova's table leaves out")
       for method, rest in (("GET", ""), ("POST", ""), ("GET", "/detail"), ("GET", "/{}"))},
    "answer POST /servers/{}/os-volume_attachments": (
        "delete_on_termination device id serverId tag volumeId volumeAttachment " + " ".join(
            f"volumeAttachment.{name}" for name in ("delete_on_termination", "device", "id", "serverId", "tag", "volumeId")),
        "within volumeAttachment, which Nova's table leaves out"),
    **{f"answer {method} /servers/{{}}/shares{rest}": ("export_location share_id status tag uuid", "no shared file systems here")
       for method, rest in (("GET", ""), ("POST", ""), ("GET", "/{}"))},
    **{f"answer GET /servers/{{}}/migrations{rest}": (
        "created_at dest_compute dest_host dest_node disk_processed_bytes disk_remaining_bytes disk_total_bytes id "
        "memory_processed_bytes memory_remaining_bytes memory_total_bytes project_id server_uuid source_compute source_node status "
        "updated_at user_id uuid", _MOVES) for rest in ("", "/{}")},
    "answer GET /os-migrations": ("links", "of live migrations only: " + _MOVES),
    "answer POST /servers/{}/action evacuate": ("adminPass", _MOVES),
    **{f"answer GET /os-baremetal-nodes{rest}": (
        f"cpus disk_gb host id {more}interfaces interfaces[].address memory_mb task_state", "there is no Ironic: none, and 404")
       for rest, more in (("", ""), ("/{}", "instance_uuid "))},
    "answer PUT /os-hosts/{}": ("maintenance_mode", _REFUSED),
    **{f"answer GET /os-hosts/{{}}/{word}": ("host power_action", _REFUSED) for word in ("reboot", "shutdown", "startup")},
    **{f"answer GET /os-hypervisors/{rest}": ("disk_available_least", "gone at 2.88, as Nova's handler leaves it out then")
       for rest in ("detail", "{}")},
    "answer POST /servers/{}/action os-getSPICEConsole": ("type url", "this cloud has no SPICE consoles"),
    "answer GET /os-console-auth-tokens/{}": (
        "host instance_uuid internal_access_path port", "before 2.31 of RDP consoles only, which this cloud does not have"),
    "answer GET /os-hypervisors/{}/uptime": ("servers servers[].name servers[].uuid", "Nova's table has it; no parameter requests it"),
    "answer PUT /os-services/{}": (
        "binary disabled_reason forced_down host service service.binary service.disabled_reason service.forced_down service.host "
        "service.status status", "before 2.53 the same names, by the table one level lower"),
    "answer GET /servers": ("servers[].name servers[].status", "from 2.69 on the table is of servers in a cell that is down"),
}


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of nova_fields.tsv."""

    method: str
    path: str
    action: str
    body_key: str
    body: str
    query: str
    answer_key: str
    answer: str

    @property
    def name(self) -> str:
        return f"{self.method} {self.path} {self.action}".rstrip()


LINES = [Line(*line.split("\t")) for line in Path(__file__).with_name("nova_fields.tsv").read_text().splitlines()
         if not line.startswith("#")]


def _routes_by_name() -> dict[str, list[Route]]:
    by_name = defaultdict(list)
    for route in routes_of(compute.RESOURCES):
        by_name[f"{route.method} {re.sub('{[^}]*}', '{}', route.path)} {route.action or ''}".rstrip()].append(route)
    return by_name


ROUTES = _routes_by_name()


@pytest.mark.parametrize("line", LINES, ids=[line.name for line in LINES])
def test_a_route_takes_what_novas_takes(line: Line) -> None:
    _compare("body", line, line.body)
    _compare("query", line, line.query)


@pytest.mark.parametrize("line", [line for line in LINES if line.answer], ids=[line.name for line in LINES if line.answer])
def test_a_route_answers_with_what_novas_answers(line: Line) -> None:
    _compare("answer", line, line.answer)


def test_each_difference_is_of_a_line() -> None:
    assert set(DIFFERENT) <= {f"{what} {line.name}" for what in ("body", "query", "answer") for line in LINES}


def _compare(what: str, line: Line, cell: str) -> None:
    theirs, differing = _by_version(cell), set()
    null_body = {line.action}  # how Nova's tables write that an action's body is null
    for version in VERSIONS:
        route = next((one for one in ROUTES[line.name] if one.versions.holds(version)), None)
        ours = None if route is None else _ours(what, route, line, version)
        if ours is not None:
            differing |= ours ^ (theirs[version] - null_body)
    assert differing == set(DIFFERENT.get(f"{what} {line.name}", ("",))[0].split())


def _by_version(cell: str) -> dict[Version, set[str]]:
    """The names at each version, read from `a, b; 2.5: +c, -a`. Names that are patterns stand for any, and are left out."""
    changes: dict[Version, str] = {}
    for part in cell.split("; "):
        since = _SINCE.match(part)
        changes[parse(since[1]) if since else VERSIONS[0]] = since[2] if since else part
    current: set[str] = set()
    names = {}
    for version in VERSIONS:
        for change in changes.get(version, "").split(", "):
            (current.discard if change.startswith("-") else current.add)(change.lstrip("+-"))
        names[version] = {name for name in current if name and "/" not in name and "}" not in name and not name.endswith("_links")}
    return names


def _ours(what: str, route: Route, line: Line, version: Version) -> set[str] | None:
    """None: nothing is declared of it, since unknown parameters are ignored."""
    if what == "query":
        declared = route.query_for(version)
        return None if declared is None else set(_names(declared))
    schema, key = ((route.schema_for(version), line.action or line.body_key) if what == "body"
                   else (route.response_for(version), line.answer_key))
    names = set(_names(schema or {}))
    if line.name in ("GET /servers", "GET /servers/detail") and version < parse("2.69"):
        key = "servers[]"  # until then the table has it without
    if key:
        names = {name.removeprefix(f"{key}.") for name in names if name.startswith(f"{key}.")}
    # Nova's tables do not list what is inside of these.
    inside = ("links[].",) if what == "body" else ("links[].", "fixed_ips[].")
    return {name for name in names if not name.endswith("_links") and not any(word in name for word in inside)}


def _names(schema: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """`a`, `a.b`, `a[].b` of the schema's properties."""
    for choice in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(choice, ()):
            yield from _names(one, prefix)
    for name, one in schema.get("properties", {}).items():
        yield prefix + name
        yield from _names(one, f"{prefix}{name}.")
    if isinstance(schema.get("items"), Mapping):
        yield from _names(schema["items"], f"{prefix.removesuffix('.')}[].")
