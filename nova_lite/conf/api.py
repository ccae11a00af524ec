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
    cfg.HostAddressOpt("listen", default="127.0.0.1", help="""
Address or host name that nova-api listens on.

The default is reachable from this machine only. Set 0.0.0.0, or ::
for IPv6 too, or one address of the machine to serve others,
preferably behind a proxy that terminates TLS: nova-api itself speaks
plain HTTP.
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
    cfg.IntOpt("threads", default=32, min=2, help="""
Number of requests that one process of nova-api handles at the same
time: half of them reads, half of them writes, so that reads never
wait behind writes. Of one project four writes at the most: more
would only wait for each other in the database.

Beside these, half as many transfers of image data, four logins, and
requests that wait for compute hosts (interface attach, passwords,
consoles, diagnostics), three of four threads' number, have threads
of their own. Threads beyond `[database] max_pool_size` for reads or
for writes may wait for a database connection. With `concurrency =
eventlet` all share this one number.
"""),
    cfg.FloatOpt("max_wait", default=0.7, min=0, max=3, help="""
Time that a request may have to wait for a thread, in seconds. One
that would wait longer is answered at once with 503, or with 429 if
its own project's requests are what fills the line, and Retry-After.

The wait is estimated from how long requests take, and projects take
turns. Lower it where clients would rather try elsewhere; higher
values let short peaks pass at the cost of latency.
"""),
    cfg.IntOpt("max_queued_actions", default=200, min=1, help="""
Number of accepted actions, of all projects together, that may wait
for a conductor; while as many do, new servers are refused with 503,
or with 429 for a project that has more than its part of them.

The default is what two cores build in about ten seconds. Raise it
where more conductors run, or where clients prefer to wait for
servers rather than to try again; it is also how many creates are
accepted while no conductor runs.
"""),
    cfg.FloatOpt("database_timeout", default=1.5, min=0.5, help="""
Time that one statement of nova-api, or its wait for a database
connection, may take, in seconds; then the request is answered with
503 and Retry-After. SQLite ignores it.

The default answers within two seconds while the database hangs.
Raise it where the database is slow at times and clients wait rather
than try again. PostgreSQL itself ends a statement at four fifths of
it; a commit that is cut off may have been done.
"""),
    cfg.IntOpt("head_timeout", default=10, min=1, help="""
Time within which the head of a request, and a body of up to 128 KiB,
must have come from the first byte or the connection on, in seconds.

Later ones are answered with 408. Raise it for clients behind very
slow links. Until then a request costs a socket and no thread.
"""),
    cfg.IntOpt("min_transfer_rate", default=4096, min=1, help="""
Least rate of uploads and downloads, in bytes per second, averaged
over the time that the client is waited for, after ten seconds.

A client below it is disconnected. Lower it for clients behind very
slow links: each holds one of the threads for transfers.
"""),
    cfg.IntOpt("max_connections_per_address", default=512, min=1, help="""
Number of connections that one process of nova-api keeps from one
client address.

One more takes the place of the connection that has been silent for
longest. Raise it where all clients come through one proxy that
keeps more connections open.
"""),
    cfg.Opt("public_url", type=types.URL("http", "https"), default="", help="""
URL at which clients reach nova-api, without a path, such as
https://cloud.example.org.

It is written into the catalog and into links. Empty, the default:
the host that a request came to, and towards hosts `listen` and
`port`, or this machine's address where that is 0.0.0.0 or ::. Set
it as soon as a proxy stands in front.
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
