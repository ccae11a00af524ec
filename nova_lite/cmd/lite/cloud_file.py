# SPDX-License-Identifier: Apache-2.0
"""clouds.yaml, by which stock clients find the cloud, and openrc, for clients that do not read it."""

from __future__ import annotations

import json
import os
import shlex

from oslo_config import cfg

from nova_lite.runtime import addresses

CLOUD = "nova-lite"


def path(conf: cfg.ConfigOpts) -> str:
    """Where it is written."""
    return os.path.join(conf.state_path, "clouds.yaml")


def write(conf: cfg.ConfigOpts, password: str) -> None:
    """Write it for the admin (JSON is YAML), and beside it `openrc`, for clients that know only OS_ variables.

    Readable by their owner only, since the password is in them.
    """
    auth = {"auth_url": f"{addresses.api_url(conf)}/identity/v3", "username": "admin", "password": password,
            "project_name": "admin", "user_domain_name": "Default", "project_domain_name": "Default"}
    region = {"region_name": conf.api.region, "identity_api_version": "3"}
    _replace(path(conf), json.dumps({"clouds": {CLOUD: {"auth": auth, **region}}}, indent=2))
    _replace(os.path.join(conf.state_path, "openrc"), "".join(
        f"export OS_{name.upper()}={shlex.quote(value)}\n" for name, value in {**auth, **region}.items()))


def _replace(file: str, text: str) -> None:
    with os.fdopen(os.open(f"{file}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
        output.write(text)
    os.rename(f"{file}.new", file)


def client_commands(conf: cfg.ConfigOpts) -> str:
    """Two lines for a shell, by which the stock client uses this cloud."""
    return f"  export OS_CLIENT_CONFIG_FILE={path(conf)} OS_CLOUD={CLOUD}\n  openstack server list"
