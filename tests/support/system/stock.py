# SPDX-License-Identifier: Apache-2.0
"""The stock clients as a user types them: openstack, nova and openstacksdk, each unmodified."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openstack as sdk

from tests.support.paths import ROOT
from tests.support.wait import wait_until


@dataclasses.dataclass
class Result:
    code: int
    out: str
    err: str


class Warm:
    """The process whose forks are the clients (warm.py)."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", "tests.support.system.warm"], cwd=ROOT, text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, client: str, words: tuple[str, ...], environment: dict[str, str]) -> Result:
        """Run it to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"client": client, "words": words, "environment": _inherited() | environment}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Result(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate(timeout=10)


@dataclasses.dataclass(frozen=True)
class User:
    """One entry of a clouds.yaml, `cloud` being its name."""

    warm: Warm
    clouds_yaml: Path
    cloud: str

    def run(self, *words: str, client: str = "openstack") -> Result:
        """`openstack WORDS…`, or another client."""
        return self.warm.run(client, words, self._environment(client))

    def openstack(self, *words: str) -> str:
        """`openstack WORDS…`, which is to succeed; what it printed."""
        return _succeeded(self.run(*words), words)

    def nova(self, *words: str) -> str:
        """`nova WORDS…`, which is to succeed; what it printed."""
        return _succeeded(self.run(*words, client="nova"), words)

    def json(self, *words: str) -> Any:
        """`openstack WORDS… -f json`, which is to succeed; what it said."""
        return json.loads(self.openstack(*words, "-f", "json"))

    def refused(self, *words: str) -> str:
        """`openstack WORDS…`, which is to fail; what it said about it."""
        result = self.run(*words)
        assert result.code != 0, f"{words} went through: {result.out}"
        return result.err

    def program(self, client: str, *words: str) -> str:
        """The program that the client's package installs, which is to succeed; what it printed."""
        ended = subprocess.run([str(Path(sys.executable).parent / client), *words], capture_output=True, text=True,
                               env=_inherited() | self._environment(client), timeout=120, check=False)
        return _succeeded(Result(ended.returncode, ended.stdout, ended.stderr), words)

    @contextlib.contextmanager
    def sdk(self) -> Iterator[Any]:
        """openstacksdk's connection."""
        entry = json.loads(self.clouds_yaml.read_text())["clouds"][self.cloud]
        with sdk.connect(**entry, load_envvars=False, load_yaml_config=False) as connection:
            yield connection

    def status(self, server: str) -> str:
        """The server's status and what it is doing, as `openstack server show` has them: `ACTIVE None`."""
        shown = self.json("server", "show", server, "-c", "status", "-c", "OS-EXT-STS:task_state")
        return f"{shown['status']} {shown['OS-EXT-STS:task_state']}"

    def settle(self, server: str, status: str) -> None:
        """Wait, by the SDK since it is quick, until the server does nothing; then openstack is to say that it is `status`."""
        with self.sdk() as sdk:
            server_id = sdk.compute.find_server(server, ignore_missing=False).id
            wait_until(lambda: sdk.compute.get_server(server_id).task_state is None, f"server {server} to be {status}")
        assert self.status(server) == f"{status} None"

    def _environment(self, client: str) -> dict[str, str]:
        """nova knows no clouds.yaml: it takes OS_ variables."""
        if client == "openstack":
            return {"OS_CLIENT_CONFIG_FILE": str(self.clouds_yaml), "OS_CLOUD": self.cloud}
        entry = json.loads(self.clouds_yaml.read_text())["clouds"][self.cloud]
        named = {f"OS_{name.upper()}": value for name, value in entry["auth"].items()}
        return {**named, "OS_REGION_NAME": entry["region_name"], "OS_IDENTITY_API_VERSION": "3"}


def _inherited() -> dict[str, str]:
    """This process's environment without another cloud's variables and without proxies."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith("OS_") and not name.lower().endswith("_proxy")}


def _succeeded(result: Result, words: tuple[str, ...]) -> str:
    assert result.code == 0, f"{' '.join(words)}: {result.code}\n{result.out}\n{result.err}"
    return result.out
