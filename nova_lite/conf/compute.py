# SPDX-License-Identifier: Apache-2.0
"""[compute]: nova-compute, and the periods after which servers are reclaimed, offloaded or confirmed."""

from oslo_config import cfg

GROUP = "compute"
OPTIONS = [
    cfg.StrOpt("driver", default="libvirt", choices=[
        ("libvirt", "guests of QEMU or KVM through libvirt"),
        ("fake", "guests in memory only, for tests of clients and of scale"),
    ], help="""
Hypervisor of this host.

Choose fake in CI jobs that need an API but no guests. Do not change
it while the host has servers: each driver finds only its own
guests.
"""),
    cfg.IntOpt("fake_hosts", default=1, min=1, help="""
Number of hosts that one nova-compute simulates with the fake
driver, named HOST-1 to HOST-N, or HOST if it is 1.

Raise it to test clients and schedulers at scale; each host costs a
few KiB and its share of every heartbeat.
"""),
    cfg.IntOpt("fake_vcpus", default=1000, min=1, help="""
Number of CPUs of each simulated host.

The default is so high that tests seldom fill a host. Lower it to
test the refusal of servers.
"""),
    cfg.IntOpt("fake_ram_mb", default=1048576, min=1, help="""
Memory of each simulated host, in MiB.

The default, 1 TiB, is so high that tests seldom fill a host. Lower
it to test the refusal of servers.
"""),
    cfg.IntOpt("fake_disk_gb", default=100000, min=1, help="""
Disk of each simulated host, in GiB.

The default is so high that tests seldom fill a host. Lower it to
test the refusal of servers.
"""),
    cfg.IntOpt("fake_huge_pages_mb", default=0, min=0, help="""
Memory in huge pages of 2 MiB of each simulated host, in MiB.

The default, 0, means none, as on most machines. Set it to test
flavors with `hw:mem_page_size`.
"""),
    cfg.StrOpt("instances_path", default="", help="""
Directory of guests' disks and of the cache of images.

Empty, the default: `instances` in `state_path`. Set it to use
another file system; move the directory with the daemon and all
guests stopped, since running guests have their disks open.
"""),
    cfg.StrOpt("availability_zone", default="nova", help="""
Availability zone of this host and of its volumes, unless it is in an aggregate that
has one.

The default is Nova's. Aggregates (`openstack aggregate create
--zone`) are the usual way to zones; set this where a host's place
is known when it is installed. A host keeps its zone while it has
servers.
"""),
    cfg.IntOpt("reserved_host_memory_mb", default=512, min=0, help="""
Memory of this host that is not allocated to guests, in MiB.

The default is Nova's and suits a host that runs nothing else. Raise
it on a host that also runs the control plane, a database or
storage: too little lets the kernel kill guests, too much leaves
memory unused.
"""),
    cfg.IntOpt("reserved_host_disk_mb", default=0, min=0, help="""
Disk space of this host that is not allocated to guests, in MiB,
rounded up to GiB.

The default is Nova's. Set it where `instances_path` shares its file
system with images, logs or a database. The cache of images is added
to it as it grows.
"""),
    cfg.IntOpt("shutdown_timeout", default=60, min=0, help="""
Time that a guest has to power off by itself when it is stopped,
soft-rebooted, resized or shelved, in seconds; its power is cut
afterwards.

The default is Nova's. Images may set their own (property
`os_shutdown_timeout`). Lower values stop guests sooner that ignore
ACPI; too low ones cost guests their unwritten data. 0 cuts the
power at once.
"""),
    cfg.IntOpt("reclaim_instance_interval", default=0, min=0, help="""
Time for which a deleted server can still be restored, in seconds;
0, the default, deletes it at once.

Set it to protect users from mistakes. Such a server is powered off
and leaves the quota, but keeps its place and its disks on the host.
Read by nova-api and nova-conductor: set the same value for both.
"""),
    cfg.IntOpt("shelved_offload_time", default=0, min=-1, help="""
Time after which a shelved server leaves its host, in seconds; 0,
the default, as part of the shelving; -1 only when a client requests
it.

The default frees the host at once, which is why most servers are
shelved. Longer times make an early unshelve fast and keep the place
allocated. Read by nova-conductor.
"""),
    cfg.IntOpt("resize_confirm_window", default=0, min=0, help="""
Time after which a resize is confirmed without the user, in seconds;
0, the default, waits for the user for ever.

Until then the host keeps the old disks, and both sizes are
allocated. Set it where users forget to confirm; after it the resize
cannot be reverted. Read by nova-conductor.
"""),
    cfg.IntOpt("max_concurrent_builds", default=10, min=1, help="""
Number of servers that one nova-compute builds at the same time; the
others wait.

The default is Nova's. Lower it on hosts with slow disks or a slow
link to the image service, where parallel copies delay all of them;
raise it on fast ones.
"""),
    cfg.BoolOpt("resume_guests_state_on_host_boot", default=True, help="""
Whether guests that ran before a restart of the machine are started
again.

The default brings a host back without an operator; Nova's is off.
Switch it off where guests must not run until storage or network has
been checked: their servers are then shown as SHUTOFF.
"""),
    cfg.IntOpt("sync_power_state_interval", default=600, min=10, help="""
Interval between two full reports of guests' power states, in
seconds.

Changes are reported as they happen; this one corrects what was
lost. The default is Nova's. Lower values correct sooner and cost
one listing of guests and one message per host.
"""),
    cfg.IntOpt("remove_unused_base_images_after", default=86400, min=60, help="""
Time after its last use that a cached image is kept while no guest
needs it, in seconds; the cache is examined every five minutes. While
less than a twentieth of the file system or 4 GiB is free, such images
go earlier.

The default, a day, lets a server with a recent image start without
a download. Raise it where disk space is plenty and images are large
or far away.
"""),
    cfg.IntOpt("image_timeout", default=30, min=1, help="""
Time without a byte from or to the image service after which a
transfer counts as broken, in seconds; downloads are attempted
again.

The default tolerates a busy image service. Raise it where storage
behind it pauses for longer; a dead one is then noticed later.
"""),
    cfg.IntOpt("image_convert_timeout", default=900, min=1, help="""
Maximum time of converting an image to raw or of copying a disk for
a snapshot, in seconds; the build or snapshot then fails.

The default suffices for some hundred GiB on a usual disk. Raise it
for larger images or slower disks.
"""),
    cfg.StrOpt("cpu_dedicated_set", default="", help="""
CPUs of this host for guests with `hw:cpu_policy` dedicated or
mixed, such as 2-7,^4: each is used by one guest's CPU only.

Empty, the default: none. Set it for guests that need predictable
latency; these CPUs are lost to all other guests. Do not remove CPUs
that a guest uses.
"""),
    cfg.StrOpt("cpu_shared_set", default="", help="""
CPUs of this host for guests without dedicated CPUs and for emulator
threads, such as 0-1.

Empty, the default: all that are not in `cpu_dedicated_set`. Set it
to keep CPUs free for the host's own programs. Only these count in
the allocation ratio.
"""),
    cfg.ListOpt("custom_traits", default=[], help="""
Traits of this host, such as CUSTOM_FAST_DISK.

Flavors require one by the extra spec
`trait:CUSTOM_FAST_DISK=required`. The default is none; set them
where hosts differ in what the driver cannot detect.
"""),
    cfg.PortOpt("console_port", default=0, help="""
TCP port on `my_ip` where nova-compute accepts connections of the
console proxies, authenticated by the user's console token.

0, the default, uses any free one. Set it where a firewall stands
between the proxies and the hosts. Traffic is not encrypted: keep it
on an internal network.
"""),
]
