# SPDX-License-Identifier: Apache-2.0
"""Checks of the machine: privileges, programs, kernel, hypervisor, disk; they change nothing on it."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from oslo_config import cfg

import nova_lite
from nova_lite.cmd.lite.diagnosis.finding import Finding, note, ok, problem
from nova_lite.compute.virt.libvirt.hardware import capability_probe

GIB = 1 << 30
# Room for the guest image, its unpacked copy, a guest's overlay and the first logs.
_MINIMUM_FREE, _LOW_FREE = GIB, 5 * GIB
_BRIDGED = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
_SECRETS = ("admin-password", "clouds.yaml", "fernet-keys", "nova-lite.sqlite", "openrc")
_OPEN_LIBVIRT = """\
import sys, libvirt
libvirt.registerErrorHandler(lambda opaque, error: None, None)
try:
    conn = libvirt.open(sys.argv[1])
    print(conn.getLibVersion(), conn.getVersion(), conn.numOfDomains())
except libvirt.libvirtError as error:
    sys.exit(str(error))
"""


def programs() -> dict[str, str]:
    """Programs that the workers run, and the Debian package of each."""
    arch = platform.machine()
    return {
        f"qemu-system-{arch}": "qemu-system-arm" if arch == "aarch64" else "qemu-system-x86", "qemu-img": "qemu-utils",
        "libvirtd": "libvirt-daemon-system", "virtlogd": "libvirt-daemon", "dnsmasq": "dnsmasq-base", "nft": "nftables",
        "ip": "iproute2", "bridge": "iproute2", "conntrack": "conntrack", "genisoimage": "genisoimage",
        "mkfs.ext4": "e2fsprogs", "mkswap": "util-linux", "prlimit": "util-linux", "setpriv": "util-linux",
    }


def check_root(_conf: cfg.ConfigOpts) -> Finding:
    if os.geteuid() == 0:
        return ok("this user is root")
    return problem("networks and guests of libvirt's system daemon need root", "sudo nova-lite …, or nova-lite up --fake")


def check_programs(_conf: cfg.ConfigOpts) -> Finding:
    path = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    packages = programs()
    missing = [name for name in packages if shutil.which(name, path=path) is None]
    if missing:
        return problem(f"not installed: {', '.join(missing)}",
                       f"apt-get install {' '.join(sorted({packages[name] for name in missing}))}")
    return ok(f"all {len(packages)} are installed")


def check_clock(_conf: cfg.ConfigOpts) -> Finding:
    """A clock that is behind the time of our own files is wrong: tokens and heartbeats would expire at once, or never."""
    newest = os.stat(nova_lite.__file__).st_mtime
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    if time.time() < newest - 60:
        return problem(f"the clock says {shown}, before this program was installed", "set it: date -s, or run chrony")
    return ok(f"{shown}")


def check_disk_space(conf: cfg.ConfigOpts) -> Finding:
    where = existing(Path(conf.state_path))
    free = shutil.disk_usage(where).free
    summary = f"{free / GIB:.1f} GiB free for {conf.state_path}"
    if free < _MINIMUM_FREE:
        return problem(f"{summary}: {_MINIMUM_FREE / GIB:.0f} GiB is the minimum", "free some space, or choose another --state DIR")
    if free < _LOW_FREE:
        return note(f"{summary}: enough for small guests only", "free some space, or choose another --state DIR")
    return ok(summary)


def existing(path: Path) -> Path:
    """The path, or the nearest directory above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def check_state_directory(conf: cfg.ConfigOpts) -> Finding:
    state = Path(conf.state_path)
    if not state.exists():
        parent = existing(state)
        if not os.access(parent, os.W_OK):
            return problem(f"{state} does not exist and {parent} is not writable", "choose another --state DIR")
        return note(f"{state} does not exist yet; nova-lite up creates it")
    facts = state.stat()
    if not os.access(state, os.W_OK):
        return problem(f"{state} is not writable for user {os.geteuid()}", f"chown -R {os.geteuid()} {state}")
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return problem(f"{state} is writable for others (mode {stat.S_IMODE(facts.st_mode):04o})", f"chmod go-w {state}")
    readable = [name for name in _SECRETS if (state / name).exists() and (state / name).stat().st_mode & 0o077]
    if readable:
        return problem(f"secrets are readable for others: {', '.join(readable)}",
                       f"chmod go= {' '.join(str(state / name) for name in readable)}")
    return ok(f"{state}, mode {stat.S_IMODE(facts.st_mode):04o}, secrets readable for their owner only")


def check_namespaces(_conf: cfg.ConfigOpts) -> Finding:
    """Create the devices of a network in a namespace of their own, which is removed again."""
    if os.geteuid() != 0:
        return problem("cannot be checked without root", "sudo nova-lite doctor")
    name = f"nova-doctor-{os.getpid()}"
    devices = ("link add br-try type bridge", "link add up-try type veth peer name uplink",
               "link add vx-try type vxlan id 1 local 127.0.0.1 dstport 4789 nolearning")
    failure = _error_of(["ip", "netns", "add", name])
    if failure is None:
        try:
            failures = [_error_of(["ip", "-n", name, *command.split()]) for command in devices]
        finally:
            _error_of(["ip", "netns", "delete", name])
        failure = next(filter(None, failures), None)
    if failure:
        return problem(f"the kernel refused: {failure}",
                       "use a kernel or container with CAP_NET_ADMIN, CAP_SYS_ADMIN, bridge, veth and vxlan")
    return ok("network namespaces, bridges, veth pairs and VXLAN devices can be created")


def check_packet_filter(_conf: cfg.ConfigOpts) -> Finding:
    """`nft --check` validates rules in the kernel and changes nothing."""
    rules = ("table inet nova_doctor { map zones { typeof iifname : ct zone; }; chain zone { type filter hook prerouting "
             "priority raw; ct zone set iifname map @zones; }; chain nat { type nat hook postrouting priority srcnat; "
             "oifname lo masquerade; }; }\n"
             "table bridge nova_doctor { chain from_guest { type filter hook prerouting priority -300; "
             "ether type arp arp saddr ip 0.0.0.0 drop; }; }\n")
    failure = _error_of(["nft", "--check", "-f", "-"], stdin=rules)
    if failure:
        return problem(f"nftables refused: {failure}",
                       "use a kernel with nf_tables for inet, bridge and nat; as root; package nftables")
    return ok("nftables filters bridges, has conntrack zones, and does NAT")


def check_bridge_filter(_conf: cfg.ConfigOpts) -> Finding:
    """Security groups depend on it."""
    if _BRIDGED.exists():
        if _BRIDGED.read_text().strip() == "1":
            return ok("net.bridge.bridge-nf-call-iptables is 1")
        return note("net.bridge.bridge-nf-call-iptables is 0; nova-network sets it to 1 when it starts")
    if _error_of(["modprobe", "--dry-run", "br_netfilter"]) is None:
        return note("br_netfilter is not loaded; nova-network loads it when it starts")
    return problem("the kernel has no br_netfilter: security groups cannot be enforced",
                   "modprobe br_netfilter, on the host itself if this is a container; or a kernel that has it")


def check_kvm(conf: cfg.ConfigOpts) -> Finding:
    """The same probe as nova-compute's: a test guest with a limit of two seconds."""
    if conf.libvirt.virt_type != "auto":
        return ok(f"not probed: [libvirt] virt_type is {conf.libvirt.virt_type}")
    emulator = f"qemu-system-{platform.machine()}"
    if shutil.which(emulator) is None:
        return problem(f"not probed: {emulator} is not installed", f"apt-get install {programs()[emulator]}")
    virt_type = capability_probe.probe(shutil.which(emulator) or emulator)
    if virt_type.type == capability_probe.KVM:
        return ok(virt_type.reason)
    return note(f"{virt_type.reason}. Guests run by QEMU's TCG instead: correct, and several times slower",
                "enable virtualization in the firmware, or nested virtualization on the machine's own host")


def check_libvirt(conf: cfg.ConfigOpts) -> Finding:
    """In a process of its own, so that a libvirtd that hangs does not block the other checks."""
    uri: str = conf.libvirt.connection_uri
    remedy = "systemctl start libvirtd; without systemd: tools/quickstart starts it"
    try:
        process = subprocess.run([sys.executable, "-c", _OPEN_LIBVIRT, uri], capture_output=True, text=True, timeout=15,
                              stdin=subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired:
        return problem(f"{uri} does not answer within 15 s", "systemctl restart libvirtd; guests keep running")
    except OSError as error:
        return problem(f"not checked: {error}", "sudo nova-lite doctor")
    if process.returncode:
        failure = (process.stderr.strip().splitlines() or [f"status {process.returncode}"])[-1]
        if "No module named" in failure:
            remedy = "pip install 'nova_lite[libvirt]' (compiled against the packages libvirt-dev, pkg-config and gcc)"
        return problem(f"{uri}: {failure}", remedy)
    library, hypervisor, guests = (int(number) for number in process.stdout.split())
    return ok(f"{uri} answers: libvirt {_dotted(library)}, QEMU {_dotted(hypervisor)}, guests running: {guests}")


def _dotted(version: int) -> str:
    return f"{version // 1000000}.{version // 1000 % 1000}.{version % 1000}"


def _error_of(command: Sequence[str], *, stdin: str = "") -> str | None:
    """None: it succeeded; else the first line of its output."""
    environment = {**os.environ, "PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin", "LC_ALL": "C"}
    try:
        process = subprocess.run(list(command), input=stdin, capture_output=True, text=True, timeout=10, check=False,
                              env=environment)
    except subprocess.TimeoutExpired:
        return f"{command[0]} did not end within 10 s"
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    if process.returncode == 0:
        return None
    return ((process.stderr or process.stdout).strip().splitlines() or [f"status {process.returncode}"])[0]
