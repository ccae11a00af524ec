# SPDX-License-Identifier: Apache-2.0
"""What one look at the cloud finds: all of it is counted, and as much is kept as an answer has and the next look is compared with."""

from __future__ import annotations

import collections
import threading

from nova_lite.rpc.audit import AuditFinding, AuditReport, Findings

# Of so many findings of a kind it is known which ones they were. Of more than that the next look counts those too that are new.
MOST_COMPARED = 20_000


class Look:
    """Safe for threads. `first`: the look before, which has seen what counts in this one; what only one has seen was about to change."""

    def __init__(self, first: Look | None = None) -> None:
        self._first = first
        self._lock = threading.Lock()
        self._findings = Findings()
        self._seen = collections.defaultdict[str, set[int]](set)  # hashes by kind: a set of findings would be ten times as large
        self._partly_seen = set[str]()

    def add(self, finding: AuditFinding) -> None:
        """One more, if the first look has it too."""
        kind, key = finding.kind, hash((finding.resource, finding.host))
        if self._first is not None and not self._first.has_seen(kind, key):
            return
        with self._lock:
            self._findings.add(finding)
            seen = self._seen[kind]
            if len(seen) < MOST_COMPARED:
                seen.add(key)
            elif key not in seen:
                self._partly_seen.add(kind)

    def add_report(self, report: AuditReport) -> None:
        """What a worker has found."""
        for finding in report.findings:
            self.add(finding)
        for kind, count in report.omitted.items():
            if self._first is None or self._first.has_seen(kind, 0):
                with self._lock:
                    self._partly_seen.add(kind)
                    self._findings.add_omitted(kind, count)

    def has_seen(self, kind: str, key: int) -> bool:
        """Whether this look found that, or may have."""
        with self._lock:
            return kind in self._partly_seen or key in self._seen[kind]

    def report(self) -> AuditReport:
        """What it has found until now."""
        with self._lock:
            return self._findings.report()
