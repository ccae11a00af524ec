# SPDX-License-Identifier: Apache-2.0
"""[conductor]: workflows and reconcilers."""

from oslo_config import cfg

GROUP = "conductor"
OPTIONS = [
    cfg.IntOpt("workers", default=16, min=1, help="Actions that one conductor carries out at once."),
    cfg.IntOpt("lease_s", default=10, min=5,
               help="Seconds after which another conductor may take over the action of a silent one."),
    cfg.IntOpt("reconcile_interval", default=5, min=1, help="Seconds between two looks for lost hints and stale leases."),
    cfg.IntOpt("build_attempts", default=3, min=1, max=99, help="Hosts that a build tries."),
    cfg.IntOpt("purge_deleted_after_days", default=30, min=1,
               help="Days that deleted servers and their actions can still be looked at."),
    cfg.IntOpt("action_timeout", default=120, min=10,
               help="Seconds after which an action on one host that nobody reported on is asked for again."),
]
