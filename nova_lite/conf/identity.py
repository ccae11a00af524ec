# SPDX-License-Identifier: Apache-2.0
"""[identity]: the built-in identity service, used with `[api] auth_strategy` local."""

from oslo_config import cfg

GROUP = "identity"
OPTIONS = [
    cfg.StrOpt("key_repository", default="", help="""
Directory of the Fernet keys that encrypt tokens, laid out as
Keystone's.

Empty, the default: `fernet-keys` in `state_path`. All hosts with
nova-api or nova-conductor need the same keys: copy the directory
after each `nova-lite keys rotate`. Without its key a token is
invalid.
"""),
    cfg.IntOpt("token_expiration", default=3600, min=60, help="""
Lifetime of a token, in seconds.

The default is Keystone's. Longer lifetimes spare clients logins and
leave a stolen token valid for longer. Do not rotate keys more often
than this.
"""),
    cfg.FloatOpt("token_cache_time", default=5.0, min=0.0, max=60.0, help="""
Time for which a process of nova-api trusts a validated token before
it reads the database again, in seconds; 0 reads it for each
request.

A revoked token, a changed role or password takes effect after this
time. The default saves most of these reads at a delay that users do
not notice.
"""),
    cfg.IntOpt("application_credentials_per_user", default=100, min=0, help="""
Maximum number of application credentials of one user; 0: none.

Those that have expired count until they are deleted. More cost a
row each; fewer keep programs from making them without end.
"""),
    cfg.StrOpt("admin_password_file", default="", help="""
File with the password of the first admin. If it does not exist, it
is created with a random password, readable by its owner only.

Empty, the default: `admin-password` in `state_path`. It is read
only when the database is first filled; a changed file does not
change the password.
"""),
]
