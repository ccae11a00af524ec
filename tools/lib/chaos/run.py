# SPDX-License-Identifier: Apache-2.0
"""One fault under load: what it cost, and whether the cloud is whole afterwards."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import http.client
import random
import sys
import time
from typing import Any

from tools.lib.bench.cloud import BenchError, Cloud, need
from tools.lib.bench.prerequisites import Prerequisites, prepare
from tools.lib.chaos.clouds import Target
from tools.lib.chaos.faults import Fault
from tools.lib.chaos.load import Load, first_create_s
from tools.lib.services import ServiceError

# A cloud recovers by itself within so long after the fault.
RECOVERS_S = 15.0
# Servers that exist all the time, which no fault may touch.
RESIDENTS = 3
_CALM_S = 3.0
# What may end with a reason that a fault is known to give; power actions wait.
_NEEDS_HOST = ("create", "resize", "rebuild")


def say(text: str) -> None:
    print(f"chaos: {text}", file=sys.stderr, flush=True)


@dataclasses.dataclass
class Result:
    """What one fault cost. `recovered_s`: until a new server was ACTIVE after it; `wrong`: what breaks a promise."""

    fault: str
    row: int
    seed: str
    reads: int
    reads_failed: int
    longest_gap_s: float
    slowest_read_s: float
    accepted: int
    accepted_failed: int
    refused: int
    slowest_s: float
    recovered_s: float | None
    findings: list[dict[str, Any]]
    wrong: list[str]

    @property
    def verdict(self) -> str:
        return "fail" if self.wrong else "pass"


class Runs:
    """Faults of one cloud, one after the other."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._cloud, self._prerequisites, self._larger, self._residents = self._furnish()

    def _furnish(self) -> tuple[Cloud, Prerequisites, str, list[str]]:
        cloud = Cloud(self._target.login)
        arguments = argparse.Namespace(image="", flavor="", network="", cidr="10.77.0.0/16", n=1)
        made, wire = prepare(cloud, arguments), cloud.wire()
        flavors = need(wire, "GET", f"{cloud.compute}/flavors/detail")["flavors"]
        larger = min((flavor for flavor in flavors if flavor["disk"] and flavor["id"] != made.flavor), key=lambda flavor: flavor["ram"])
        body = {"name": "resident", "imageRef": made.image, "flavorRef": made.flavor, "networks": [{"uuid": made.network}]}
        ids = [str(need(wire, "POST", f"{cloud.compute}/servers", {"server": body})["server"]["id"]) for _ in range(RESIDENTS)]
        deadline = time.monotonic() + 60
        while any(need(wire, "GET", f"{cloud.compute}/servers/{one}")["server"]["status"] != "ACTIVE" for one in ids):
            if time.monotonic() > deadline:
                raise BenchError("servers do not become ACTIVE before anything is broken")
            time.sleep(0.1)
        wire.close()
        return cloud, made, str(larger["id"]), ids

    def run(self, fault: Fault, *, seed: str, seconds: float | None = None) -> Result:
        """Load, the fault, a calm while; then everything is checked."""
        rng = random.Random(f"{fault.name} {seed}")
        load = Load(self._cloud, self._prerequisites, larger=self._larger, seed=f"{fault.name}-{seed}")
        length_s = fault.seconds if seconds is None else seconds
        say(f"{fault.name} ({length_s:g} s): {fault.summary}")
        load.start()
        time.sleep(_CALM_S)
        fault.inject(self._target, length_s, rng)
        healed = time.monotonic()
        recovered_s = first_create_s(load, since=healed, limit_s=60.0, name=f"chaos-after-{fault.name}-{seed}")
        time.sleep(_CALM_S)
        load.stop()
        findings = self._findings()
        return _result(fault, seed, load, recovered_s, findings, self._leftovers(load), healed_at=healed)

    def _findings(self) -> list[dict[str, Any]]:
        """What the audit finds when the cloud has had its time to recover."""
        deadline = time.monotonic() + RECOVERS_S
        while True:
            try:
                found = self._target.audit()
            except ServiceError as error:
                found = [{"kind": "audit", "resource": "", "host": "", "problem": str(error), "repair": ""}]
            if not found or time.monotonic() > deadline:
                return found

    def _leftovers(self, load: Load) -> list[str]:
        """Servers that should be there and are not, or the other way round."""
        wire = self._cloud.wire()
        wrong: list[str] = []
        deadline = time.monotonic() + RECOVERS_S
        while True:
            with contextlib.suppress(BenchError, OSError, http.client.HTTPException):
                shown = {server["id"]: server for server in need(wire, "GET", f"{self._cloud.compute}/servers/detail")["servers"]}
                wrong = [f"resident {one} is {shown[one]['status'] if one in shown else 'gone'}" for one in self._residents
                         if one not in shown or shown[one]["status"] != "ACTIVE"]
                wrong += [f"{server['name']} {one} is left, {server['status']}" for one, server in shown.items() if one not in self._residents]
                wrong += [f"{name} was made {count} times" for name in set(load.names)
                          if (count := sum(server["name"] == name for server in shown.values())) > 1]
                if not wrong:
                    break
            if time.monotonic() > deadline:
                break
            time.sleep(0.5)
        for server_id in [line.split()[1] for line in wrong if " is left, " in line]:
            with contextlib.suppress(OSError, http.client.HTTPException):
                wire.request("DELETE", f"{self._cloud.compute}/servers/{server_id}")
        wire.close()
        return wrong


def _result(  # what was measured
    fault: Fault, seed: str, load: Load, recovered_s: float | None, findings: list[dict[str, Any]], leftovers: list[str], *, healed_at: float,
) -> Result:
    good = [read.at for read in load.reads if read.is_good]
    gap_s = max((later - earlier for earlier, later in zip(good, good[1:], strict=False)), default=0.0)
    unserved = [operation for operation in load.operations
                if fault.may_end and operation.name in _NEEDS_HOST and fault.may_end in operation.failed]
    failed = [operation for operation in load.operations if operation.failed and operation not in unserved]
    bad_reads = [read for read in load.reads if not read.is_good]
    wrong = [f"{operation.name} of {operation.server_id} was accepted, and failed after {operation.seconds:.1f} s: {operation.failed}" for operation in failed]
    wrong += leftovers + [f"{one['kind']}: {one['resource']} {one['host']}: {one['problem']}" for one in findings]
    if recovered_s is None or recovered_s > RECOVERS_S:
        wrong.append(f"no new server {'within 60 s' if recovered_s is None else f'before {recovered_s:.1f} s'} after the fault")
    if bad_reads and not fault.cuts_reads:
        wrong.append(f"{len(bad_reads)} reads failed")
    late = [read for read in bad_reads if read.at > healed_at + RECOVERS_S]
    if late:
        wrong.append(f"{len(late)} reads failed more than {RECOVERS_S:.0f} s after the fault")
    return Result(
        fault.name, fault.row, seed, reads=len(load.reads), reads_failed=len(bad_reads), longest_gap_s=round(gap_s, 1),
        slowest_read_s=round(max((read.seconds for read in load.reads), default=0.0), 1), accepted=len(load.operations), accepted_failed=len(failed),
        refused=load.refused + len(unserved), slowest_s=round(max((operation.seconds for operation in load.operations), default=0.0), 1),
        recovered_s=None if recovered_s is None else round(recovered_s, 1), findings=findings, wrong=wrong)
