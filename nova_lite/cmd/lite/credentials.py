# SPDX-License-Identifier: Apache-2.0
"""Whose credentials the operator's command uses: a cloud of clouds.yaml, the OS_ variables of an openrc, or the admin of nova.conf's cloud."""

from __future__ import annotations

import dataclasses
import os
import ssl
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from oslo_config import cfg

from nova_lite import errors
from nova_lite.cmd.lite import db
from nova_lite.runtime import addresses

# Where openstack looks for clouds.yaml and secure.yaml, unless OS_CLIENT_CONFIG_FILE and OS_CLIENT_SECURE_FILE name them.
_DIRECTORIES = (".", "~/.config/openstack", "/etc/openstack")
# Variables that add to what a cloud of clouds.yaml leaves out, and those that an openrc has beside them.
_ADDED = ("password", "application_credential_secret", "region_name", "cacert")
_OPENRC = ("auth_type", "auth_url", "username", "user_id", "user_domain_name", "user_domain_id", "project_name", "project_id",
           "project_domain_name", "project_domain_id", "application_credential_id", "application_credential_name")
_APPLICATION_CREDENTIAL = "v3applicationcredential"
_TYPES = ("", "password", "v3password", _APPLICATION_CREDENTIAL)


@dataclasses.dataclass(frozen=True)
class Credentials:
    """`auth` is the body of a login, for `auth_url` of the API v3. `region` None: any. `tls` None: as Python verifies servers."""

    auth_url: str
    auth: dict[str, Any]
    region: str | None
    tls: ssl.SSLContext | None


def find(conf: cfg.ConfigOpts, *, cloud: str | None) -> Credentials:
    """Those of a cloud of clouds.yaml by its name, else by OS_CLOUD; without one the OS_ variables, and nova.conf for what they leave out.

    :raises errors.Unavailable: there is no such cloud, or no password is known.
    """
    name = cloud or os.environ.get("OS_CLOUD")
    known = _variables(_ADDED) | _cloud(name) if name else _variables((*_ADDED, *_OPENRC))
    if "auth_type" not in known and "application_credential_secret" in known:
        known["auth_type"] = _APPLICATION_CREDENTIAL
    if known.get("auth_type", "") not in _TYPES:
        raise errors.Unavailable(reason=f"auth_type {known['auth_type']} is none that nova-lite uses: {', '.join(filter(None, _TYPES))}")
    if "password" not in known and known.get("auth_type") != _APPLICATION_CREDENTIAL:
        if name:
            raise errors.Unavailable(reason=f"cloud {name} has no password in clouds.yaml or secure.yaml, and OS_PASSWORD is not set")
        if "auth_url" in known:  # another cloud does not get this one's
            raise errors.Unavailable(reason="OS_AUTH_URL is set, and OS_PASSWORD is not")
        known["password"] = _admin_password(conf)
    auth_url = str(known.get("auth_url", f"{addresses.api_url(conf)}/identity")).rstrip("/")
    return Credentials(auth_url=auth_url if auth_url.endswith("/v3") else f"{auth_url}/v3", auth=_login(known),
                       region=known.get("region_name"), tls=_tls(known))


def _variables(names: Iterable[str]) -> dict[str, Any]:
    """Those of the OS_ variables that are set."""
    return {name: value for name in names if (value := os.environ.get(f"OS_{name.upper()}"))}


def _cloud(name: str) -> dict[str, Any]:
    """What clouds.yaml and secure.yaml have of it."""
    entry = _clouds("clouds", os.environ.get("OS_CLIENT_CONFIG_FILE")).get(name)
    if not isinstance(entry, dict) or "auth_url" not in (entry.get("auth") or {}):
        raise errors.Unavailable(reason=(
            f"clouds.yaml has no cloud {name} with an auth_url: it is OS_CLIENT_CONFIG_FILE, or the first one in {', '.join(_DIRECTORIES)}"))
    secret = _clouds("secure", os.environ.get("OS_CLIENT_SECURE_FILE")).get(name) or {}
    return {**entry, **secret, **entry["auth"], **(secret.get("auth") or {})}


def _clouds(kind: str, named: str | None) -> dict[str, Any]:
    """The clouds of the first such file that there is."""
    found = [os.path.expanduser(f"{directory}/{kind}.{ending}") for directory in _DIRECTORIES for ending in ("yaml", "yml", "json")]
    path = next((path for path in ([named] if named else []) + found if os.path.exists(path)), None)
    if path is None:
        return {}
    try:
        with open(path) as file:
            content = yaml.safe_load(file) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise errors.Unavailable(reason=f"{path} is no file of clouds: {error}") from error
    clouds = (content.get("clouds") or {}) if isinstance(content, dict) else None
    if not isinstance(clouds, dict) or not all(isinstance(entry, dict) and isinstance(entry.get("auth") or {}, dict) for entry in clouds.values()):
        raise errors.Unavailable(reason=f"{path} is no file of clouds: it needs a mapping `clouds` of mappings")
    return clouds


def _login(known: Mapping[str, Any]) -> dict[str, Any]:
    """As the identity API takes it."""
    user = {"id": known["user_id"]} if "user_id" in known else {"name": known.get("username", "admin"), "domain": _domain(known, "user")}
    if known.get("auth_type") == _APPLICATION_CREDENTIAL:
        credential = {"id": known["application_credential_id"]} if "application_credential_id" in known else {
            "name": known.get("application_credential_name"), "user": user}
        secret = {**credential, "secret": known.get("application_credential_secret")}
        return {"auth": {"identity": {"methods": ["application_credential"], "application_credential": secret}}}
    project = {"id": known["project_id"]} if "project_id" in known else {
        "name": known.get("project_name", "admin"), "domain": _domain(known, "project")}
    password = {"user": {**user, "password": str(known["password"])}}
    return {"auth": {"identity": {"methods": ["password"], "password": password}, "scope": {"project": project}}}


def _domain(known: Mapping[str, Any], kind: str) -> dict[str, str]:
    domain_id = known.get(f"{kind}_domain_id")
    return {"id": domain_id} if domain_id else {"name": known.get(f"{kind}_domain_name") or known.get("domain_name", "Default")}


def _tls(known: Mapping[str, Any]) -> ssl.SSLContext | None:
    if not known.get("cacert") and known.get("verify", True):
        return None
    made = ssl.create_default_context(cafile=os.path.expanduser(known["cacert"]) if known.get("cacert") else None)
    if not known.get("verify", True):
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def _admin_password(conf: cfg.ConfigOpts) -> str:
    """:raises errors.Unavailable: it is not known."""
    path = db.password_file(conf)
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError as error:
        raise errors.Unavailable(reason=(
            f"no admin's password in {path}: {error.strerror}. Name the cloud's state directory (--state DIR), or a cloud of clouds.yaml (--os-cloud NAME), "
            "or set the OS_ variables of an admin, as in its openrc")) from error
