#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Recorded: what nova-network of release 0.1 ran for two guests on a routed network, one with a floating address.
# $1: the state directory, in which its files are. Then the host is as 0.1 leaves it to the next release.
set -e
cd /

sysctl -q -w net.ipv4.ip_forward=1
nft -f - <<'EOF'
add table inet nova
delete table inet nova
add table bridge nova
delete table bridge nova
table inet nova {
 set bridges { type ifname; }
 set floating { type ipv4_addr; }
 map zones { typeof iifname : ct zone; }
 map egress { type ifname . ipv4_addr : verdict; }
 map ingress { type ifname . ipv4_addr : verdict; }
 chain zone {
  type filter hook prerouting priority raw; policy accept;
  ct zone set iifname map @zones
 }
 chain isolate {
  type filter hook forward priority filter - 5; policy accept;
  iifname "up-*" oifname "up-*" ct state established,related accept
  iifname "up-*" oifname "up-*" ip daddr @floating accept
  iifname "up-*" oifname "up-*" drop
 }
 chain out {
  type filter hook forward priority filter; policy accept;
  iifname != @bridges accept
  ct state vmap { established : accept, related : accept, invalid : drop }
  iifname . ip saddr vmap @egress
 }
 chain in {
  type filter hook forward priority filter + 5; policy accept;
  oifname != @bridges accept
  ct state established,related accept
  oifname . ip daddr vmap @ingress
 }
 chain nat {
  type nat hook postrouting priority srcnat; policy accept;
  ip saddr 100.64.0.0/16 oifname != "up-*" oifname != @bridges masquerade
 }
}
table bridge nova {
 set open { type ifname; }
 set secured { type ifname; }
 set mac { type ifname . ether_addr; }
 set source { type ifname . ether_addr . ipv4_addr; }
 set address { type ifname . ipv4_addr; }
 set gateway_mac { type ifname . ether_addr; }
 set gateway_address { type ifname . ipv4_addr; }
 chain from_guest {
  type filter hook prerouting priority -300; policy accept;
  iifname "vx-*" goto from_overlay
  iifname != "tap*" accept
  iifname @open accept
  ether type { 8021q, 8021ad } drop
  iifname . ether saddr != @mac drop
  ether type ip ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept
  ether type ip udp sport 67 udp dport 68 drop
  ether type ip iifname . ether saddr . ip saddr @source accept
  ether type arp arp saddr ip 0.0.0.0 iifname . arp saddr ether @mac accept
  ether type arp iifname . arp saddr ether . arp saddr ip @source accept
  ether type 0x8035 accept
  drop
 }
 chain from_overlay {
  iifname . ether saddr @gateway_mac drop
  iifname . ether daddr @gateway_mac drop
  ether type ip udp sport 67-68 udp dport 67-68 drop
  ether type arp iifname . arp saddr ip @gateway_address drop
  ether type arp iifname . arp daddr ip @gateway_address drop
 }
 chain to_guest {
  type filter hook forward priority filter; policy accept;
  oifname "vx-*" goto to_overlay
  oifname != "tap*" accept
  oifname @open accept
  oifname != @secured drop
  ether type arp accept
  ether type ip udp sport 67 udp dport 68 accept
  ether type ip oifname . ip daddr @address accept
  drop
 }
 chain to_overlay {
  oifname . ether saddr @gateway_mac drop
  oifname . ether daddr @gateway_mac drop
  ether type ip udp sport 67-68 udp dport 67-68 drop
  ether type arp oifname . arp saddr ip @gateway_address drop
  ether type arp oifname . arp daddr ip @gateway_address drop
 }
}
EOF
ip netns add nova-e0000001-0001-4000-8000-000000000000
nft -f - <<'EOF'
add element inet nova bridges { "br-e0000001-00" }
add element inet nova zones { "br-e0000001-00" : 1 }
add element bridge nova gateway_mac { "vx-e0000001-00" . 02:a4:69:50:8e:1c }
add element bridge nova gateway_address { "vx-e0000001-00" . 10.0.0.1 }
add element bridge nova gateway_address { "vx-e0000001-00" . 169.254.169.254 }
EOF
ip -batch - <<'EOF'
link add br-e0000001-00 type bridge forward_delay 0 stp_state 0 mcast_snooping 0
link set br-e0000001-00 address 02:c1:16:a6:c9:3b
link set br-e0000001-00 addrgenmode none
link set br-e0000001-00 mtu 1450 up
link add gw-e0000001-00 type veth peer name gw address 02:a4:69:50:8e:1c netns nova-e0000001-0001-4000-8000-000000000000
link set gw-e0000001-00 addrgenmode none
link set gw-e0000001-00 mtu 1450 master br-e0000001-00 up
link add up-e0000001-00 type veth peer name uplink netns nova-e0000001-0001-4000-8000-000000000000
link set up-e0000001-00 addrgenmode none
addr replace 100.64.0.0/31 dev up-e0000001-00
link set up-e0000001-00 up
route replace 10.0.0.0/24 via 100.64.0.1 dev up-e0000001-00 onlink
link add vx-e0000001-00 type vxlan id 101 local 192.0.2.1 dstport 4789 learning
link set vx-e0000001-00 addrgenmode none
link set vx-e0000001-00 mtu 1450 master br-e0000001-00 up
EOF
ip netns exec nova-e0000001-0001-4000-8000-000000000000 sysctl -q -w net.ipv4.ip_forward=1
ip netns exec nova-e0000001-0001-4000-8000-000000000000 sysctl -q -w net.ipv4.conf.all.send_redirects=0
ip netns exec nova-e0000001-0001-4000-8000-000000000000 sysctl -q -w net.ipv4.conf.default.send_redirects=0
ip netns exec nova-e0000001-0001-4000-8000-000000000000 sysctl -q -w net.ipv4.conf.all.arp_ignore=1
ip netns exec nova-e0000001-0001-4000-8000-000000000000 sysctl -q -w net.ipv4.conf.all.arp_announce=2
ip netns exec nova-e0000001-0001-4000-8000-000000000000 ip -batch - <<'EOF'
link set lo up
link set gw addrgenmode none
link set gw mtu 1450 up
addr replace 10.0.0.1/24 dev gw
addr replace 169.254.169.254/32 dev gw
link set uplink addrgenmode none
addr replace 100.64.0.1/31 dev uplink
link set uplink up
route replace default via 100.64.0.0 dev uplink
EOF
ip netns exec nova-e0000001-0001-4000-8000-000000000000 nft -f - <<'EOF'
add table ip nova
delete table ip nova
table ip nova {
 chain forward {
  type filter hook forward priority filter; policy accept;
  ip daddr 169.254.0.0/16 drop
 }
 chain postrouting {
  type nat hook postrouting priority srcnat; policy accept;
  oifname "uplink" masquerade
 }
}
EOF
ip netns exec nova-e0000001-0001-4000-8000-000000000000 dnsmasq --conf-file=/dev/null \
    "--pid-file=$1/network/dhcp/e0000001-0001-4000-8000-000000000000/pid" --user=root --bind-interfaces --interface=gw \
    --except-interface=lo --no-hosts --no-ping --quiet-dhcp --bogus-priv --dhcp-authoritative \
    "--dhcp-hostsfile=$1/network/dhcp/e0000001-0001-4000-8000-000000000000/hosts" \
    "--dhcp-leasefile=$1/network/dhcp/e0000001-0001-4000-8000-000000000000/leases" --dhcp-lease-max=256 --domain=novalocal \
    --local=/novalocal/ --dhcp-option=26,1450 --resolv-file=/etc/resolv.conf \
    --dhcp-range=set:s0,10.0.0.0,static,255.255.255.0,86400s --dhcp-option=tag:s0,3,10.0.0.1 --dhcp-option=tag:s0,6,10.0.0.1 \
    --dhcp-option=tag:s0,121,169.254.169.254/32,10.0.0.1,0.0.0.0/0,10.0.0.1
ip netns exec nova-e0000001-0001-4000-8000-000000000000 nft -f - <<'EOF'
add table ip nova_floating
delete table ip nova_floating
table ip nova_floating {
 map inward { type ipv4_addr : ipv4_addr; elements = { 172.24.4.50 : 10.0.0.11 } }
 map outward { type ipv4_addr : ipv4_addr; elements = { 10.0.0.11 : 172.24.4.50 } }
 chain prerouting {
  type nat hook prerouting priority dstnat; policy accept;
  dnat to ip daddr map @inward
 }
 chain postrouting {
  type nat hook postrouting priority srcnat - 5; policy accept;
  oifname "uplink" snat to ip saddr map @outward
  oifname "gw" ip saddr { 10.0.0.0/24 } ct status dnat masquerade
 }
}
EOF
ip -batch - <<'EOF'
route replace 172.24.4.50/32 via 100.64.0.1 dev up-e0000001-00 onlink proto 199
EOF
nft -f - <<'EOF'
add set inet nova m-c0000001-0001-4000-8000-000000000000 { type ifname . ipv4_addr; }
add chain inet nova gi-c0000001-0001-4000-8000-000000000000
add chain inet nova ge-c0000001-0001-4000-8000-000000000000
add set inet nova m-c0000001-0001-4000-8000-000000000000 { type ifname . ipv4_addr; }
flush set inet nova m-c0000001-0001-4000-8000-000000000000
add element inet nova m-c0000001-0001-4000-8000-000000000000 { "br-e0000001-00" . 10.0.0.11, "br-e0000001-00" . 10.0.0.12 }
add chain inet nova gi-c0000001-0001-4000-8000-000000000000
flush chain inet nova gi-c0000001-0001-4000-8000-000000000000
add rule inet nova gi-c0000001-0001-4000-8000-000000000000 meta l4proto 1 accept
add rule inet nova gi-c0000001-0001-4000-8000-000000000000 tcp dport 22-22 accept
add chain inet nova ge-c0000001-0001-4000-8000-000000000000
flush chain inet nova ge-c0000001-0001-4000-8000-000000000000
add rule inet nova ge-c0000001-0001-4000-8000-000000000000 accept
add chain inet nova pi-a0000001-0001-4000-8000-000000000000
flush chain inet nova pi-a0000001-0001-4000-8000-000000000000
add rule inet nova pi-a0000001-0001-4000-8000-000000000000 udp sport 67 udp dport 68 accept
add rule inet nova pi-a0000001-0001-4000-8000-000000000000 jump gi-c0000001-0001-4000-8000-000000000000
add rule inet nova pi-a0000001-0001-4000-8000-000000000000 drop
add chain inet nova pe-a0000001-0001-4000-8000-000000000000
flush chain inet nova pe-a0000001-0001-4000-8000-000000000000
add rule inet nova pe-a0000001-0001-4000-8000-000000000000 udp sport 68 udp dport 67 accept
add rule inet nova pe-a0000001-0001-4000-8000-000000000000 ip daddr 169.254.169.254 tcp dport 80 accept
add rule inet nova pe-a0000001-0001-4000-8000-000000000000 jump ge-c0000001-0001-4000-8000-000000000000
add rule inet nova pe-a0000001-0001-4000-8000-000000000000 drop
add element bridge nova secured { "tapa0000001-00" }
add element bridge nova mac { "tapa0000001-00" . fa:16:3e:00:00:01 }
add element bridge nova source { "tapa0000001-00" . fa:16:3e:00:00:01 . 10.0.0.11 }
add element bridge nova address { "tapa0000001-00" . 10.0.0.11 }
add element inet nova egress { "br-e0000001-00" . 10.0.0.11 : jump pe-a0000001-0001-4000-8000-000000000000 }
add element inet nova ingress { "br-e0000001-00" . 10.0.0.11 : jump pi-a0000001-0001-4000-8000-000000000000 }
add element inet nova floating { 172.24.4.50 }
EOF
nft -f - <<'EOF'
add set inet nova m-c0000001-0001-4000-8000-000000000000 { type ifname . ipv4_addr; }
add chain inet nova gi-c0000001-0001-4000-8000-000000000000
add chain inet nova ge-c0000001-0001-4000-8000-000000000000
add chain inet nova pi-a0000002-0002-4000-8000-000000000000
flush chain inet nova pi-a0000002-0002-4000-8000-000000000000
add rule inet nova pi-a0000002-0002-4000-8000-000000000000 udp sport 67 udp dport 68 accept
add rule inet nova pi-a0000002-0002-4000-8000-000000000000 jump gi-c0000001-0001-4000-8000-000000000000
add rule inet nova pi-a0000002-0002-4000-8000-000000000000 drop
add chain inet nova pe-a0000002-0002-4000-8000-000000000000
flush chain inet nova pe-a0000002-0002-4000-8000-000000000000
add rule inet nova pe-a0000002-0002-4000-8000-000000000000 udp sport 68 udp dport 67 accept
add rule inet nova pe-a0000002-0002-4000-8000-000000000000 ip daddr 169.254.169.254 tcp dport 80 accept
add rule inet nova pe-a0000002-0002-4000-8000-000000000000 jump ge-c0000001-0001-4000-8000-000000000000
add rule inet nova pe-a0000002-0002-4000-8000-000000000000 drop
add element bridge nova secured { "tapa0000002-00" }
add element bridge nova mac { "tapa0000002-00" . fa:16:3e:00:00:02 }
add element bridge nova source { "tapa0000002-00" . fa:16:3e:00:00:02 . 10.0.0.12 }
add element bridge nova address { "tapa0000002-00" . 10.0.0.12 }
add element inet nova egress { "br-e0000001-00" . 10.0.0.12 : jump pe-a0000002-0002-4000-8000-000000000000 }
add element inet nova ingress { "br-e0000001-00" . 10.0.0.12 : jump pi-a0000002-0002-4000-8000-000000000000 }
EOF
