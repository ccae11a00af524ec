# SPDX-License-Identifier: Apache-2.0
"""Which tests run beside which, and what the closing summary says."""

from __future__ import annotations

import collections
import gc
from collections.abc import Iterable
from typing import Any

import pytest

# What one process runs as a whole, the longest first; a test belongs to the longest name that it begins with, else its file
# is such a piece. Tests of one piece share clouds, or boot guests without KVM one after the other: that takes a core.
# Whatever a piece starts has names, ports and directories of its own.
PACKETS, GUESTS = "packets", "tests/system/real/"
PIECES = (
    "tests/system/clients/", GUESTS, "tests/system/", PACKETS,
    "tests/system/services/test_openapi.py", "tests/system/services/test_apis_on_databases.py", "tests/contract/",
    "tests/system/sweep/test_crash_sweep.py", "tests/system/sweep/test_crash_sweep_disks.py",
    "tests/system/sweep/test_crash_sweep_resize.py", "tests/system/cluster/test_daemons.py",
    "tests/system/sweep/test_crash_sweep_actions.py", "tests/system/sweep/test_crash_sweep_shelve.py",
    "tests/recipes/", "tests/system/cluster/test_outages.py", "tests/system/cluster/test_chaos.py", "tests/system/services/test_tempest.py",
    "tests/system/services/test_keystone.py", "tests/system/cluster/test_races.py", "tests/system/cluster/test_reconciler_shares.py",
    "tests/system/cluster/test_hung_network.py", "tests/system/cluster/test_rpc_stop.py", "tests/system/cluster/test_power_cut.py",
    "tests/system/cluster/test_scheduler_restarts.py",
    "tests/system/cluster/test_api_workers.py", "tests/system/cluster/test_signed_bus.py", "tests/system/cluster/test_quota_races.py",
    "tests/system/cluster/test_quota_race.py", "tests/system/install/test_up_messages.py", "tests/system/install/test_package.py",
    "tests/system/services/test_identity_databases.py", "tests/migrations/",
    "tests/system/cluster/test_console_daemons.py", "tests/system/cluster/test_notifications.py",
    "tests/system/cluster/test_claim_races.py", "tests/system/cluster/test_hung_database.py",
    "tests/system/cluster/test_patterns.py", "tests/system/cluster/test_readers.py",
)
# Guests that are network namespaces: what they wait for is mostly time, such as a packet that must not come.
PACKET_TESTS = tuple(f"tests/system/real/test_{name}.py" for name in (
    "network_worker", "network_filters", "isolation", "isolation_services", "floating_ips", "forwarding", "metadata_server",
    "released_address", "two_clouds_network"))


def piece_of(nodeid: str) -> str:
    """The piece that a test belongs to."""
    if nodeid.startswith(PACKET_TESTS):
        return PACKETS
    return max((piece for piece in PIECES if nodeid.startswith(piece)), key=len, default=nodeid.partition("::")[0])


def _turn(piece: str) -> int:
    """The long pieces come first, the short ones fill what is left."""
    return PIECES.index(piece) if piece in PIECES else len(PIECES)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a process of pytest-xdist, pieces are handed out in this order."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _turn(piece_of(item.nodeid)))


def pytest_collection_finish() -> None:
    """What has been imported and collected stays to the end: the garbage collector need not look at it again and again."""
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:  # pytest-xdist's types
    """A process takes the next piece when it has done one.

    pytest-xdist 3.8's own groups are lost on pytest 9.2, which does not let it rename tests.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByPieces(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return piece_of(nodeid)

    return ByPieces(config, log)


def folder_of(nodeid: str) -> str:
    """Folder of a test, at most three levels deep: tests/system/real."""
    return "/".join(nodeid.partition("::")[0].split("/")[:-1][:3])


def summary(reports: Iterable[tuple[str, float]]) -> list[str]:
    """What the closing summary says of (nodeid, seconds) of each phase of each test: functions, cases, time by folder."""
    cases, seconds = set(), collections.Counter[str]()
    for nodeid, duration in reports:
        cases.add(nodeid)
        seconds[folder_of(nodeid)] += duration
    functions = {nodeid.partition("[")[0] for nodeid in cases}
    plain = sum(1 for nodeid in cases if "[" not in nodeid)
    return [f"{len(functions)} test functions: {plain} single tests, and {len(cases) - plain} cases generated from the other "
            f"{len(functions) - plain}",
            *(f"{total:8.1f} s  {folder}" for folder, total in seconds.most_common())]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Functions and generated cases apart, and where the time went."""
    phases = [report for reports in terminalreporter.stats.values() for report in reports if hasattr(report, "duration")]
    if phases:
        terminalreporter.section("by folder")
        for line in summary((report.nodeid, report.duration) for report in phases):
            terminalreporter.write_line(line)
