# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG001 - all faults have one signature
"""Faults of daemons."""

from __future__ import annotations

import random
import time

from tools.lib.chaos.clouds import SeparateDaemons, Target
from tools.lib.chaos.faults.registry import clock_fault, fault, few_files, frozen


def _faults_of(name: str, *, hung: int, stopped: int) -> None:
    """The same of each daemon; `hung`, `stopped`: their rows."""
    part, cuts_reads = name.removeprefix("nova-"), name == "nova-api"

    if hung:
        @fault(f"{part}-hung", row=hung, seconds=30, may_end=" is down" if part in ("compute", "network") else "", summary=f"{name} is stopped by SIGSTOP.")
        def hang(cloud: Target, seconds: float, rng: random.Random) -> None:
            with frozen(cloud.pids(name)):
                time.sleep(seconds)

    @fault(f"{part}-stopped", row=stopped, seconds=12, cuts_reads=cuts_reads, summary=f"{name} is stopped by SIGTERM and started, several times.")
    def stop(cloud: Target, seconds: float, rng: random.Random) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            cloud.process(name).end()
            cloud.start_daemon(name)
            time.sleep(2 + 2 * rng.random())

    @fault(f"{part}-killed", row=26, seconds=1, cuts_reads=cuts_reads, summary=f"{name} is killed, and started within a second.")
    def kill(cloud: Target, seconds: float, rng: random.Random) -> None:
        cloud.process(name).kill9()
        time.sleep(seconds * rng.random())
        cloud.start_daemon(name)


_faults_of("nova-conductor", hung=22, stopped=28)
_faults_of("nova-compute", hung=23, stopped=29)
_faults_of("nova-scheduler", hung=33, stopped=30)
_faults_of("nova-network", hung=33, stopped=31)
_faults_of("nova-api", hung=0, stopped=32)


few_files("api-few-files", "nova-api", row=46)
few_files("conductor-few-files", "nova-conductor", row=46)
clock_fault("conductor-clock-behind", "nova-conductor", row=36, hours=-1)
clock_fault("conductor-clock-ahead", "nova-conductor", row=37, hours=1)
clock_fault("compute-clock-ahead", "nova-compute", row=38, hours=1)


@fault("compute-twin", row=35, seconds=20)
def compute_twin(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """A second nova-compute of the same name is started, with a state directory of its own."""
    with cloud.another("nova-compute", "twin", state_path=str(cloud.state / "twin")):
        time.sleep(seconds)


@fault("control-plane-killed", row=17, seconds=30)
def control_plane_killed(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """There are three conductors and two schedulers, and one after the other is killed."""
    with (cloud.another("nova-conductor", "second", host="second"), cloud.another("nova-conductor", "third", host="third") as third,
          cloud.another("nova-scheduler", "second", host="second") as scheduler):
        time.sleep(seconds / 3)
        cloud.process("nova-conductor").kill9()
        time.sleep(seconds / 6)
        third.kill9()
        cloud.process("nova-scheduler").kill9()
        time.sleep(seconds / 6)
        cloud.start_daemon("nova-conductor")
        cloud.start_daemon("nova-scheduler")
        time.sleep(seconds / 3)
        scheduler.kill9()


@fault("conductor-ahead-killed", row=39, seconds=20)
def conductor_ahead_killed(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """A second conductor, whose clock is an hour ahead, is killed with actions in hand."""
    cloud.clocks.set("nova-conductor-ahead", 3600)
    with cloud.another("nova-conductor", "ahead", host="ahead") as ahead:
        time.sleep(seconds)
        ahead.kill9()


@fault("api-worker-hung", row=24, seconds=30, cuts_reads=True)
def api_worker_hung(cloud: Target, seconds: float, rng: random.Random) -> None:
    """One of the workers of nova-api is stopped by SIGSTOP."""
    with frozen([rng.choice(cloud.pids("nova-api")[1:])]):
        time.sleep(seconds)


@fault("kills", row=26, seconds=60, cuts_reads=True)
def kills(cloud: Target, seconds: float, rng: random.Random) -> None:
    """Every three seconds a daemon is killed, and started."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        name = rng.choice(list(cloud.daemons))
        cloud.process(name).kill9()
        cloud.start_daemon(name)
        time.sleep(3)
