# SPDX-License-Identifier: Apache-2.0
"""[keystone]: the service user, when a real Keystone checks tokens (auth_strategy = keystone)."""

from oslo_config import cfg

GROUP = "keystone"
OPTIONS = [
    cfg.StrOpt("auth_url", default="", help="Keystone's URL, with /v3."),
    cfg.StrOpt("username", default="nova", help="Service user."),
    cfg.StrOpt("password", default="", secret=True, help="Its password."),
    cfg.StrOpt("project_name", default="service", help="Its project."),
    cfg.StrOpt("user_domain_name", default="Default", help="Domain of the service user."),
    cfg.StrOpt("project_domain_name", default="Default", help="Domain of the service project."),
    cfg.StrOpt(
        "interface",
        default="internal",
        choices=["public", "internal", "admin"],
        help="Which of Keystone's endpoints the catalog is asked for.",
    ),
    cfg.StrOpt("cafile", default="", help="Certificates that Keystone's is checked against; empty: the system's."),
    cfg.IntOpt(
        "token_cache_time",
        default=10,
        min=-1,
        help="Seconds that a token is trusted before Keystone is asked again; -1: never trusted.",
    ),
]
