# SPDX-License-Identifier: Apache-2.0
"""[quota]: limits of projects that have none of their own. Names and defaults are Nova's and Neutron's."""

from oslo_config import cfg

GROUP = "quota"

# Every limit is enforced where a resource is created: to lower one takes nothing away.
OPTIONS = [
    cfg.IntOpt("instances", default=10, min=-1, help="""
Maximum number of servers of a project. -1: no limit.

A server in ERROR counts until it is deleted; one that is
SOFT_DELETED does not.
"""),
    cfg.IntOpt("cores", default=20, min=-1, help="""
Maximum number of virtual CPUs of all servers of a project. -1: no
limit.

Stopped and shelved servers count, since they may be started again.
"""),
    cfg.IntOpt("ram", default=51200, min=-1, help="""
Maximum memory of all servers of a project, in MiB. -1: no limit.

Stopped and shelved servers count, since they may be started again.
"""),
    cfg.IntOpt("metadata_items", default=128, min=-1, help="""
Maximum number of metadata items of one server or image. -1: no
limit.

Each is a row, and part of what guests read from the metadata
service.
"""),
    cfg.IntOpt("injected_files", default=5, min=-1, help="""
Maximum number of files injected into a new server (`personality`,
up to microversion 2.56). -1: no limit.

User data has replaced them; set 0 to refuse them.
"""),
    cfg.IntOpt("injected_file_content_bytes", default=10240, min=-1, help="""
Maximum size of one injected file, in bytes. -1: no limit.

They travel in the request and in the message to the host: keep all
of them below `[api] max_request_body_size`.
"""),
    cfg.IntOpt("injected_file_path_length", default=255, min=-1, help="""
Maximum length of an injected file's path, in bytes. -1: no limit.

The limit of usual file systems is the default.
"""),
    cfg.IntOpt("key_pairs", default=100, min=-1, help="""
Maximum number of keypairs of a user, over all projects. -1: no
limit.

They cost little; the limit bounds mistakes of scripts.
"""),
    cfg.IntOpt("server_groups", default=10, min=-1, help="""
Maximum number of server groups of a project. -1: no limit.

They cost little; the limit bounds mistakes of scripts.
"""),
    cfg.IntOpt("server_group_members", default=10, min=-1, help="""
Maximum number of servers in one server group. -1: no limit.

Each placement reads the hosts of all members; anti-affinity needs
as many hosts as members.
"""),
    cfg.IntOpt("floating_ips", default=50, min=-1, help="""
Maximum number of floating IPs of a project. -1: no limit.

Lower it where external addresses are few.
"""),
    cfg.IntOpt("fixed_ips", default=-1, min=-1, help="""
Maximum number of fixed IPs of a project, in Nova's legacy answers
only. -1: no limit.

It is shown and not enforced: `ports` limits them.
"""),
    cfg.IntOpt("routers", default=10, min=-1, help="""
Maximum number of routers of a project. -1: no limit.

The network that `networks: auto` creates has one.
"""),
    cfg.IntOpt("networks", default=100, min=-1, help="""
Maximum number of networks of a project. -1: no limit.

Each costs a namespace, a bridge and a dnsmasq on every host with a
guest in it.
"""),
    cfg.IntOpt("subnets", default=100, min=-1, help="""
Maximum number of subnets of a project. -1: no limit.

Each costs a DHCP range on every host with a guest in its network.
"""),
    cfg.IntOpt("ports", default=500, min=-1, help="""
Maximum number of ports of a project, and with it of network
interfaces of servers. -1: no limit.

Each has an address and a device on its host.
"""),
    cfg.IntOpt("security_groups", default=10, min=-1, help="""
Maximum number of security groups of a project. -1: no limit.

Each costs an nftables set and its rules on every host with a
member.
"""),
    cfg.IntOpt("security_group_rules", default=100, min=-1, help="""
Maximum number of security group rules of a project, the rules of
its default group included. -1: no limit.

Each packet of a new connection is compared with the rules of its
port's groups.
"""),
    cfg.IntOpt("image_count_total", default=100, min=-1, help="""
Maximum number of images of a project, snapshots and those without
data included. -1: no limit.

Each is a row that is copied into the servers made from it. The name
is Glance's.
"""),
    cfg.IntOpt("image_size_total", default=262144, min=-1, help="""
Maximum size of the data of all images of a project, uploads under
way included, in MiB. -1: no limit.

The default is 256 GiB. Lower it where `[image] store_path` is small:
what is stored there is limited by nothing else per project.
"""),
]
