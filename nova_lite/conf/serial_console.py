# SPDX-License-Identifier: Apache-2.0
"""[serial_console]: serial consoles of guests over WebSocket, and nova-serialproxy."""

from oslo_config import cfg

from nova_lite.conf import types

GROUP = "serial_console"
OPTIONS = [
    cfg.BoolOpt("enabled", default=True, help="""
Whether users may connect to the first serial port of their guests.

The default suits a cloud with nova-serialproxy. Switch it off for
nova-api and nova-compute where there is none; the log of the
console (`openstack console log show`) works in any case.
"""),
    cfg.Opt("base_url", type=types.URL("ws", "wss"), default="", help="""
ws:// or wss:// URL of nova-serialproxy as users reach it; the token
is appended.

Empty, the default: `serialproxy_host` and `serialproxy_port`. Set
it where a proxy with TLS stands in front: browsers refuse ws:// in
pages that came over https. Read by nova-api.
"""),
    cfg.HostAddressOpt("serialproxy_host", default="127.0.0.1", help="""
Address or host name that nova-serialproxy listens on.

The default is reachable from this machine only. Set 0.0.0.0, or ::
for IPv6 too, or one address of the machine to serve others,
preferably behind a proxy that terminates TLS.
"""),
    cfg.PortOpt("serialproxy_port", default=6083, help="""
TCP port that nova-serialproxy listens on.

The default is Nova's. Change it where another program has the port;
an all-in-one cloud then uses a free one by itself.
"""),
]
