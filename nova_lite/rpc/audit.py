# SPDX-License-Identifier: Apache-2.0
"""What an audit finds: disagreements between database, hosts and guests."""

from __future__ import annotations

import dataclasses

from nova_lite.rpc.payload import payload


@payload(version=1)
class AuditFinding:
    """`kind` names the check; `resource` is the id of what is wrong, `host` where; `problem` says what disagrees.

    `repair` is what repairs it; when not `is_repairable`, what the operator can do about it.
    """

    kind: str
    resource: str
    host: str
    problem: str
    repair: str
    is_repairable: bool = False


@payload(version=1)
class HostAudit:
    """What a worker found on its host; `powers`: a compute worker's guests by server id, as PowerState has them.

    `is_lasting` False: what it has ends with its process, as simulated networks do; that it lacks something means nothing.
    """

    findings: tuple[AuditFinding, ...] = ()
    powers: dict[str, int] = dataclasses.field(default_factory=dict)
    is_lasting: bool = True
