# SPDX-License-Identifier: Apache-2.0
"""[keystone]: the Keystone that validates tokens, used with `[api] auth_strategy` keystone."""

from oslo_config import cfg

from nova_lite.conf import types

GROUP = "keystone"
OPTIONS = [
    cfg.Opt("auth_url", type=types.URL("http", "https"), default="", help="""
URL of Keystone, with /v3.

It has no default and is required with `auth_strategy` keystone.
Clients without a token are referred to it, so it must be one that
they reach.
"""),
    cfg.StrOpt("username", default="nova", help="""
User name of the service user, with which tokens are validated.

The default is the usual one. The user needs a role that may
validate tokens, usually `service` or `admin` in `project_name`.
"""),
    cfg.StrOpt("password", default="", secret=True, help="""
Password of the service user.

It has no default. nova-api reads it when it starts: restart it
after a change.
"""),
    cfg.StrOpt("project_name", default="service", help="""
Project in which the service user has its role.

The default is the usual one. Change it where service users are in a
project of another name.
"""),
    cfg.StrOpt("user_domain_name", default="Default", help="""
Domain of the service user.

The default is Keystone's first domain. Change it where service
users are in a domain of their own.
"""),
    cfg.StrOpt("project_domain_name", default="Default", help="""
Domain of the service project.

The default is Keystone's first domain. Change it where the service
project is in a domain of its own.
"""),
    cfg.StrOpt("interface", default="internal", choices=["public", "internal", "admin"], help="""
Interface of the endpoint in Keystone's catalog that validation
requests are sent to.

The default keeps them on the internal network. Choose public where
only that endpoint is reachable from nova-api.
"""),
    cfg.StrOpt("cafile", default="", help="""
File of CA certificates in PEM format that Keystone's certificate is
verified with.

Empty, the default: those of the system. Set it where Keystone's
certificate is signed by an authority of your own.
"""),
    cfg.IntOpt("token_cache_time", default=10, min=-1, help="""
Time for which a validated token is trusted before Keystone is
queried again, in seconds; -1 queries it for each request.

A revoked token is accepted for up to this time. Raise it where
Keystone is slow or busy; keystonemiddleware's own default is 300.
"""),
]
