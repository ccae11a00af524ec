# SPDX-License-Identifier: Apache-2.0
"""`nova-lite audit`: finds leftovers and disagreements between the database, hosts and guests, and has them repaired."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import itertools
import json
import textwrap
import time
from collections.abc import Callable, Sequence
from typing import Any

from oslo_config import types

from nova_lite.cmd import settings
from nova_lite.cmd.lite import doctor
from nova_lite.cmd.lite.admin_api import AdminApi
from nova_lite.cmd.terminal import printable

# What reconcilers request of hosts is done within so long, as a rule in a second.
REPAIR_S = 60.0
_POLL_S = 1.0
FOUND, REPAIRED, REMAINS = "found", "repaired", "remains"
Finding = dict[str, Any]  # as the API has it, and `result`
_COLUMNS = {"result": 8, "kind": 21, "resource": 36, "host": 16, "problem": 48, "repair": 48}


def add_to(subcommands: Any) -> None:  # argparse keeps the type to itself
    parser = settings.add_command(
        subcommands, "audit", run, summary="find leftovers and disagreements between the database, hosts and guests",
        examples=["nova-lite audit", "nova-lite audit --config-file /etc/nova/nova.conf -f json", "nova-lite audit --os-cloud production --repair"],
        statuses=("0  nothing was found, or all of it is repaired",
                  "1  something was found, or remains with --repair; or the audit failed, and the last line on stderr says why"))
    parser.add_argument("--repair", action="store_true", help="run all reconcilers now, and wait until what they can repair is repaired")
    parser.add_argument("--settled", type=settings.argument(types.Integer(min=0, max=999_999)), default=60, metavar="SECONDS",
                        help="leave out what changed within so many seconds (default: 60); 0 in a cloud at rest")
    parser.add_argument("--os-cloud", metavar="NAME", help=(
        "cloud of clouds.yaml whose admin it is (default: OS_CLOUD, else the OS_ variables, else the cloud of nova.conf)"))
    parser.add_argument("--port", type=int, help="port of the API (default: that of the running cloud, else of nova.conf)")
    parser.add_argument("-f", "--format", choices=["table", "json"], default="table", help="default: table")


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; 1 if one is not repaired."""
    conf = settings.load(arguments)
    doctor.find_api(conf, port=arguments.port)
    api = AdminApi(conf, cloud=arguments.os_cloud)
    found = look(api, settled_s=arguments.settled)
    if arguments.repair:
        found = repair(api, found, settled_s=arguments.settled)
    shown = {"findings": found.findings, "omitted": found.omitted}
    print(json.dumps(shown, indent=2) if arguments.format == "json" else "\n".join(table(found)))
    return int(any(one["result"] != REPAIRED for one in (*found.findings, *found.omitted)))


@dataclasses.dataclass(frozen=True)
class Report:
    """Findings, and counts of those of each kind that are not listed; each with its `result`."""

    findings: Sequence[Finding]
    omitted: Sequence[Finding] = ()


def look(api: AdminApi, *, settled_s: int) -> Report:
    """What the cloud finds now."""
    answer = api.request("GET", f"/os-audit?settled={settled_s}")
    return Report(**{name: [{"result": FOUND, **one} for one in answer[name]] for name in ("findings", "omitted")})


def repair(
    api: AdminApi, found: Report, *, settled_s: int, monotonic: Callable[[], float] = time.monotonic, wait: Callable[[float], None] = time.sleep,
) -> Report:
    """Have repaired what can be; the findings with what became of each, and those that came since."""
    left = found
    if any(finding["is_repairable"] for finding in found.findings):
        api.request("POST", "/os-audit/repair")
        deadline = monotonic() + REPAIR_S
        while True:
            left = look(api, settled_s=settled_s)
            if not any(finding["is_repairable"] for finding in left.findings) or monotonic() > deadline:
                break
            wait(_POLL_S)
    return _compared(found, left)


def _compared(found: Report, left: Report) -> Report:
    """What became of each. One that is no longer listed is repaired, unless it may be among those of its kind that are left and not listed."""
    remaining, known = {_key(finding) for finding in left.findings}, {_key(finding) for finding in found.findings}
    unlisted = {one["kind"]: one["count"] for one in left.omitted}
    before = [{**finding, "result": REMAINS if _key(finding) in remaining else REPAIRED} for finding in found.findings
              if _key(finding) in remaining or finding["kind"] not in unlisted]
    listed = [*before, *(finding for finding in left.findings if _key(finding) not in known)]
    omitted = [{**one, "result": REMAINS if any(one["kind"] == finding["kind"] for finding in found.findings) else FOUND} for one in left.omitted]
    for kind, count in _totals(found).items():
        repaired = count - _totals(left)[kind] - sum(one["kind"] == kind and one["result"] == REPAIRED for one in before)
        if repaired > 0:
            omitted.append({"kind": kind, "count": repaired, "result": REPAIRED})
    return Report(listed, omitted)


def _totals(report: Report) -> collections.Counter[str]:
    """Findings by kind, listed or not."""
    totals = collections.Counter(finding["kind"] for finding in report.findings)
    totals.update({one["kind"]: one["count"] for one in report.omitted})
    return totals


def _key(finding: Finding) -> tuple[str, str, str]:
    return finding["kind"], finding["resource"], finding["host"]


def table(found: Report) -> list[str]:
    """A row for each finding, cells wrapped, how many more of a kind there are, and the totals."""
    lines = []
    if found.findings:
        lines += [_line({name: name for name in _COLUMNS}), _line({name: "-" * width for name, width in _COLUMNS.items()})]
    for finding in found.findings:
        advice = ("" if finding["is_repairable"] else "by hand: ") + finding["repair"]
        cells = {name: textwrap.wrap(printable(advice if name == "repair" else finding[name]), width) for name, width in _COLUMNS.items()}
        lines += [_line(dict(zip(cells, row, strict=True))) for row in itertools.zip_longest(*cells.values(), fillvalue="")]
    lines += [_line({**dict.fromkeys(_COLUMNS, ""), "result": one["result"], "kind": printable(one["kind"]), "resource": f"{one['count']} more, not listed"})
              for one in found.omitted]
    counts = {result: sum(one.get("count", 1) for one in (*found.findings, *found.omitted) if one["result"] == result)
              for result in (FOUND, REPAIRED, REMAINS)}
    lines.append(", ".join(f"{count} {result}" for result, count in counts.items() if count) or "nothing found")
    return lines


def _line(cells: dict[str, str]) -> str:
    return "  ".join(f"{cells[name]:<{width}}" for name, width in _COLUMNS.items()).rstrip()
