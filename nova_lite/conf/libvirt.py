# SPDX-License-Identifier: Apache-2.0
"""[libvirt]: the hypervisor of nova-compute with `[compute] driver` libvirt."""

from oslo_config import cfg

GROUP = "libvirt"
OPTIONS = [
    cfg.StrOpt("connection_uri", default="qemu:///system", help="""
URI of the libvirt daemon.

The default is the system's daemon on this host. Change it only
where libvirtd listens on another socket: disks and devices are
prepared on the host where nova-compute runs, so the daemon must be
on the same.
"""),
    cfg.StrOpt("virt_type", default="auto", choices=[
        ("auto", "kvm if a probe of two seconds shows that it runs guests, else qemu; probed once per boot of the machine"),
        ("kvm", "hardware virtualization"),
        ("qemu", "emulation by QEMU (TCG), many times slower"),
    ], help="""
Virtualization of new guests.

The default also detects machines where /dev/kvm exists and fails,
as with some nested virtualization. Set kvm to refuse such a host
instead of running slow guests on it.
"""),
    cfg.StrOpt("hw_machine_type", default="", help="""
Machine type of guests whose image has no property
`hw_machine_type`, as `qemu-system-x86_64 -machine help` lists them.

Empty, the default: pc on x86_64 and virt on aarch64. Set q35 for
guests with PCI Express; guests keep their type until their next
hard reboot or rebuild.
"""),
    cfg.IntOpt("tb_cache_mb", default=32, min=1, help="""
Cache of translated code of one guest without KVM, in MiB.

QEMU's own default is 1 GiB, which a host with many small guests
does not have. Raise it where emulated guests are large and slow; it
costs so much memory per guest beyond its flavor's.
"""),
    cfg.IntOpt("call_timeout", default=60, min=1, help="""
Time after which a call to libvirt counts as failed, in seconds.

The default is longer than libvirtd takes to start a guest on a busy
host. Lower values notice a hung libvirtd sooner and fail slow calls
that would have succeeded.
"""),
    cfg.IntOpt("device_detach_attempts", default=8, min=1, help="""
Number of periods of `device_detach_timeout` that a running guest
has to release a device.

The default is Nova's. Raise it for guests that are slow to react;
users wait longer for the failure of those that never do.
"""),
    cfg.IntOpt("device_detach_timeout", default=20, min=1, help="""
Time of one period in which a running guest may release a device, in
seconds.

A detach fails after this time multiplied by
`device_detach_attempts`: with the defaults, which are Nova's, after
160 s.
"""),
]
