# SPDX-License-Identifier: Apache-2.0
"""[DEFAULT]: what every daemon needs."""

import socket

from oslo_config import cfg

GROUP = "DEFAULT"
OPTIONS = [
    cfg.StrOpt("host", default=socket.gethostname(), sample_default="<host name>",
               help="Name of this host on the message bus and in os-services; must not change while it has servers."),
    cfg.StrOpt("my_ip", default="127.0.0.1", help="Address of this host that other hosts and operators see."),
    cfg.StrOpt("state_path", default="/var/lib/nova-lite", help="Directory for all that must survive a restart."),
    cfg.IntOpt("report_interval", default=5, min=1, help="Seconds between two heartbeats of a daemon."),
    cfg.IntOpt("service_down_time", default=20, min=2,
               help="Seconds without a heartbeat after which a daemon counts as down; more than report_interval."),
    cfg.StrOpt("concurrency", default="auto", choices=["auto", "threads", "eventlet"],
               help="How nova-api waits; auto: by native threads. The other daemons always use native threads."),
    cfg.StrOpt("failpoints", default="", help="Armed failpoints, for tests: name=crash|error|delay:SECONDS, comma separated."),
    cfg.StrOpt("paste_config", default="api-paste.ini", help="Paste file of the WSGI applications, beside nova.conf or absolute."),
]
