# SPDX-License-Identifier: Apache-2.0
"""[quota]: limits of a project that has none of its own; -1: no limit. Names and defaults are Nova's."""

from oslo_config import cfg

GROUP = "quota"
OPTIONS = [
    cfg.IntOpt("instances", default=10, min=-1, help="Servers of a project."),
    cfg.IntOpt("cores", default=20, min=-1, help="CPUs of a project's servers."),
    cfg.IntOpt("ram", default=51200, min=-1, help="MiB of memory of a project's servers."),
    cfg.IntOpt("metadata_items", default=128, min=-1, help="Metadata items of one server."),
    cfg.IntOpt("injected_files", default=5, min=-1, help="Files given with a new server (`personality`, up to 2.56)."),
    cfg.IntOpt("injected_file_content_bytes", default=10240, min=-1, help="Bytes of one such file."),
    cfg.IntOpt("injected_file_path_length", default=255, min=-1, help="Bytes of one such file's path."),
    cfg.IntOpt("key_pairs", default=100, min=-1, help="Keypairs of a user."),
    cfg.IntOpt("server_groups", default=10, min=-1, help="Server groups of a project."),
    cfg.IntOpt("server_group_members", default=10, min=-1, help="Servers of one server group."),
    cfg.IntOpt("floating_ips", default=50, min=-1, help="Floating addresses of a project."),
    cfg.IntOpt("fixed_ips", default=-1, min=-1, help="Fixed addresses of a project; shown, but `ports` is what is counted."),
    cfg.IntOpt("routers", default=10, min=-1, help="Routers of a project."),
    cfg.IntOpt("networks", default=100, min=-1, help="Networks of a project."),
    cfg.IntOpt("subnets", default=100, min=-1, help="Subnets of a project."),
    cfg.IntOpt("ports", default=500, min=-1, help="Ports of a project."),
    cfg.IntOpt("security_groups", default=10, min=-1, help="Security groups of a project."),
    cfg.IntOpt("security_group_rules", default=100, min=-1, help="Security group rules of a project."),
]
