# SPDX-License-Identifier: Apache-2.0
"""[api]: nova-api, the process of all API services."""

from oslo_config import cfg

from nova_lite.conf import types

GROUP = "api"
OPTIONS = [
    cfg.StrOpt("auth_strategy", default="local", choices=[
        ("local", "the built-in identity service issues and validates tokens"),
        ("keystone", "keystonemiddleware validates the tokens of the Keystone that section [keystone] names"),
    ], help="""
Service that validates tokens.

The default needs no other service. Choose keystone where users and
projects are in an existing Keystone; each new token then costs a
request to it, cached for `[keystone] token_cache_time`. Servers
keep the project ids that they were created with.
"""),
    cfg.HostAddressOpt("listen", version=4, default="127.0.0.1", help="""
IPv4 address or host name that nova-api listens on.

The default is reachable from this machine only. Set 0.0.0.0 or one
address of the machine to serve others, preferably behind a proxy
that terminates TLS: nova-api itself speaks plain HTTP.
"""),
    cfg.PortOpt("port", default=8774, help="""
TCP port that nova-api listens on.

All services share it, each below its own path (/v2.1, /identity,
/image, /network). The default is Nova's; change it where another
program has that port, and `public_url` with it.
"""),
    cfg.IntOpt("workers", default=2, min=1, help="""
Number of processes of nova-api, which share one listening socket.

The default keeps the API available while one process starts again.
Raise it to the number of CPU cores on a host that serves only the
API; each process costs its own memory and up to twice `[database]
max_pool_size` connections. An all-in-one cloud (`nova-lite up`)
ignores it and has one process.
"""),
    cfg.IntOpt("threads", default=32, min=1, help="""
Number of requests that one process of nova-api handles at the same
time.

Further requests wait for a free thread. Raise it where many clients
upload images or wait for consoles, which hold a thread for long;
threads beyond `[database] max_pool_size` may wait for a database
connection. At most three of four threads wait for compute hosts
(interface attach, passwords, consoles, diagnostics); further such
requests are answered with 503 and Retry-After.
"""),
    cfg.Opt("public_url", type=types.URL("http", "https"), default="", help="""
URL at which clients reach nova-api, without a path, such as
https://cloud.example.org.

It is written into the catalog and into links. Empty, the default:
`listen` and `port` for the catalog, the requested host for links.
Set it as soon as clients are not on this machine or a proxy stands
in front.
"""),
    cfg.IntOpt("max_request_body_size", default=114688, min=1024, help="""
Maximum size of a request body, in bytes; a larger one is answered
with 413. Image data is excepted, see `[image] max_image_size`.

The default is Nova's. Raise it where clients send more user data
and injected files in one request; each request in progress may cost
this much memory.
"""),
    cfg.IntOpt("max_limit", default=1000, min=1, help="""
Maximum number of items in one page of a list, also where the client
requests more or no limit.

The default is Nova's. A larger page costs memory and holds a
database connection longer; clients follow the `next` links anyway.
"""),
    cfg.StrOpt("region", default="RegionOne", help="""
Name of the region of all endpoints in the catalog.

The default is the one that DevStack and most clients assume. Change
it before clients are configured with it, where several clouds are
used side by side.
"""),
]
