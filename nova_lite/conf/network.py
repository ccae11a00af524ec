# SPDX-License-Identifier: Apache-2.0
"""[network]: nova-network and the networks that it creates."""

from oslo_config import cfg

from nova_lite.conf import types

GROUP = "network"
OPTIONS = [
    cfg.StrOpt("driver", default="linux", choices=[
        ("linux", "bridges, VXLAN, dnsmasq and nftables; needs CAP_NET_ADMIN"),
        ("fake", "networks in memory only, for the fake hypervisor"),
    ], help="""
How this host provides networks.

Choose fake together with `[compute] driver` fake. Guests of libvirt
need linux.
"""),
    cfg.Opt("tunnel_ip", type=types.IPv4Address(), default="", help="""
IPv4 address of this host on the underlay, from which VXLAN packets
are sent and to which other hosts send theirs.

Empty, the default: networks do not leave the host, which suits a
cloud on one machine. Set it on every host of a larger cloud. VXLAN
is not encrypted: use an internal network.
"""),
    cfg.PortOpt("vxlan_port", default=4789, help="""
UDP port of VXLAN.

The default is that of RFC 7348. It must be the same on all hosts
and open between them; change it where another overlay on these
hosts has the port.
"""),
    cfg.IntOpt("mtu", default=1450, min=576, max=9000, help="""
Maximum MTU of networks, in bytes, and the MTU of networks that are
created without one.

The default is that of Ethernet, 1500, less the 50 bytes of VXLAN's
headers. With jumbo frames on the underlay set its MTU less 50: too
large a value loses large packets between hosts. Networks that exist
keep theirs. Read by nova-api.
"""),
    cfg.Opt("transit_cidr", type=types.IPv4Network(), default="100.64.0.0/16", help="""
IPv4 range of the links between a host and the namespaces of its
networks, two addresses for each network on the host.

The default, of RFC 6598, has space for 32768 networks per host.
Change it where the range is used at your site, on a host without
networks. Subnets that overlap it are refused: set the same value
for nova-api and nova-network.
"""),
    cfg.Opt("auto_cidr", type=types.IPv4Network(), default="10.0.0.0/24", help="""
IPv4 range of the network that is created for a project when a
server requests `networks: auto` and the project has none.

Ranges of different projects may be equal, so one value serves all.
The default gives 253 servers an address; choose another range where
guests must reach 10.0.0.0/24 at your site. Networks that exist keep
theirs.
"""),
    cfg.StrOpt("dns_domain", default="novalocal", help="""
DNS domain of guests: dnsmasq resolves HOSTNAME.DOMAIN, and the
metadata service reports it.

The default is Nova's. Set the same value for nova-network and
nova-conductor. Empty: host names have no domain.
"""),
    cfg.ListOpt("dns_servers", item_type=types.IPv4Address(), default=[], help="""
IPv4 addresses of DNS servers to which the queries of guests are
forwarded if their subnets have none.

Empty, the default: those of the host (/etc/resolv.conf, or
systemd-resolved's). Set them where guests must not use the host's.
"""),
    cfg.IntOpt("dhcp_lease_s", default=86400, min=120, help="""
DHCP lease time of guests' addresses, in seconds.

An address belongs to its port, so a long lease risks no conflict.
The default, a day, costs little traffic. Lower it where changes of
DNS servers or routes must reach running guests sooner. The minimum
is dnsmasq's.
"""),
    cfg.IntOpt("check_interval", default=10, min=1, help="""
Interval between two checks that dnsmasq and the nftables rules of
guests are present, in seconds; missing ones are restored.

The default bounds how long a guest is without DHCP or filters after
someone else removed them. Lower values cost CPU time on hosts with
many networks.
"""),
    cfg.BoolOpt("guests_reach_host", default=False, help="""
Whether guests may open connections to services on the host itself.

Off, the default, guests reach metadata, DHCP and DNS of their
network only, and the outside by NAT. Switch it on only on a machine
for trials: a message bus, a database or consoles that listen on
more than the loopback are then open to every guest. Other hosts of
the cloud stay closed to guests, and so does VXLAN.
"""),
    cfg.ListOpt("protected_cidrs", item_type=types.IPv4Network(), default=[], help="""
IPv4 addresses and ranges that guests may not reach, on any host, in
addition to those of the cloud's hosts, message bus and database.

Empty, the default: `my_ip` and `tunnel_ip` of every host, and the
hosts of `transport_url` and `[database] connection`, which are
known. Add what else guests must not reach, such as the network of
management processors, or those hosts' other addresses. Read by
nova-conductor.
"""),
    cfg.StrOpt("external_interface", default="", help="""
Network device of this host on the link of external networks, such
as eth1: the host answers ARP for floating IPs there.

Empty, the default: the external range must be routed to the hosts
by other means. Set it where floating IPs are in the range of a link
that the host is on.
"""),
]
