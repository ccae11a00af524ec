# SPDX-License-Identifier: Apache-2.0
"""[compute]: the compute worker."""

from oslo_config import cfg

GROUP = "compute"
OPTIONS = [
    cfg.StrOpt("driver", default="libvirt", choices=["libvirt", "fake"], help="libvirt: real guests. fake: memory only."),
    cfg.IntOpt("fake_hosts", default=1, min=1,
               help="Hosts that one worker simulates with the fake driver: <host>-1 to <host>-N; 1: just <host>."),
    cfg.IntOpt("fake_vcpus", default=1000, min=1, help="Cores that each simulated host says it has."),
    cfg.IntOpt("fake_ram_mb", default=1048576, min=1, help="MiB of memory that each simulated host says it has."),
    cfg.IntOpt("fake_disk_gb", default=100000, min=1, help="GiB of disk that each simulated host says it has."),
    cfg.StrOpt("instances_path", default="", help="Directory of guests' disks; empty: instances in state_path."),
    cfg.StrOpt("availability_zone", default="nova", help="Zone that this host is in."),
    cfg.IntOpt("reserved_host_memory_mb", default=512, min=0, help="MiB kept for the host itself."),
    cfg.IntOpt("reserved_host_disk_mb", default=0, min=0, help="MiB of disk kept for the host itself."),
    cfg.IntOpt("shutdown_timeout", default=60, min=0, help="Seconds that a guest gets to power off by itself."),
    cfg.IntOpt("reclaim_instance_interval", default=0, min=0,
               help="Seconds that a deleted server can still be restored; 0: deleted at once."),
    cfg.IntOpt("shelved_offload_time", default=0, min=-1,
               help="Seconds that a shelved server stays on its host; 0: not at all. -1: until it is asked for."),
    cfg.IntOpt("resize_confirm_window", default=0, min=0,
               help="Seconds after which a resize is confirmed by itself; 0: only when it is asked for."),
    cfg.IntOpt("max_concurrent_builds", default=10, min=1, help="Builds that one worker runs at once."),
    cfg.BoolOpt("resume_guests_state_on_host_boot", default=True,
                help="After the host was restarted, start the guests that ran before."),
    cfg.IntOpt("sync_power_state_interval", default=600, min=10,
               help="Seconds between two full reports of guests' power states, in case one was lost."),
    cfg.IntOpt("remove_unused_base_images_after", default=86400, min=60,
               help="Seconds after its last use that a cached image is removed when no guest needs it."),
    cfg.IntOpt("image_timeout", default=30, min=1,
               help="Seconds without a byte from the image service after which a download is tried again."),
    cfg.IntOpt("image_convert_timeout", default=900, min=1, help="Seconds that turning an image into raw may take."),
    cfg.StrOpt("cpu_dedicated_set", default="",
               help="CPUs of the host, such as 2-7,^4, that only guests with hw:cpu_policy dedicated or mixed use, each for "
               "itself."),
    cfg.StrOpt("cpu_shared_set", default="",
               help="CPUs of the host that all other guests, and emulators that share, use; empty: all but cpu_dedicated_set."),
    cfg.ListOpt("custom_traits", default=[],
                help="What this host has, in words of the operator such as CUSTOM_FAST_DISK; flavors ask by trait:NAME=required."),
    cfg.IntOpt("fake_huge_pages_mb", default=0, min=0,
               help="MiB of memory in pages of 2 MiB that each simulated host says it has."),
    cfg.PortOpt("console_port", default=0,
                help="Port on my_ip where nova-compute lets the console proxies in, who show a user's token; 0: any free one."),
]
