# SPDX-License-Identifier: Apache-2.0
"""[vnc]: graphical consoles of guests in a browser, and nova-novncproxy."""

from oslo_config import cfg

from nova_lite.conf import types

GROUP = "vnc"
OPTIONS = [
    cfg.BoolOpt("enabled", default=True, help="""
Whether guests have a graphics device and a VNC server, and users
may connect to it.

The default suits a cloud with nova-novncproxy. Switch it off for
nova-api and nova-compute where consoles are not offered: each guest
then needs less memory. Guests that run keep theirs until their next
hard reboot.
"""),
    cfg.Opt("novncproxy_base_url", type=types.URL("http", "https"), default="", help="""
URL of noVNC's page as users reach it; the token is appended.

Empty, the default: vnc_lite.html at `novncproxy_host` and
`novncproxy_port`. Set it where a proxy with TLS stands in front or
users are not on this machine. Read by nova-api.
"""),
    cfg.HostAddressOpt("novncproxy_host", default="127.0.0.1", help="""
Address or host name that nova-novncproxy listens on.

The default is reachable from this machine only. Set 0.0.0.0, or ::
for IPv6 too, or one address of the machine to serve others,
preferably behind a proxy that terminates TLS.
"""),
    cfg.PortOpt("novncproxy_port", default=6080, help="""
TCP port that nova-novncproxy listens on.

The default is Nova's. Change it where another program has the port;
an all-in-one cloud then uses a free one by itself.
"""),
    cfg.StrOpt("web", default="/usr/share/novnc", help="""
Directory of noVNC's files, which nova-novncproxy serves.

The default is that of Debian's package novnc. Set it where noVNC is
installed elsewhere; without its files the proxy serves WebSockets
only.
"""),
]
