# SPDX-License-Identifier: Apache-2.0
"""One cloud's two nftables tables on a host: their hooks, maps and sets, still empty. They concern this cloud's bridges only."""

from __future__ import annotations

LEGACY_TABLE = "nova"  # of release 0.1, of whatever cloud
_REMOVE = """\
add table inet {table}
delete table inet {table}
add table bridge {table}
delete table bridge {table}
"""

# Guests share the host's stack with the cloud's own traffic, so each way from them into it is closed:
# - `genuine`: a network's namespace sends as its link, its floating addresses and its routed subnets only, and no IPv6.
# - `host`: frames for a bridge itself are for nobody; VXLAN of our segments is taken from the peers of that segment only
#   (`@th,96,24` is the segment's number, RFC 7348 section 5); what else comes from guests is up to `guests_reach_host`.
# - `isolate`: nothing is routed into or out of a bridge; guests reach neither the cloud's hosts nor other networks.
# Answers to what the host or another of the cloud's hosts has begun pass, so that it reaches guests.
_INET = """\
table inet {table} {{
 set bridges {{ type ifname; }}
 set taps {{ type ifname; }}
 set uplinks {{ type ifname; }}
 set senders {{ type ifname . ipv4_addr; }}
 set routed {{ type ifname . ipv4_addr; flags interval; }}
 set links {{ type ipv4_addr; }}
 set floating {{ type ipv4_addr; }}
 set protected {{ type ipv4_addr; flags interval; auto-merge; }}
 set resolvers {{ type ipv4_addr; }}
 set segments {{ typeof @th,96,24; }}
 set tunnels {{ typeof @th,96,24 . ip saddr; }}
 map zones {{ typeof iifname : ct zone; }}
 map egress {{ type ifname . ipv4_addr : verdict; }}
 map ingress {{ type ifname . ipv4_addr : verdict; }}
 chain zone {{
  type filter hook prerouting priority raw; policy accept;
  ct zone set iifname map @zones
 }}
 chain genuine {{
  type filter hook prerouting priority raw; policy accept;
  iifname != @uplinks accept
  iifname . ip saddr @senders accept
  iifname . ip saddr @routed accept
  drop
 }}
 chain host {{
  type filter hook input priority filter; policy accept;
  iifname @bridges drop
  iifname @taps drop
  udp dport {vxlan_port} @th,96,24 @segments @th,96,24 . ip saddr != @tunnels drop
  iifname != @uplinks accept
  udp dport {vxlan_port} drop
  {host}
 }}
 chain closed_host {{
  jump answers
  ip daddr @resolvers meta l4proto {{ tcp, udp }} th dport 53 accept
  drop
 }}
 chain answers {{
  ct state established ct direction reply accept
  ct state related meta l4proto icmp accept
 }}
 chain isolate {{
  type filter hook forward priority filter - 5; policy accept;
  iifname @bridges oifname != @bridges drop
  iifname != @bridges oifname @bridges drop
  iifname @taps drop
  iifname @uplinks goto from_guests
 }}
 chain from_guests {{
  ct state invalid drop
  jump answers
  udp dport {vxlan_port} drop
  ip daddr @resolvers meta l4proto {{ tcp, udp }} th dport 53 accept
  ip daddr @protected drop
  oifname != @uplinks accept
  ct state established,related accept
  ip daddr @floating accept
  drop
 }}
 chain out {{
  type filter hook forward priority filter; policy accept;
  iifname != @bridges accept
  ct state vmap {{ established : accept, related : accept, invalid : drop }}
  iifname . ip saddr vmap @egress
 }}
 chain in {{
  type filter hook forward priority filter + 5; policy accept;
  oifname != @bridges accept
  ct state established,related accept
  oifname . ip daddr vmap @ingress
 }}
 chain nat {{
  type nat hook postrouting priority srcnat; policy accept;
  ip saddr @links oifname != @uplinks oifname != @bridges masquerade
 }}
}}
"""

# Tagged frames are dropped: br_netfilter passes them by, and a guest takes a tag of VLAN 0 as none (CVE-2021-27853).
# 0x8035 is RARP: QEMU announces a guest's MAC by it after a migration, so that bridges learn the new place.
# A frame stays on its bridge. So a tap without a record, if it is on one of our bridges, is known by the port of ours that
# its frame goes to or comes from, and gets and sends nothing there: a guest that is started before its filters has no network.
# Other clouds' frames have no port of ours on either side. (Not every kernel has `meta ibrname`, which says it at once.)
# No frame of another host comes from a port that is `here`: the bridge, where it learns, would take that to have moved.
# DHCP: op, htype and hlen, no relay (giaddr), and chaddr, by which dnsmasq knows clients, are the port's own (RFC 2131 section 2).
_BRIDGE = """\
table bridge {table} {{
 set own {{ type ifname; }}
 set secured {{ type ifname; }}
 set chaddr {{ typeof iifname . @th,288,48; }}
 set mac {{ type ifname . ether_addr; }}
 set source {{ type ifname . ether_addr . ipv4_addr; }}
 set address {{ type ifname . ipv4_addr; }}
 set gateway_mac {{ type ifname . ether_addr; }}
 set here {{ type ifname . ether_addr; }}
 set gateway_address {{ type ifname . ipv4_addr; }}
 chain from_guest {{
  type filter hook prerouting priority -300; policy accept;
  iifname != @own accept
  iifname "vx-*" goto from_overlay
  iifname != @secured accept
  ether type {{ 8021q, 8021ad }} drop
  iifname . ether saddr != @mac drop
  ether type ip udp dport 67 jump dhcp_request
  ether type ip ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept
  ether type ip udp sport 67 udp dport 68 drop
  ether type ip iifname . ether saddr . ip saddr @source accept
  ether type arp arp saddr ip 0.0.0.0 iifname . arp saddr ether @mac accept
  ether type arp iifname . arp saddr ether . arp saddr ip @source accept
  ether type 0x8035 accept
  drop
 }}
 chain dhcp_request {{
  ip frag-off & 0x3fff != 0 drop
  @th,64,24 0x010106 @th,256,32 0 iifname . @th,288,48 @chaddr return
  drop
 }}
 chain to_host {{
  type filter hook input priority filter; policy accept;
  iifname @own drop
 }}
 chain from_host {{
  type filter hook output priority filter; policy accept;
  oifname @own drop
 }}
 chain from_overlay {{
  iifname . ether saddr @here drop
  iifname . ether saddr @gateway_mac drop
  iifname . ether daddr @gateway_mac drop
  ether type ip udp sport 67-68 udp dport 67-68 drop
  ether type arp iifname . arp saddr ip @gateway_address drop
  ether type arp iifname . arp daddr ip @gateway_address drop
 }}
 chain to_guest {{
  type filter hook forward priority filter; policy accept;
  iifname != @own oifname @own drop
  oifname != @own iifname @own drop
  oifname != @own accept
  oifname "vx-*" goto to_overlay
  oifname != @secured accept
  ether type arp accept
  ether type ip udp sport 67 udp dport 68 accept
  ether type ip oifname . ip daddr @address accept
  drop
 }}
 chain to_overlay {{
  oifname . ether saddr @gateway_mac drop
  oifname . ether daddr @gateway_mac drop
  ether type ip udp sport 67-68 udp dport 67-68 drop
  ether type arp oifname . arp saddr ip @gateway_address drop
  ether type arp oifname . arp daddr ip @gateway_address drop
 }}
}}
"""


def remove_tables(table: str) -> str:
    """Neither table is left; fine when there is none."""
    return _REMOVE.format(table=table)


def empty_tables(table: str, *, vxlan_port: int, is_host_open: bool) -> str:
    """Both tables new and without any network, replacing what is there within the same transaction."""
    host = "accept" if is_host_open else "goto closed_host"
    return "".join(part.format(table=table, vxlan_port=vxlan_port, host=host) for part in (_REMOVE, _INET, _BRIDGE))
