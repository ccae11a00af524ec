# SPDX-License-Identifier: Apache-2.0
"""[libvirt]: the hypervisor."""

from oslo_config import cfg

GROUP = "libvirt"
OPTIONS = [
    cfg.StrOpt("connection_uri", default="qemu:///system", help="libvirt daemon."),
    cfg.StrOpt("virt_type", default="auto", choices=["auto", "kvm", "qemu"],
               help="auto: kvm when a two-second probe proves that it runs guests, else qemu (TCG)."),
    cfg.StrOpt("vnc_listen", default="127.0.0.1", help="Address that guests' VNC servers listen on."),
]
