# SPDX-License-Identifier: Apache-2.0
"""The clouds.yaml by which stock clients find the cloud."""

from __future__ import annotations

import json
import os

from oslo_config import cfg

CLOUD = "nova-lite"


def path(conf: cfg.ConfigOpts) -> str:
    """Where it is written."""
    return os.path.join(conf.state_path, "clouds.yaml")


def write(conf: cfg.ConfigOpts, password: str) -> None:
    """Write it for the admin; JSON is YAML. Readable by its owner only, since the password is in it."""
    clouds = {"clouds": {CLOUD: {
        "auth": {"auth_url": f"{conf.api.public_url}/identity/v3", "username": "admin", "password": password,
                 "project_name": "admin", "user_domain_name": "Default", "project_domain_name": "Default"},
        "region_name": conf.api.region, "identity_api_version": "3",
    }}}
    temporary = f"{path(conf)}.new"
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(clouds, file, indent=2)
    os.rename(temporary, path(conf))


def how_to_go_on(conf: cfg.ConfigOpts) -> str:
    """The two lines that a person pastes."""
    return f"  export OS_CLIENT_CONFIG_FILE={path(conf)} OS_CLOUD={CLOUD}\n  openstack server list"
