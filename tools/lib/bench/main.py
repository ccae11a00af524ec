# SPDX-License-Identifier: Apache-2.0
"""Measures a compute cloud by its public API: how fast servers come, show, list and go, and what that costs.

Standard library only, and nothing of nova_lite: it runs against any OpenStack Compute endpoint.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shlex
import subprocess
from collections.abc import Callable

from tools.lib.bench.arrivals import overload
from tools.lib.bench.cloud import BenchError, Body, Cloud, say
from tools.lib.bench.hostile import hostile
from tools.lib.bench.load import Bench
from tools.lib.bench.login import login
from tools.lib.bench.machine import cpu_s, find_pids, noise, pss_mib
from tools.lib.bench.prerequisites import prepare, remove
from tools.lib.bench.report import boots_report, per_server, table

EPILOG = """\
Examples:
  tools/bench --cloud nova-lite -n 200 -c 16
  tools/bench -n 50 -c 1 -f json          (OS_AUTH_URL, OS_USERNAME, OS_PASSWORD, OS_PROJECT_NAME …)
  tools/bench --cloud nova-lite -n 200 -c 16 --overload 3 --overload-time 60
  tools/bench --cloud nova-lite --state DIR -n 20 --hostile 30
  tools/bench --url http://127.0.0.1:8774/identity/v3 --state /var/lib/nova-lite

What the numbers are: POST and time to ACTIVE are taken with one client first (latency of an idle cloud), then with
-c clients (throughput: first POST to last ACTIVE). ACTIVE is seen by polling GET server, so a time to ACTIVE is
late by up to the interval. CPU is user + system time of the daemons from /proc, divided by the servers booted;
this program's own is not counted. Memory is PSS from /proc/PID/smaps_rollup.
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/bench", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cloud", default=os.environ.get("OS_CLOUD"), help="cloud of clouds.yaml (default: $OS_CLOUD)")
    parser.add_argument("--url", help="identity URL, with /v3; user and password from OS_ variables")
    parser.add_argument("-n", type=_upto(5000), default=200, help="servers to boot with -c clients (default 200)")
    parser.add_argument("-c", type=_upto(256), default=16, help="clients (default 16)")
    parser.add_argument("--single", type=_upto(1000), default=30, help="servers to boot one after the other before (default 30)")
    parser.add_argument("--warm", type=_upto(100), default=3, help="servers to boot before anything is measured (default 3)")
    parser.add_argument("--image", help="image id (default: any active one, else a small one is made)")
    parser.add_argument("--flavor", help="flavor id (default: the smallest with a disk)")
    parser.add_argument("--network", help="network id, or none (default: one is made)")
    parser.add_argument("--cidr", help="range of the network that is made (default: a random 10.x.0.0/16)")
    parser.add_argument("--user-data", type=int, default=0, metavar="BYTES", help="of user data per server")
    parser.add_argument("--poll", type=float, default=0.005, metavar="S", help="seconds between two looks, one client (default 0.005)")
    parser.add_argument("--poll-many", type=float, default=0.1, metavar="S", help="the same with -c clients (default 0.1)")
    parser.add_argument("--timeout", type=float, default=120, metavar="S", help="for one server to be ACTIVE or gone (default 120)")
    parser.add_argument("--read-time", type=float, default=3, metavar="S", help="of GETs (default 3)")
    parser.add_argument("--read-clients", type=_upto(64), default=4, help="clients of the GETs (default 4)")
    parser.add_argument("--lists", type=_upto(1000), default=20, help="how often to list (default 20)")
    parser.add_argument("--page", type=_upto(1000), default=200, help="servers of one list (default 200)")
    parser.add_argument("--actions", type=_upto(1000), default=20, help="how often to pause, unpause, stop and start (default 20)")
    parser.add_argument("--overload", type=float, metavar="FACTOR",
                        help="open loop: POSTs arrive at FACTOR times the rate of the phase with -c clients, answered or not")
    parser.add_argument("--capacity", type=float, metavar="N", help="servers per second to multiply by it (default: as measured with -c clients)")
    parser.add_argument("--overload-time", type=float, default=60, metavar="S", help="of the open loop (default 60)")
    parser.add_argument("--overload-gets", type=float, default=10, metavar="N", help="GETs per second beside it (default 10)")
    parser.add_argument("--hostile", type=float, metavar="S",
                        help="for so many seconds hold 1,000 silent connections and 100 slow uploads, and send heads of 300 MB, beside the GETs")
    parser.add_argument("--statements", metavar="COMMAND",
                        help="command that prints how many SQL statements the database has run; statements per server are reported")
    parser.add_argument("--pid", type=int, action="append", default=[], help="daemon to account CPU and memory of; repeat")
    parser.add_argument("--state", help="directory: account all processes that use it, by command line or open files")
    parser.add_argument("--keep", action="store_true", help="leave the servers, the network and the image")
    parser.add_argument("-f", "--format", choices=["table", "json"], default="table")
    return parser.parse_args()


def _statements(args: argparse.Namespace) -> int:
    """Statements that the database has run so far; 0: nobody counts."""
    if not args.statements:
        return 0
    ended = subprocess.run(shlex.split(args.statements), capture_output=True, text=True, check=False)
    if ended.returncode:
        raise BenchError(f"--statements failed: {ended.stderr.strip()[-300:]}")
    return int(ended.stdout)


def _upto(most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if not 0 <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not between 0 and {most}")
        return value

    return number


def run(cloud: Cloud, args: argparse.Namespace) -> Body:
    """All phases; what was made is removed, whatever happens."""
    found = find_pids(args)
    report: Body = {"n": args.n, "clients": args.c, "poll_one_client_ms": args.poll * 1000,
                    "poll_many_clients_ms": args.poll_many * 1000, "noise_before": noise(),
                    "pss_idle_mib": pss_mib(found)}
    prerequisites = prepare(cloud, args)
    bench = Bench(cloud, prerequisites, args)
    try:
        say("warming up")
        bench.boot_many(min(args.warm, args.n), 1, poll_s=args.poll)
        if args.single:
            say(f"{args.single} servers, one client")
            before, statements = cpu_s(found), _statements(args)
            report["one_client"] = boots_report(bench.boot_many(args.single, 1, poll_s=args.poll))
            report["one_client"]["cpu_ms_per_server"] = per_server(before, cpu_s(found), args.single)
            report["one_client"]["statements"] = (_statements(args) - statements) / args.single
        say(f"{args.n} servers, {args.c} clients")
        before = cpu_s(found)
        report["many_clients"] = boots_report(bench.boot_many(args.n, args.c, poll_s=args.poll_many))
        report["many_clients"]["cpu_ms_per_server"] = per_server(before, cpu_s(found), args.n)
        say("reading")
        before, statements = cpu_s(found), _statements(args)
        report["get_server"] = bench.get_rate()
        report["get_server"]["cpu_ms"] = per_server(before, cpu_s(found), int(report["get_server"]["count"]))
        report["get_server"]["statements"] = (_statements(args) - statements) / report["get_server"]["count"]
        if args.single:
            report["one_client"]["statements"] -= report["one_client"]["polls_per_server"] * report["get_server"]["statements"]
        for part in (report[key] for key in ("one_client", "many_clients") if key in report):
            # How often a client polls depends on how soon its POST is answered, not only on what a boot costs.
            part["cpu_ms_without_polls"] = part["cpu_ms_per_server"]["ours"] - part["polls_per_server"] * report["get_server"]["cpu_ms"]["ours"]
        if args.actions:
            say("acting")
            report["actions"], before = bench.action_times(), cpu_s(found)
            report["action_rate"] = bench.action_rate()
            report["action_rate"]["cpu_ms"] = per_server(before, cpu_s(found), int(report["action_rate"]["count"]))
        if args.overload:
            say(f"POSTs arrive at {args.overload:g} times the capacity")
            report["overload"] = overload(
                bench, capacity=args.capacity or report["many_clients"]["servers_per_s"], factor=args.overload, seconds=args.overload_time,
                get_rate=args.overload_gets)
        if args.hostile:
            say("silent connections, slow uploads and endless heads")
            report["hostile"] = hostile(bench, seconds=args.hostile, get_rate=args.overload_gets, memory_mib=lambda: sum(
                value for name, value in pss_mib(found).items() if name.startswith("nova")))
        before = cpu_s(found)
        report["list_detail"] = bench.list_times()
        report["list_detail"]["cpu_ms"] = per_server(before, cpu_s(found), args.lists)
        report["pss_loaded_mib"] = pss_mib(found)
    finally:
        if not args.keep:
            say("deleting")
            before = cpu_s(found)
            report["delete"] = bench.delete_all()
            report["delete"]["cpu_ms"] = per_server(before, cpu_s(found), max(1, len(bench.boots)))
            remove(cloud, prerequisites)
    report["noise_after"] = noise()
    return report


def main() -> int:
    args = arguments()
    try:
        report = run(Cloud(login(args)), args)
    except BenchError as error:
        say(str(error))
        return 2
    except (OSError, http.client.HTTPException) as error:
        say(f"the cloud does not answer: {error}")
        return 2
    print(json.dumps(report, indent=2) if args.format == "json" else table(report))
    return 0
