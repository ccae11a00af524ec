# SPDX-License-Identifier: Apache-2.0
"""[conductor]: nova-conductor, which runs the workflows and the reconcilers."""

from oslo_config import cfg

GROUP = "conductor"
OPTIONS = [
    cfg.IntOpt("workers", default=16, min=1, help="""
Number of workflows that one conductor runs at the same time; the
others wait in order.

The default matches `[database] max_pool_size`. Raise it, with the
pool, where creates and resizes queue although hosts are idle, or
start another conductor. Each costs a thread and, during a step, a
database connection.
"""),
    cfg.IntOpt("lease_s", default=10, min=5, help="""
Time after which another conductor may take over the actions of one
that has stopped renewing its leases, in seconds.

Leases are renewed three times in that period. The default resumes
the work of a dead conductor within seconds. Raise it where the
database is slow or hosts pause: a conductor that loses its lease
while it is alive repeats a step.
"""),
    cfg.IntOpt("reconcile_interval", default=5, min=1, help="""
Interval between two runs of the reconcilers, in seconds: lost
casts, expired leases and timers. Rarer ones run at a multiple of it
(network state each 12th time, purge each 720th).

The default bounds the delay after a lost message. Each run costs
some queries per conductor; raise it where these are noticed and
slower recovery is acceptable.
"""),
    cfg.IntOpt("build_attempts", default=3, min=1, max=99, help="""
Maximum number of hosts on which a create is attempted before the
server goes to ERROR.

The default is Nova's. More attempts hide a broken host from users
and prolong the wait for the error; 1 reports the first failure at
once.
"""),
    cfg.IntOpt("purge_deleted_after_days", default=30, min=1, help="""
Time for which deleted servers and their actions are kept, in days.

Until then admins list them with `deleted=True` and usage reports
include them. The default covers a month of accounting; longer
periods cost rows in servers, actions and events.
"""),
    cfg.IntOpt("action_timeout", default=120, min=10, help="""
Time without a report after which an action of one step on one host
(pause, stop, reboot, ...) is sent to the host again, in seconds.

An action that cannot be repeated fails instead. The default is
longer than a guest takes to shut down: keep it above `[compute]
shutdown_timeout`. Lower values recover a lost message sooner and
repeat requests to hosts that are only slow.
"""),
]
