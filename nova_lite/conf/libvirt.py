# SPDX-License-Identifier: Apache-2.0
"""[libvirt]: the hypervisor."""

from oslo_config import cfg

GROUP = "libvirt"
OPTIONS = [
    cfg.StrOpt("connection_uri", default="qemu:///system", help="libvirt daemon."),
    cfg.StrOpt("virt_type", default="auto", choices=["auto", "kvm", "qemu"],
               help="auto: kvm when a two-second probe proves that it runs guests, else qemu (TCG)."),
    cfg.StrOpt("hw_machine_type", default="",
               help="Machine type of guests whose image names none; empty: pc on x86_64, virt on aarch64."),
    cfg.IntOpt("tb_cache_mb", default=32, min=1,
               help="MiB of translated code that a guest without KVM keeps; QEMU's own default is 1 GiB."),
    cfg.IntOpt("call_timeout", default=60, min=1,
               help="Seconds after which a call to libvirt that has not answered counts as failed."),
    cfg.IntOpt("device_detach_attempts", default=8, min=1,
               help="How many times device_detach_timeout a running guest has to let go of a device."),
    cfg.IntOpt("device_detach_timeout", default=20, min=1,
               help="Seconds; times device_detach_attempts, a detach may take before it has failed."),
]
