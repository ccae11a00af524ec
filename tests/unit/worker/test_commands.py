# SPDX-License-Identifier: Apache-2.0
"""Programs of the host end by their deadline, and their failures say what they printed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nova_lite.worker import commands

_SLEEP = ["sleep", "600"]


def test_a_program_gets_its_input_and_returns_its_output() -> None:
    assert commands.run(["cat"], stdin="two\nlines\n", timeout_s=10) == "two\nlines\n"


def test_a_failure_carries_status_and_output() -> None:
    with pytest.raises(commands.CommandFailed, match="^sh: first second$") as caught:
        commands.run(["sh", "-c", "echo first >&2; echo second >&2; exit 3"], timeout_s=10)
    assert (caught.value.program, caught.value.status, caught.value.output) == ("sh", 3, "first second")


def test_a_failure_without_output_names_the_status() -> None:
    with pytest.raises(commands.CommandFailed, match="^false: exit status 1$"):
        commands.run(["false"], timeout_s=10)


def test_a_program_that_is_not_installed_is_named() -> None:
    with pytest.raises(commands.CommandFailed, match="^no-such-program: cannot be run: No such file"):
        commands.run(["no-such-program"], timeout_s=10)
    with pytest.raises(commands.CommandFailed, match="^no-such-program: cannot be run: No such file"):
        commands.status(["no-such-program"], timeout_s=10)


def test_a_program_is_killed_at_its_deadline() -> None:
    for call in (commands.run, commands.status):
        with pytest.raises(commands.CommandFailed, match="^sleep: did not end within 0.1 s$") as caught:
            call(_SLEEP, timeout_s=0.1)  # type: ignore[operator]
        assert caught.value.status is None


def test_a_check_that_raises_kills_the_program() -> None:
    class Cancelled(Exception):
        pass

    def check() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        commands.run(_SLEEP, timeout_s=600, check=check)


def test_a_check_does_not_interrupt_input_and_output() -> None:
    text = "x" * 300_000
    assert commands.run(["sh", "-c", "sleep 0.5; cat"], stdin=text, timeout_s=30, check=lambda: None) == text


def test_memory_is_limited() -> None:
    with pytest.raises(commands.CommandFailed):
        commands.run(["dd", "if=/dev/zero", "of=/dev/null", "bs=512M", "count=1"], timeout_s=30, limits=commands.Limits(memory_mb=64))


def test_the_status_of_a_program_is_its_exit_status_or_its_signal() -> None:
    assert commands.status(["sh", "-c", "exit 33"], timeout_s=10) == 33
    assert commands.status(["sh", "-c", "kill -ABRT $$"], timeout_s=10) == -6


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_confined_program_has_no_rights_but_to_its_files(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (own, other) = (tmp_path / "own", tmp_path / "other")
    for path in (own, other):
        path.write_text(f"{path.name}\n")
        path.chmod(0o600)
    with own.open("r+") as file:
        script = f"grep -E '^(Uid|CapEff|CapPrm|NoNewPrivs|Groups)' /proc/self/status; cat /dev/fd/{file.fileno()} {other}; :"
        lines = commands.run(["sh", "-c", script], timeout_s=10, confined_to=[file.fileno()]).splitlines()
    status = dict(line.split(":\t") for line in lines if ":\t" in line)
    assert "0" not in status["Uid"].split()
    assert (int(status["CapEff"], 16), int(status["CapPrm"], 16), status["Groups"].strip(), status["NoNewPrivs"]) == (0, 0, "", "1")
    assert lines[-1] == "own"
    assert own.stat().st_uid == 0
