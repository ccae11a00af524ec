# SPDX-License-Identifier: Apache-2.0
"""Fetches and unpacks the Debian packages that the guest is made of, and keeps them for the next build."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.lib.guest.commands import BuildError, run

KERNEL_META = "linux-image-cloud-amd64"
# Programs, then the libraries they need. The closure is checked when the initrd is made, so a gap is an error there.
PACKAGES = (
    "busybox-static", "dropbear-bin", "qemu-guest-agent", "util-linux",
    "libblkid1", "libc6", "libcrypt1", "libglib2.0-0", "libgmp10", "libmount1", "libnuma1", "libpcre2-8-0",
    "libselinux1", "libsmartcols1", "libtinfo6", "libtomcrypt1", "libtommath1", "libudev1", "liburing2",
    "zlib1g",
)  # fmt: skip
_LISTS = Path("/var/lib/apt/lists")
# As root, apt would drop to a user that cannot write our directory, and warn about it.
_APT = ("-o", "APT::Sandbox::User=root", "-o", "DPkg::Lock::Timeout=120", "-q")


@dataclass(frozen=True, kw_only=True)
class PackageSet:
    """What is unpacked: `key` names the exact versions of `names`, `lists_ns` the age of apt's lists that chose them."""

    key: str
    kernel: str
    lists_ns: int
    names: list[str]


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """Unpacked packages: `kernel` has boot/ and lib/modules/, `root` everything else; `version` is `uname -r`."""

    key: str
    version: str
    kernel: Path
    root: Path

    @property
    def vmlinuz(self) -> Path:
        return self.kernel / "boot" / f"vmlinuz-{self.version}"


def unpacked(work: Path, *, say: Callable[[str], None]) -> Unpacked:
    """Return the newest packages that apt knows, unpacked below `work`; download them when they are not there.

    :raises BuildError: apt cannot name or fetch them and none are kept.
    """
    kept = _kept(work)
    if kept and (kept.lists_ns == _lists_ns() or not _apt_knows_kernel()):
        return _open(work, kept)
    wanted = _wanted(say)
    if not (work / wanted.key).exists():
        _fetch(work, wanted, say=say)
    (work / "packages.json.new").write_text(json.dumps(asdict(wanted)))
    (work / "packages.json.new").replace(work / "packages.json")
    for old in work.glob("packages-*"):
        if old.name != wanted.key:
            shutil.rmtree(old)
    return _open(work, wanted)


def _kept(work: Path) -> PackageSet | None:
    try:
        kept = PackageSet(**json.loads((work / "packages.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return kept if kept.names == list(PACKAGES) and (work / kept.key).is_dir() else None


def _lists_ns() -> int:
    return max((path.stat().st_mtime_ns for path in _LISTS.glob("*Packages*")), default=0)


def _apt_knows_kernel() -> bool:
    return _kernel() is not None


def _kernel() -> str | None:
    """Return the name of the newest cloud kernel's package, or None when apt has no lists."""
    try:
        depends = run("apt-cache", "depends", KERNEL_META)
    except BuildError:
        return None
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    return found.group(1) if found else None


def _wanted(say: Callable[[str], None]) -> PackageSet:
    kernel = _kernel()
    if kernel is None:
        say("apt has no package lists: apt-get update")
        run("apt-get", *_APT, "update")
        kernel = _kernel()
    if kernel is None:
        raise BuildError(
            f"apt does not know {KERNEL_META}",
            remedy="use Debian 12 on amd64 with a main section in /etc/apt/sources.list",
        )
    uris = run("apt-get", *_APT, "--print-uris", "download", kernel, *PACKAGES)
    # 'URI' FILE SIZE SHA256:HASH - the host of the URI may change, what is behind it not
    files = sorted(line.split("' ", 1)[1] for line in uris.splitlines() if line.startswith("'"))
    digest = hashlib.sha256("\n".join(files).encode()).hexdigest()[:16]
    return PackageSet(key=f"packages-{digest}", kernel=kernel, lists_ns=_lists_ns(), names=list(PACKAGES))


def _fetch(work: Path, wanted: PackageSet, *, say: Callable[[str], None]) -> None:
    with tempfile.TemporaryDirectory(dir=work, prefix="fetch-") as name:
        fetched = Path(name)
        # apt checks each file against the signed lists' hash
        try:
            run("apt-get", *_APT, "download", wanted.kernel, *PACKAGES, directory=fetched)
        except BuildError:
            say("a package is gone from the mirror: apt-get update, then once more")
            run("apt-get", *_APT, "update")
            run("apt-get", *_APT, "download", wanted.kernel, *PACKAGES, directory=fetched)
        archives = sorted(fetched.glob("*.deb"))
        size = sum(path.stat().st_size for path in archives)
        say(f"downloaded {len(archives)} packages, {size / 1e6:.0f} MB")
        tree = fetched / "tree"
        for archive in archives:
            part = "kernel" if archive.name.startswith("linux-image") else "root"
            (tree / part).mkdir(parents=True, exist_ok=True)
            run("dpkg", "-x", archive, tree / part)
        run("depmod", "-b", tree / "kernel", _version(tree))
        tree.rename(work / wanted.key)
        say("unpacked them")


def _version(tree: Path) -> str:
    versions = [path.name for path in (tree / "kernel" / "lib" / "modules").iterdir()]
    if len(versions) != 1:
        raise BuildError(f"{tree} holds kernels {versions}, not one", remedy="remove the --work directory")
    return versions[0]


def _open(work: Path, kept: PackageSet) -> Unpacked:
    tree = work / kept.key
    return Unpacked(key=kept.key, version=_version(tree), kernel=tree / "kernel", root=tree / "root")
