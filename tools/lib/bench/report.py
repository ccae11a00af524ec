# SPDX-License-Identifier: Apache-2.0
"""What was measured, as numbers and as a table."""

from __future__ import annotations

from tools.lib.bench.cloud import Body
from tools.lib.bench.load import Boot, spread


def boots_report(boots: list[Boot]) -> Body:
    done = [boot for boot in boots if boot.active is not None]
    report: Body = {"servers": len(boots), "failed": len(boots) - len(done),
                    "polls_per_server": sum(boot.polls for boot in boots) / max(1, len(boots)),
                    "post": spread([boot.post_s for boot in boots if boot.id]),
                    "active": spread([boot.active_s for boot in done if boot.active_s is not None])}
    if done:
        wall = max(boot.active or 0 for boot in done) - min(boot.posted for boot in boots)
        report["servers_per_s"] = len(done) / wall
    if len(done) < len(boots):
        report["first_error"] = next(boot.error for boot in boots if boot.error)
    return report


def per_server(before: dict[str, float], after: dict[str, float], servers: int) -> dict[str, float]:
    """Milliseconds by daemon; `ours` sums those of nova, `total` all."""
    each = {name: (after[name] - before[name]) * 1000 / servers for name in after}
    ours = sum(value for name, value in each.items() if name.startswith("nova"))
    return {**each, "ours": ours, "total": sum(each.values())}


def table(report: Body) -> str:
    """The report for a person."""
    lines: list[tuple[str, str]] = []
    for key, title in (("one_client", "1 client"), ("many_clients", f"{report['clients']} clients")):
        if key in report:
            lines += _boot_lines(report[key], title, report[f"poll_{key}_ms"])
    if "get_server" in report:
        found = report["get_server"]
        lines.append(("GET server", f"{found['per_s']:.0f}/s; {_ms(found)}; CPU {_cpu(found['cpu_ms'])}"))
        found = report["list_detail"]
        lines.append((f"detail of {found['servers']} servers", f"{_ms(found)}; CPU {_cpu(found['cpu_ms'])}"))
    if "actions" in report:
        lines += [(f"{name} until done, 1 client", _ms(found)) for name, found in report["actions"].items()]
        found = report["action_rate"]
        lines.append((f"pause and unpause, {report['clients']} clients", f"{found['per_s']:.1f}/s; CPU {_cpu(found['cpu_ms'])}"))
    if "overload" in report:
        lines += _overload_lines(report["overload"])
    if "hostile" in report:
        lines += _hostile_lines(report["hostile"])
    if report.get("delete"):
        found = report["delete"]
        lines.append(("DELETE until 404", f"{_ms(found)}; {found.get('per_s', 0):.1f}/s, {found['lost']} lost; "
                                          f"CPU {_cpu(found['cpu_ms'])}"))
    lines += _memory_lines(report)
    for key, title in (("noise_before", "machine before"), ("noise_after", "machine after")):
        if key in report:
            found = report[key]
            lines.append((title, f"fixed loop {found['loop_ms']:.1f} ms, best {found['best_ms']:.1f} ms, "
                                 f"slowdown {found['slowdown']:.2f}, load {found['load_1min']:.1f}"))
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in lines)


def _memory_lines(report: Body) -> list[tuple[str, str]]:
    lines = []
    for key, title in (("pss_idle_mib", "memory before (PSS)"), ("pss_loaded_mib", "memory after (PSS)")):
        if report.get(key):
            ours = sum(value for name, value in report[key].items() if name.startswith("nova"))
            shown = ", ".join(f"{name} {value:.0f}" for name, value in report[key].items() if value >= 1)
            lines.append((title, f"ours {ours:.0f} MiB, all {sum(report[key].values()):.0f} MiB ({shown})"))
    return lines


def _boot_lines(part: Body, title: str, poll_ms: float) -> list[tuple[str, str]]:
    lines = [
        (f"POST server, {title}", _ms(part["post"])),
        (f"POST to ACTIVE, {title}", f"{_ms(part['active'])} (polled each {poll_ms:.0f} ms, "
                                     f"{part['polls_per_server']:.1f} times)"),
        (f"servers per second, {title}",
         f"{part.get('servers_per_s', 0):.1f} ({part['servers']} servers, {part['failed']} failed)"),
    ]
    if part.get("statements"):
        lines.append((f"SQL statements per server, {title}", f"{part['statements']:.1f}, polls subtracted, heartbeats included"))
    if part["cpu_ms_per_server"].get("total"):
        lines.append((f"CPU per server, {title}", _cpu(part["cpu_ms_per_server"])))
    if "cpu_ms_without_polls" in part:
        lines.append((f"  polls subtracted, {title}", f"ours {part['cpu_ms_without_polls']:.1f} ms"))
    if "first_error" in part:
        lines.append(("first error", part["first_error"]))
    return lines


def _overload_lines(found: Body) -> list[tuple[str, str]]:
    def answers(part: Body) -> str:
        return f"{part['count']}, by status {part['by_status']}"

    return [
        (f"overload: {found['posts_per_s']:.0f} POSTs per second for {found['seconds']:.0f} s", answers(found["posts"])),
        ("  accepted", f"{found['accepted_per_s']:.1f}/s, {found['accepted_per_s'] / found['capacity_per_s']:.0%} of {found['capacity_per_s']:.1f}/s; "
                       f"{_ms(found['accepted'])}"),
        ("  refused", f"{_ms(found['refused'])}; {found['refused_without_retry_after']} without Retry-After"),
        ("  GET server beside it", f"{answers(found['gets'])}; {_ms(found['gets'])}"),
        ("  built", f"{found['active']} ACTIVE, {found['in_error']} ERROR, {found['accepted_but_lost']} accepted and lost, "
                    f"{found['built_but_not_accepted']} not accepted; all ended {found['built_after_s']:.1f} s after the last arrival"),
    ]


def _hostile_lines(found: Body) -> list[tuple[str, str]]:
    gets = found["gets"]
    return [
        (f"{found['seconds']:.0f} s of hostile clients", f"{found['silent']} silent connections, {found['uploads']} slow uploads and "
                                                         f"{found['heads']} heads of 300 MB were begun"),
        ("  GET server beside them", f"{gets['answered']} of {gets['count']} answered; {_ms(gets)}"),
        ("  memory of ours (PSS)", f"{found['memory_before_mib']:.0f} MiB before, {found['memory_growth_mib']:+.0f} MiB at the most"),
    ]


def _ms(found: Body) -> str:
    if "p50_ms" not in found:
        return "-"
    return f"p50 {found['p50_ms']:.1f} ms, p99 {found['p99_ms']:.1f} ms, max {found['max_ms']:.1f} ms"


def _cpu(found: Body) -> str:
    shown = ", ".join(f"{name} {value:.1f}" for name, value in found.items() if name not in ("ours", "total") and value >= 0.05)
    return f"ours {found['ours']:.1f} ms, all {found['total']:.1f} ms ({shown})"
