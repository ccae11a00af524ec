# SPDX-License-Identifier: Apache-2.0
"""The command line of tools/tempest: install, start, run, count."""

from __future__ import annotations

import argparse
import collections
import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tools.lib.daemons import Options
from tools.lib.quickstart.resources import connect
from tools.lib.services import ServiceError
from tools.lib.tempest import cloud, settings

VERSION = "47.0.0"
CACHE = Path("/var/cache/nova-lite")
TESTED = r"^tempest\.api\.(compute|volume)"
# Two at once, each with a primary and an alternative project, as Tempest counts.
_AT_ONCE = 2
_OPTIONS: Options = {"DEFAULT": {"enabled_backends": ",".join(settings.BACKENDS)}, "quota": {"instances": 100, "cores": 200, "ram": 512000}}
# Its server takes the floating address of its class away, and the tests after it would find nobody there: it runs last.
_ALONE = "test_change_server_password"
# Each needs what the cloud does not have, and no setting of Tempest's says so: docs/tempest.md.
_LEFT_OUT = "test_rebuild_volume_backed_server|test_create_volume_from_deactivated_image"
_COUNTS = re.compile(r"^ - (Passed|Skipped|Failed|Expected Fail|Unexpected Success): (\d+)$", re.MULTILINE)
EPILOG = """\
  tools/tempest                                     all of both, simulated guests, dynamic accounts
  tools/tempest --accounts                          with accounts that were made before
  tools/tempest --real                              real guests, in a host of its own
  tools/tempest --real --daemons                    the same, by separate daemons
  tools/tempest --run 'test_servers|test_flavors'   those tests
Needs root. Tempest goes into a virtualenv of its own, in /var/cache/nova-lite. Exit status 0: no test failed.
"""


def main() -> int:
    arguments = _parser().parse_args()
    if os.geteuid() != 0:
        print("tools/tempest needs root: run it by sudo", file=sys.stderr)
        return 2
    directory = arguments.state or Path(tempfile.mkdtemp(prefix="nova-lite-tempest-"))
    directory.mkdir(parents=True, exist_ok=True)
    try:
        venv = installed()
        with cloud.running(directory, is_real=arguments.real, has_daemons=arguments.daemons, options=_OPTIONS) as clouds_file:
            workspace = prepare(directory, clouds_file, is_real=arguments.real, has_accounts=arguments.accounts,
                                at_once=arguments.concurrency)
            counts = run(venv, workspace, arguments.run, at_once=arguments.concurrency)
    except (ServiceError, subprocess.CalledProcessError, OSError) as failed:
        print(f"tools/tempest: {failed}", file=sys.stderr)
        return 2
    return report(counts, directory, as_json=arguments.format == "json")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/tempest", description=__doc__, epilog=EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", action="store_true", help="real libvirt guests, not simulated ones")
    parser.add_argument("--daemons", action="store_true", help="separate daemons over RabbitMQ and PostgreSQL, not one process")
    parser.add_argument("--accounts", action="store_true", help="use an accounts file, not dynamic credentials")
    parser.add_argument("--run", default="", metavar="REGEX", help="only tests of tempest.api.compute and tempest.api.volume that match")
    parser.add_argument("--concurrency", type=int, default=_AT_ONCE, help=f"tests at once (default {_AT_ONCE})")
    parser.add_argument("--state", type=Path, help="directory to use and keep (default: a new one, kept for its logs)")
    parser.add_argument("-f", "--format", choices=["table", "json"], default="table")
    return parser


def installed() -> Path:
    """Tempest's virtualenv, made if it is not there; two runs at once make it once."""
    venv = CACHE / f"tempest-{VERSION}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "tempest.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (venv / "complete").exists():
            print(f"tools/tempest: installing Tempest {VERSION} into {venv}", file=sys.stderr, flush=True)
            # By this Python's pip, which tools/install has brought up to date; Python compiles what Tempest imports.
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--clear", str(venv)], check=True, timeout=300)
            subprocess.run([sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python"), "install", "-q", "--no-compile",
                            "--disable-pip-version-check", "--no-input", f"tempest=={VERSION}"], check=True, timeout=1200)
            (venv / "complete").touch()
    return venv


def prepare(directory: Path, clouds_file: Path, *, is_real: bool, has_accounts: bool, at_once: int) -> Path:
    """Tempest's workspace: tempest.conf, accounts, and what its tests use in the cloud."""
    admin = connect(clouds_file, "nova-lite")
    _wait_for_host(admin)
    made = settings.make(admin, cloud.guest_image(directory, is_real=is_real), is_real=is_real, has_accounts=has_accounts)
    workspace = directory / "workspace"
    (workspace / "etc").mkdir(parents=True, exist_ok=True)
    accounts = workspace / "etc" / "accounts.yaml" if has_accounts else None
    if accounts is not None:
        settings.write_accounts(admin, accounts, projects=4 * at_once)
    auth: dict[str, Any] = json.loads(clouds_file.read_text())["clouds"]["nova-lite"]["auth"]
    settings.write(workspace / "etc" / "tempest.conf", made, auth, accounts=accounts, is_real=is_real)
    (workspace / "logs").mkdir(exist_ok=True)
    return workspace


def _wait_for_host(admin: Any, *, deadline_s: float = 60) -> None:  # openstacksdk is untyped
    until = time.monotonic() + deadline_s
    while not any(service.state == "up" for service in admin.compute.services(binary="nova-compute")):
        if time.monotonic() > until:
            raise ServiceError("no compute host is up")
        time.sleep(0.2)


def run(venv: Path, workspace: Path, wanted: str, *, at_once: int) -> dict[str, Any]:
    """Run the tests, showing each as it ends; the counts and the names of those that failed."""
    environment = {**os.environ, "TEMPEST_CONFIG": "tempest.conf", "TEMPEST_CONFIG_DIR": str(workspace / "etc"),
                   "PYTHONDONTWRITEBYTECODE": ""}  # what Python compiles of Tempest is kept
    program = str(venv / "bin" / "tempest")
    package = next(venv.glob("lib/python3*/site-packages/tempest"))
    (workspace / ".stestr.conf").write_text(
        f"[DEFAULT]\ntest_path={package / 'test_discover'}\ntop_dir={package.parent}\ngroup_regex=([^\\.]*\\.)*\n")
    pattern = f"^(?=.*({wanted})){TESTED[1:]}" if wanted else TESTED
    (workspace / "output").unlink(missing_ok=True)
    text = _output(
        [program, "run", "--regex", pattern, "--exclude-regex", f"{_ALONE}|{_LEFT_OUT}", "--concurrency", str(at_once)], workspace, environment)
    text += _output([program, "run", "--regex", f"^(?=.*{_ALONE}){pattern[1:]}"], workspace, environment)
    counts: collections.Counter[str] = collections.Counter()
    for name, number in _COUNTS.findall(text):
        counts[name.lower()] += int(number)
    if not counts:
        raise ServiceError(f"Tempest ran nothing; its last words:\n{text[-3000:]}")
    names = re.findall(r"^\{\d+\} (?:setUpClass \()?([\w.]+).*\.\.\. (?:FAILED|failed)$", text, re.MULTILINE)
    return {**counts, "failures": sorted(set(names))}


def _output(command: list[str], workspace: Path, environment: dict[str, str]) -> str:
    """What the command says, also added to the workspace's `output`; lines about tests are shown as they come."""
    shown = []
    with subprocess.Popen(
        command, cwd=workspace, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process, (workspace / "output").open("a") as output:
        assert process.stdout is not None
        for line in process.stdout:
            shown.append(line)
            output.write(line)
            if line.startswith("{"):
                print(line, end="", file=sys.stderr, flush=True)
    return "".join(shown)


def report(counts: dict[str, Any], directory: Path, *, as_json: bool) -> int:
    """Print the counts; 0 when nothing failed and something ran."""
    if as_json:
        print(json.dumps(counts, indent=1))
    else:
        for name in counts["failures"]:
            print(f"failed: {name}")
        print(", ".join(f"{counts.get(name, 0)} {name}" for name in ("passed", "skipped", "failed")))
        print(f"logs: {directory}")
    return 0 if counts.get("passed") and not counts.get("failed") else 1


if __name__ == "__main__":
    sys.exit(main())
