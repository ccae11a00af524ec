# SPDX-License-Identifier: Apache-2.0
"""[compute]: the compute worker."""

from oslo_config import cfg

GROUP = "compute"
OPTIONS = [
    cfg.StrOpt("driver", default="libvirt", choices=["libvirt", "fake"], help="libvirt: real guests. fake: memory only."),
    cfg.IntOpt("fake_hosts", default=1, min=1, help="Hosts that one worker simulates with the fake driver."),
    cfg.StrOpt("instances_path", default="", help="Directory of guests' disks; empty: instances in state_path."),
    cfg.StrOpt("availability_zone", default="nova", help="Zone that this host is in."),
    cfg.IntOpt("reserved_host_memory_mb", default=512, min=0, help="MiB kept for the host itself."),
    cfg.IntOpt("reserved_host_disk_mb", default=0, min=0, help="MiB of disk kept for the host itself."),
    cfg.IntOpt("shutdown_timeout", default=60, min=0, help="Seconds that a guest gets to power off by itself."),
    cfg.IntOpt("max_concurrent_builds", default=10, min=1, help="Builds that one worker runs at once."),
]
