# SPDX-License-Identifier: Apache-2.0
"""[scheduler]: nova-scheduler, which chooses the host of a server. Set the same values for nova-api and nova-scheduler."""

from oslo_config import cfg

GROUP = "scheduler"
OPTIONS = [
    cfg.FloatOpt("cpu_allocation_ratio", default=4.0, min=0.01, help="""
Allocation ratio of shared CPUs: virtual CPUs that may be allocated
per physical CPU of a host.

The default is Nova's for new hosts and suits guests that are mostly
idle. Lower it to 1.0 where guests compute all the time, since they
then wait for each other. Dedicated CPUs are never overcommitted.
"""),
    cfg.FloatOpt("ram_allocation_ratio", default=1.0, min=0.01, help="""
Allocation ratio of memory: MiB that may be allocated per MiB of a
host, its `[compute] reserved_host_memory_mb` excepted.

The default overcommits nothing: a host that runs out of memory
kills guests. Raise it only on hosts with enough swap or merged
pages. Huge pages are never overcommitted.
"""),
    cfg.FloatOpt("disk_allocation_ratio", default=1.0, min=0.01, help="""
Allocation ratio of disk: GiB that may be allocated per GiB of a
host, its `[compute] reserved_host_disk_mb` excepted.

Disks are sparse, so guests seldom use what their flavors have. The
default is safe all the same; raise it where free space is
monitored, since guests pause with an I/O error when a disk is full.
"""),
    cfg.FloatOpt("view_age_s", default=1.0, min=0.0, help="""
Maximum age of the scheduler's view of hosts, in seconds; 0 reads
all hosts for each placement.

A claim is checked by the database in any case, so an old view costs
a second choice, never overcommits, and puts no server on a host that
was disabled or forced down. Raise it in a cloud of thousands of hosts
to save reads; new hosts and those in trouble are then noticed later.
"""),
]
