# SPDX-License-Identifier: Apache-2.0
"""The command line of tools/quickstart: the order of the steps, in two halves, before and in the virtualenv."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.lib.quickstart.screen import Failed, Screen, Step
from tools.lib.quickstart.setup import (
    CLOUD,
    DEFAULT_PORT,
    DEFAULT_STATE,
    DEFAULT_VENV,
    ROOT,
    Setup,
    options_of,
    prepare,
)

# How the second half, which runs in the virtualenv, learns of the first.
_RESUME = "NOVA_LITE_QUICKSTART"
_EPILOG = """\
Installs what is missing, starts libvirt unless it answers, starts the whole cloud in one process, makes a small guest
image, boots a server through the public API, logs in to it, and has it write to a volume. Run again, it changes nothing that is right.
tools/down stops the cloud, tools/down --purge removes it. nova-lite doctor shows the checks at any time.

Exit status: 0 all is up and the login worked; 1 a step failed, and said why and what to do; 2 wrong arguments.
"""


def main(arguments: Sequence[str]) -> int:
    """Do what is missing and return the exit status."""
    parser = argparse.ArgumentParser(prog="tools/quickstart", epilog=_EPILOG,
                                     description="From a clone to a running cloud with a server to log in to.",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, metavar="DIR",
                        help="where everything is kept (default: %(default)s)")  # fmt: skip
    parser.add_argument("--port", type=int, metavar="N",
                        help=f"port of the API (default: as before, else {DEFAULT_PORT})")  # fmt: skip
    parser.add_argument("--venv", type=Path, default=DEFAULT_VENV, metavar="DIR",
                        help="the virtualenv (default: .venv in the clone)")  # fmt: skip
    options = parser.parse_args(arguments)
    setup = Setup(state=options.state.absolute(), port=options.port, venv=options.venv.absolute())
    resumed = json.loads(os.environ.pop(_RESUME, "null"))
    screen = Screen() if resumed is None else Screen(
        began=resumed["began"], done=[Step(**step) for step in resumed["done"]])  # fmt: skip
    try:
        if resumed is None:
            prepare(setup, screen)
            _go_on_in_virtualenv(setup, screen, arguments)
        _use(setup, screen)
    except Failed as failed:
        screen.failure(failed)
        return 1
    except (OSError, subprocess.SubprocessError) as error:
        screen.failure(Failed(str(error), remedy=f"see the message, and {setup.state}/nova-lite.log"))
        return 1
    except KeyboardInterrupt:
        print("\ntools/quickstart: interrupted; run it again to go on, tools/down to stop", file=sys.stderr)
        return 130
    return 0


def _go_on_in_virtualenv(setup: Setup, screen: Screen, arguments: Sequence[str]) -> None:
    """Become the same program in the virtualenv's Python, which has the project and openstacksdk."""
    python = str(setup.venv / "bin" / "python")
    os.environ[_RESUME] = json.dumps({"began": screen.began, "done": [dataclasses.asdict(step) for step in screen.done]})
    sys.stdout.flush()
    os.execv(python, [python, str(ROOT / "tools" / "quickstart"), *arguments])


def _use(setup: Setup, screen: Screen) -> None:
    with screen.step("libvirt") as step:
        setup.start_libvirt(step)
    with screen.step("doctor") as step:
        _examine(setup, screen, step)
    with screen.step("cloud") as step:
        setup.start_cloud(step)
    with screen.step("guest image") as step:
        setup.make_image(step)
    _boot(setup, screen)


def _examine(setup: Setup, screen: Screen, step: Step) -> None:
    """The checks of nova-lite doctor that matter before the cloud runs.

    :raises Failed: one found a problem.
    """
    from nova_lite import conf as options
    from nova_lite.cmd.lite import doctor
    from nova_lite.cmd.lite.diagnosis.finding import Result

    conf = options.load([], files=[])
    conf.set_override("state_path", str(setup.state))
    conf.set_override("port", setup.port, group="api")
    skipped = ("API", "services") if setup.cloud_pid() is None else ()
    problems, good = [], 0
    for finding in doctor.examine(conf, skip=skipped):
        step.progress = finding.name
        good += finding.result is Result.OK
        if finding.result is Result.PROBLEM:
            problems.append(finding)
        elif finding.result is Result.NOTE and finding.remedy:
            screen.note(f"{finding.name}: {finding.reason}. Remedy: {finding.remedy}")
    if problems:
        raise Failed("; ".join(f"{found.name}: {found.reason}" for found in problems),
                     remedy="; ".join(found.remedy for found in problems))  # fmt: skip
    step.did = f"{good} checks are good, no problem"


def _boot(setup: Setup, screen: Screen) -> None:
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    try:
        _boot_first(setup, screen)
    except (ClientException, SDKException) as error:
        raise Failed(f"the API said: {error}", remedy=f"read the end of {setup.state}/nova-lite.log") from error


def _boot_first(setup: Setup, screen: Screen) -> None:
    from tools.lib.quickstart.resources import Resources, connect
    from tools.lib.quickstart.server import FirstServer
    from tools.lib.quickstart.volume import FirstVolume

    with screen.step("log in") as step:
        cloud = connect(setup.clouds_file, CLOUD)
        step.did = f"token of user admin, {len(cloud.service_catalog)} services in the catalog"
    resources = Resources(cloud, directory=setup.own)
    with screen.step("image") as step:
        image = resources.image(step, setup.image)
    with screen.step("network") as step:
        network = resources.network(step)
    with screen.step("security group") as step:
        resources.rules(step)
    with screen.step("keypair") as step:
        resources.keypair(step)
    first = FirstServer(cloud, key=resources.key)
    with screen.step("server") as step:
        server = first.boot(step, image=image, network=network)
    with screen.step("boot") as step:
        server = first.wait_active(step, server)
    with screen.step("guest") as step:
        first.wait_ssh(step, server)
    with screen.step("ssh") as step:
        first.log_in(step, server)
    its = FirstVolume(cloud, ssh=first.ssh(server))
    with screen.step("volume") as step:
        volume = its.attach(step, server)
    with screen.step("write") as step:
        its.write(step, volume)
    with screen.step("detach") as step:
        its.detach(step, server, volume)
    screen.summary()
    _how_to_go_on(setup, first.ssh(server))


def _how_to_go_on(setup: Setup, ssh: list[str]) -> None:
    state, both = options_of(setup.state), options_of(setup.state, setup.venv)
    bin_directory = setup.venv / "bin"
    print(f"""
To go on:
  export OS_CLIENT_CONFIG_FILE={shlex.quote(str(setup.clouds_file))} OS_CLOUD={CLOUD} PATH={bin_directory}:$PATH
  openstack server list
  {shlex.join(ssh)}
  nova-lite doctor{state}     # what this machine lacks
  nova-lite audit{state}      # what the cloud's parts disagree about
To stop: tools/down{both}   and to remove everything: tools/down --purge{both}""", flush=True)
