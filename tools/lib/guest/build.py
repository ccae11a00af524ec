# SPDX-License-Identifier: Apache-2.0
"""The command line of tools/guest-image: decides whether to build, builds beside the target, renames."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.lib.guest.commands import BuildError, missing_packages, run
from tools.lib.guest.disk import make_disk
from tools.lib.guest.initrd import make_initrd
from tools.lib.guest.packages import Unpacked, unpacked

WORK = Path("/var/cache/nova-lite/guest")
_SOURCES = Path(__file__).parent
_EPILOG = """\
Makes OUT.qcow2 (17 MB), and beside it OUT.kernel and OUT.initrd for booting without a disk, and OUT.inputs, by which
the next run knows that nothing changed. The guest runs in 128 MiB on any QEMU machine with virtio disk and network.
On its serial port it says what it does, in lines "@@ SECONDS WORD ..."; tools/lib/guest/root/init lists them. ssh as root,
by key.

Exit status: 0 the image is there; 1 it cannot be made; 2 this host lacks something. Both name the remedy.
"""


def main(arguments: Sequence[str]) -> int:
    """Make the image if it is not there already and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="tools/guest-image", description="Make nova_lite's small real guest image.", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", metavar="OUT.qcow2", type=Path, help="the image to make")
    parser.add_argument("--work", metavar="DIR", type=Path, default=WORK,
                        help="where unpacked Debian packages are kept between runs (default: %(default)s)")  # fmt: skip
    options = parser.parse_args(arguments)
    say = _progress()
    if platform.machine() != "x86_64":
        return _fail(2, f"this machine is {platform.machine()}; the guest is x86_64", remedy="use an x86_64 host")
    if missing := missing_packages():
        return _fail(2, f"these Debian packages are missing: {' '.join(missing)}", remedy="tools/install")
    try:
        make(options.out.absolute(), work=options.work.absolute(), say=say)
    except BuildError as error:
        return _fail(1, str(error), remedy=error.remedy)
    except OSError as error:
        return _fail(1, str(error), remedy="choose an OUT.qcow2 and a --work DIR that you can write, with 300 MB free")
    return 0


def make(out: Path, *, work: Path, say: Callable[[str], None]) -> None:
    """Make `out` from packages kept in `work`, unless it was made from the same inputs and is whole.

    :raises BuildError: a package cannot be had or a tool failed; `out` is then as it was.
    """
    work.mkdir(parents=True, exist_ok=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    with _locked(work / "lock", say=say):
        packages = unpacked(work, say=say)
        inputs = _inputs(packages)
        stamp = out.with_suffix(".inputs")
        if _is_made(out, stamp=stamp, inputs=inputs):
            say(f"{out} is up to date (kernel {packages.version}); nothing to do")
            return
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as name:
            _build(out, packages=packages, scratch=Path(name), say=say)
        stamp.write_text(json.dumps({"inputs": inputs, "sha256": _sha256(out)}) + "\n")
        say(f"made {out}: {out.stat().st_size / 1e6:.1f} MB, kernel {packages.version}")


def _build(out: Path, *, packages: Unpacked, scratch: Path, say: Callable[[str], None]) -> None:
    initrd, image, kernel = scratch / "made.initrd", scratch / "made.qcow2", scratch / "made.kernel"
    make_initrd(initrd, packages=packages, scratch=scratch)
    say(f"packed the root file system: {initrd.stat().st_size / 1e6:.1f} MB")
    make_disk(image, kernel=packages.vmlinuz, initrd=initrd, scratch=scratch)
    kernel.write_bytes(packages.vmlinuz.read_bytes())
    run("qemu-img", "check", "-q", image)
    initrd.replace(out.with_suffix(".initrd"))
    kernel.replace(out.with_suffix(".kernel"))
    image.replace(out)                    # last: the image appears after its companions


def _inputs(packages: Unpacked) -> str:
    """Hash what decides the image's content: the packages' versions and every file of tools/lib/guest."""
    digest = hashlib.sha256(packages.key.encode())
    for path in sorted(_SOURCES.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(_SOURCES)} {_sha256(path)}\n".encode())
    return digest.hexdigest()


def _is_made(out: Path, *, stamp: Path, inputs: str) -> bool:
    companions = (out, out.with_suffix(".initrd"), out.with_suffix(".kernel"))
    try:
        made = json.loads(stamp.read_text())
        return (
            all(path.exists() for path in companions)
            and made["inputs"] == inputs
            and made["sha256"] == _sha256(out)   # a guest that was booted from it has written to it
        )
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _locked(path: Path, *, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a work directory: two test runs may build at once."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build is running: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _progress() -> Callable[[str], None]:
    started = time.monotonic()

    def say(message: str) -> None:
        print(f"guest-image {time.monotonic() - started:5.1f} s  {message}", flush=True)

    return say


def _fail(status: int, message: str, *, remedy: str) -> int:
    print(f"tools/guest-image: {message}\n  remedy: {remedy}", file=sys.stderr)
    return status
