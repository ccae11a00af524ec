# SPDX-License-Identifier: Apache-2.0
"""What an audit finds: disagreements between database, hosts and guests. Of each kind an answer has some, and how many more there are."""

from __future__ import annotations

import bisect
import collections
import dataclasses
from collections.abc import Iterable

from nova_lite.rpc.payload import payload

# Of each kind an answer has so many findings: the first ones by host and resource.
MOST_LISTED = 100
# So many servers and networks are in one answer of a worker.
PAGE = 1000


@payload(version=2)
class AuditFinding:
    """`kind` names the check; `resource` is the id of what is wrong, `host` where; `problem` says what disagrees.

    `repair` is what repairs it; when not `is_repairable`, what the operator can do about it. Workers leave both to the conductor.
    """

    kind: str
    resource: str
    host: str
    problem: str
    repair: str = ""
    is_repairable: bool = False


@payload(version=1)
class AuditReport:
    """Findings, MOST_LISTED of a kind at most; `omitted`: how many more of a kind there are."""

    findings: tuple[AuditFinding, ...] = ()
    omitted: dict[str, int] = dataclasses.field(default_factory=dict)


class Findings:
    """Counts findings of each kind and keeps those that an answer has, whatever order they come in."""

    def __init__(self, findings: Iterable[AuditFinding] = ()) -> None:
        self._counts = collections.Counter[str]()
        self._listed = collections.defaultdict[str, list[AuditFinding]](list)
        for finding in findings:
            self.add(finding)

    def add(self, finding: AuditFinding) -> None:
        """One more; of those with the same host and resource the first one comes first."""
        listed = self._listed[finding.kind]
        self._counts[finding.kind] += 1
        bisect.insort(listed, finding, key=_place)
        del listed[MOST_LISTED:]

    def add_omitted(self, kind: str, count: int) -> None:
        """So many more, of which nothing else is known."""
        self._counts[kind] += count

    def report(self) -> AuditReport:
        """By kind, those first that came first."""
        omitted = {kind: count - len(self._listed[kind]) for kind, count in self._counts.items()}
        return AuditReport(findings=tuple(finding for listed in self._listed.values() for finding in listed),
                           omitted={kind: count for kind, count in omitted.items() if count})


def _place(finding: AuditFinding) -> tuple[str, str]:
    return finding.host, finding.resource
