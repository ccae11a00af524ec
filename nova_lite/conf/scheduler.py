# SPDX-License-Identifier: Apache-2.0
"""[scheduler]: how hosts are chosen."""

from oslo_config import cfg

GROUP = "scheduler"
OPTIONS = [
    cfg.FloatOpt("cpu_allocation_ratio", default=4.0, min=0.01, help="Guest CPUs sold per host CPU."),
    cfg.FloatOpt("ram_allocation_ratio", default=1.0, min=0.01, help="Guest memory sold per host memory."),
    cfg.FloatOpt("disk_allocation_ratio", default=1.0, min=0.01, help="Guest disk sold per host disk."),
    cfg.FloatOpt("view_age_s", default=1.0, min=0.0,
                 help="Seconds that a scheduler trusts its view of the hosts; claims are guarded by the database anyway."),
]
