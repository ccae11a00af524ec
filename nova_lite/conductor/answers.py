# SPDX-License-Identifier: Apache-2.0
"""What workers answer about what they have, checked before the conductor uses it: a host that was taken over answers what it likes."""

from __future__ import annotations

import collections
import re
from collections.abc import Collection, Iterable, Iterator

from nova_lite import errors
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.audit import MOST_LISTED, PAGE, AuditReport
from nova_lite.rpc.compute import GuestAudit, OwnedGuests
from nova_lite.rpc.network import NetworkAudit, OwnedNetworks

# Servers, networks and floating addresses of one host.
MOST_OWNED = 30_000
_MOST_LETTERS = 500
_MOST_OMITTED = 1_000_000
_MOST_REVISION = 2**63 - 1
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ADDRESS = re.compile(r"[0-9A-Fa-f.:]{1,45}")
_POWERS = frozenset(map(int, Power))


def check_ids(ids: object, *, most: int) -> None:
    """:raises errors.Unavailable: they are not UUIDs, or more than so many."""
    _refuse(_of_ids(ids, most))


def check_owned(owned: OwnedGuests | OwnedNetworks) -> None:
    """:raises errors.Unavailable: no worker has that."""
    _refuse(_of_owned(owned))


def check_page(page: GuestAudit | NetworkAudit, *, agent: str, after: str, kinds: Collection[str]) -> None:
    """Of what the worker `agent` has after that id; `kinds` are those that it may find on its host.

    :raises errors.Unavailable: no worker answers that.
    """
    _refuse(_of_page(page, after))
    if not after:
        _refuse(_of_report(page.found, agent, kinds))


def _refuse(problems: Iterator[str]) -> None:
    """Nothing of the answer is repeated in the text."""
    for problem in problems:
        raise errors.Unavailable(reason=f"its answer is refused: {problem}")


def _of_ids(ids: object, most: int) -> Iterator[str]:
    if not isinstance(ids, tuple) or len(ids) > most:
        yield f"it has more than {most} ids"
    elif not all(isinstance(one, str) and _ID.fullmatch(one) for one in ids):
        yield "what should be an id is none"


def _of_owned(owned: OwnedGuests | OwnedNetworks) -> Iterator[str]:
    yield from _of_ids(owned.server_ids, MOST_OWNED)
    if isinstance(owned, OwnedNetworks):
        yield from _of_ids(owned.network_ids, MOST_OWNED)
        yield from _of_floating(owned)


def _of_page(page: GuestAudit | NetworkAudit, after: str) -> Iterator[str]:
    network_ids = page.network_ids if isinstance(page, NetworkAudit) else ()
    yield from _of_ids(page.server_ids, PAGE)
    yield from _of_ids(network_ids, PAGE)
    ids = (*page.server_ids, *network_ids)
    if min(ids, default="z") <= after:
        yield "its pages do not go forward"
    if page.next not in ("", max(ids, default="")):
        yield "its next page does not come after this one"
    if isinstance(page, GuestAudit):
        yield from _of_numbers(page.powers, page.server_ids, _POWERS, "powers of guests")
    else:
        yield from _of_numbers(page.forwarding, network_ids, range(_MOST_REVISION), "revisions of networks")
        yield from _of_floating(page)


def _of_numbers(numbers: object, ids: Iterable[str], allowed: Collection[int], what: str) -> Iterator[str]:
    if not isinstance(numbers, dict) or not numbers.keys() <= set(ids):
        yield f"it has {what} that it does not have"
    elif not all(type(one) is int and one in allowed for one in numbers.values()):
        yield f"its {what} are none"


def _of_floating(has: OwnedNetworks | NetworkAudit) -> Iterator[str]:
    held = frozenset(has.server_ids)
    if len(has.floating) > MOST_OWNED:
        yield f"it has more than {MOST_OWNED} floating addresses"
    for one in has.floating:
        if not all(isinstance(address, str) and _ADDRESS.fullmatch(address) for address in (one.address, one.fixed_address)):
            yield "what should be an address is none"
        if not isinstance(one.server_id, str) or one.server_id not in held:
            yield "it has floating addresses of servers that it does not have"


def _of_report(report: AuditReport, agent: str, kinds: Collection[str]) -> Iterator[str]:
    counts = collections.Counter[str]()
    for finding in report.findings:
        if not all(isinstance(text, str) and len(text) <= _MOST_LETTERS for text in (finding.kind, finding.resource, finding.problem)):
            yield f"a text of a finding has more than {_MOST_LETTERS} characters, or is none"
        if finding.kind not in kinds:
            yield "a finding is of a kind that this conductor does not know"
        if finding.host != agent:
            yield "a finding is of another host"
        counts[finding.kind] += 1
        if counts[finding.kind] > MOST_LISTED:
            yield f"it lists more than {MOST_LISTED} findings of a kind"
    if not report.omitted.keys() <= set(kinds):
        yield "it counts findings of a kind that this conductor does not know"
    if not all(type(count) is int and 0 < count <= _MOST_OMITTED for count in report.omitted.values()):
        yield "it counts findings that it cannot have"
