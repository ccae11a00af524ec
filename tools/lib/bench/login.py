# SPDX-License-Identifier: Apache-2.0
"""How to log in: a cloud of clouds.yaml, or OS_ variables."""

from __future__ import annotations

import argparse
import json
import os
import pathlib

from tools.lib.bench.cloud import BenchError, Body, Login


def login(args: argparse.Namespace) -> Login:
    """From --cloud (clouds.yaml), --url, or OS_* variables.

    :raises BenchError: something is missing.
    """
    if args.cloud:
        return _from_clouds_yaml(args.cloud)
    env = os.environ
    url = args.url or env.get("OS_AUTH_URL", "")
    if not url:
        raise BenchError("no cloud: give --cloud NAME (clouds.yaml), --url, or OS_AUTH_URL and the other OS_ variables")
    missing = [name for name in ("OS_USERNAME", "OS_PASSWORD") if not env.get(name)]
    if missing:
        raise BenchError(f"{' and '.join(missing)} must be set beside the URL")
    return Login(url, env["OS_USERNAME"], env["OS_PASSWORD"], env.get("OS_PROJECT_NAME", "admin"),
                 env.get("OS_USER_DOMAIN_NAME", "Default"), env.get("OS_PROJECT_DOMAIN_NAME", "Default"),
                 env.get("OS_REGION_NAME", ""))


def _from_clouds_yaml(name: str) -> Login:
    places = [os.environ.get("OS_CLIENT_CONFIG_FILE", ""), "clouds.yaml",
              os.path.expanduser("~/.config/openstack/clouds.yaml"), "/etc/openstack/clouds.yaml"]
    path = next((pathlib.Path(place) for place in places if place and pathlib.Path(place).exists()), None)
    if path is None:
        raise BenchError("there is no clouds.yaml; set OS_CLIENT_CONFIG_FILE")
    clouds = _read_yaml(path).get("clouds", {})
    if name not in clouds:
        raise BenchError(f"{path} has no cloud {name}; it has: {', '.join(clouds) or 'none'}")
    found, auth = clouds[name], clouds[name].get("auth", {})
    try:
        return Login(auth["auth_url"], auth["username"], auth["password"], auth["project_name"],
                     auth.get("user_domain_name", "Default"), auth.get("project_domain_name", "Default"),
                     found.get("region_name", ""))
    except KeyError as missing:
        raise BenchError(f"{path}: cloud {name} has no auth.{missing.args[0]}") from None


def _read_yaml(path: pathlib.Path) -> Body:
    text = path.read_text()
    try:
        return dict(json.loads(text))  # JSON is YAML; nova-lite writes it so
    except ValueError:
        pass
    try:
        import yaml  # only where there is one
    except ImportError:
        raise BenchError(f"{path} prerequisites the yaml module of Python; or set OS_ variables") from None
    return dict(yaml.safe_load(text))
