# SPDX-License-Identifier: Apache-2.0
"""[network]: the network worker and the networks that it makes."""

from oslo_config import cfg

GROUP = "network"
OPTIONS = [
    cfg.StrOpt("tunnel_ip", default="", help="This host's underlay address for VXLAN; empty: networks do not leave the host."),
    cfg.PortOpt("vxlan_port", default=4789, help="UDP port of VXLAN (RFC 7348)."),
    cfg.IntOpt("mtu", default=1450, min=576, max=9000, help="MTU of guests' networks: the underlay's less 50 bytes of VXLAN."),
    cfg.StrOpt("transit_cidr", default="100.64.0.0/16",
               help="Range for the point-to-point links between a host and the namespaces of its networks (RFC 6598)."),
    cfg.StrOpt("auto_cidr", default="10.0.0.0/24", help="Range of the network made for a project that asks for "
               "`networks: auto` and has none; projects' ranges may be alike."),
    cfg.StrOpt("dns_domain", default="novalocal", help="Domain of guests' names."),
    cfg.ListOpt("dns_servers", default=[], help="Name servers for guests whose subnet names none."),
    cfg.IntOpt("dhcp_lease_s", default=86400, min=120, help="Seconds for which a guest may use its address without asking again."),
    cfg.IntOpt("check_interval", default=10, min=1,
               help="Seconds between two looks whether dnsmasq and the filters of guests are still there."),
    cfg.BoolOpt("guests_reach_host", default=True,
                help="Whether guests may connect to services on the host itself. Off is safer where the host runs a "
                     "database, a message bus or consoles that listen on more than the loopback."),
    cfg.StrOpt("external_interface", default="",
               help="The host's device on the link of external networks: it answers ARP for floating addresses there. "
                    "Empty: these are routed to the host some other way."),
    cfg.StrOpt("driver", default="linux", choices=["linux", "fake"], help="linux: bridges, dnsmasq, nftables. fake: memory only."),
]
