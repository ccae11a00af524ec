# SPDX-License-Identifier: Apache-2.0
"""Whose credentials `nova-lite audit` uses: those of a cloud of clouds.yaml, of an openrc's variables, or of nova.conf's cloud."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from nova_lite import errors
from nova_lite.cmd.lite import credentials, main
from tests.support.options import defaults

CLOUDS = """
clouds:
  production:
    region_name: north
    auth:
      auth_url: https://keystone:5000/
      username: root
      password: 12345
      project_name: service
      user_domain_id: default
      project_domain_name: Cloud
  robot:
    auth_type: v3applicationcredential
    auth: {auth_url: https://keystone:5000/v3, application_credential_id: a1, application_credential_secret: s}
  without: {auth: {auth_url: https://keystone:5000/v3, username: root}}
  kerberos: {auth_type: v3kerberos, auth: {auth_url: https://keystone:5000/v3}}
"""


@pytest.fixture
def conf(tmp_path: Path) -> cfg.ConfigOpts:
    made = defaults()
    made.set_override("state_path", str(tmp_path))
    (tmp_path / "admin-password").write_text("of-the-state\n")
    return made


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With clouds.yaml, and no variable of another cloud."""
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clouds.yaml").write_text(CLOUDS)
    return tmp_path


def user(found: credentials.Credentials) -> Any:
    return found.auth["auth"]["identity"]["password"]["user"]


def test_without_a_name_it_is_the_admin_of_the_configured_cloud(conf: cfg.ConfigOpts) -> None:
    found = credentials.find(conf, cloud=None)
    assert user(found) == {"name": "admin", "domain": {"name": "Default"}, "password": "of-the-state"}
    assert found.auth["auth"]["scope"] == {"project": {"name": "admin", "domain": {"name": "Default"}}}
    assert (found.auth_url.endswith("/identity/v3"), found.region, found.tls) == (True, None, None)


def test_the_variables_of_an_openrc_are_used(conf: cfg.ConfigOpts, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AUTH_URL": "http://other/v3", "USERNAME": "root", "PASSWORD": "p", "PROJECT_ID": "1", "USER_DOMAIN_NAME": "D"}.items():
        monkeypatch.setenv(f"OS_{name}", value)
    found = credentials.find(conf, cloud=None)
    assert (found.auth_url, user(found)) == ("http://other/v3", {"name": "root", "domain": {"name": "D"}, "password": "p"})
    assert found.auth["auth"]["scope"] == {"project": {"id": "1"}}


@pytest.mark.parametrize("by_variable", [True, False])
def test_a_cloud_of_clouds_yaml_goes_before_the_variables(conf: cfg.ConfigOpts, monkeypatch: pytest.MonkeyPatch, by_variable: bool) -> None:
    for name in ("AUTH_URL", "USERNAME", "USER_ID", "PASSWORD", "REGION_NAME"):
        monkeypatch.setenv(f"OS_{name}", "of-the-environment")
    monkeypatch.setenv("OS_CLOUD", "production" if by_variable else "robot")
    found = credentials.find(conf, cloud=None if by_variable else "production")
    assert (found.auth_url, found.region) == ("https://keystone:5000/v3", "north")
    assert user(found) == {"name": "root", "domain": {"id": "default"}, "password": "12345"}
    assert found.auth["auth"]["scope"] == {"project": {"name": "service", "domain": {"name": "Cloud"}}}


def test_an_application_credential_logs_in_without_a_scope(conf: cfg.ConfigOpts) -> None:
    assert credentials.find(conf, cloud="robot").auth == {"auth": {"identity": {
        "methods": ["application_credential"], "application_credential": {"id": "a1", "secret": "s"}}}}


def test_the_password_may_be_in_secure_yaml_or_a_variable(conf: cfg.ConfigOpts, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_PASSWORD", "of-the-environment")
    assert user(credentials.find(conf, cloud="without"))["password"] == "of-the-environment"
    (directory / "secure.yaml").write_text("clouds: {without: {auth: {password: of-the-file}}}")
    assert user(credentials.find(conf, cloud="without"))["password"] == "of-the-file"


def test_the_file_that_a_variable_names_goes_first(conf: cfg.ConfigOpts, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the quickstart prints it: JSON, under another name."""
    (directory / "other").write_text(json.dumps({"clouds": {"mine": {"auth": {"auth_url": "http://mine/v3", "password": "p"}}}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(directory / "other"))
    assert credentials.find(conf, cloud="mine").auth_url == "http://mine/v3"


@pytest.mark.parametrize(("cloud", "reason"), [
    ("nowhere", "has no cloud nowhere"), ("without", "no password"), ("kerberos", "auth_type v3kerberos")])
def test_a_cloud_that_cannot_be_used_is_refused_with_the_reason(conf: cfg.ConfigOpts, cloud: str, reason: str) -> None:
    """The admin's password of another cloud is not sent to it."""
    with pytest.raises(errors.Unavailable, match=reason):
        credentials.find(conf, cloud=cloud)


@pytest.mark.parametrize("text", ["a: [", "- x", "clouds: [a]", "\x00"])
def test_a_file_that_is_none_of_clouds_is_refused(conf: cfg.ConfigOpts, directory: Path, text: str) -> None:
    (directory / "clouds.yaml").write_text(text)
    with pytest.raises(errors.Unavailable, match="no file of clouds"):
        credentials.find(conf, cloud="production")


def test_servers_are_verified_unless_the_cloud_says_otherwise(conf: cfg.ConfigOpts, directory: Path) -> None:
    (directory / "clouds.yaml").write_text("clouds: {a: {verify: false, auth: {auth_url: https://a, password: p}}}")
    tls = credentials.find(conf, cloud="a").tls
    assert tls is not None
    assert not tls.check_hostname


class Cloud(BaseHTTPRequestHandler):
    """Its identity API and its Compute API, which finds nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert body["auth"]["identity"]["password"]["user"]["name"] == "root"
        url = f"http://127.0.0.1:{self.server.server_address[1]}/compute"
        self._answer({"token": {"catalog": [{"type": "compute", "endpoints": [{"interface": "public", "region_id": "north", "url": url}]}]}})

    def do_GET(self) -> None:
        assert (self.path, self.headers["X-Auth-Token"]) == ("/compute/os-audit?settled=60", "t0")
        self._answer({"findings": [], "omitted": []})

    def _answer(self, body: object) -> None:
        self.send_response(200)
        self.send_header("X-Subject-Token", "t0")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Cloud) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_the_audit_is_of_the_named_cloud(directory: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "clouds.yaml").write_text(CLOUDS.replace("https://keystone:5000/", url))
    assert main.execute(["audit", "--state", str(directory), "--os-cloud", "production"]) == 0
    assert capsys.readouterr().out == "nothing found\n"


def test_the_password_of_the_state_directory_goes_to_no_other_cloud(conf: cfg.ConfigOpts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_AUTH_URL", "http://elsewhere:5000/v3")
    with pytest.raises(errors.Unavailable, match="OS_PASSWORD is not"):
        credentials.find(conf, cloud=None)
    monkeypatch.setenv("OS_APPLICATION_CREDENTIAL_ID", "a1")
    monkeypatch.setenv("OS_APPLICATION_CREDENTIAL_SECRET", "s")
    assert credentials.find(conf, cloud=None).auth["auth"]["identity"]["methods"] == ["application_credential"]


@pytest.mark.parametrize("secret", ["", "clouds:", "public-clouds: {}"])
def test_a_file_of_secrets_may_be_empty(conf: cfg.ConfigOpts, directory: Path, secret: str) -> None:
    (directory / "secure.yaml").write_text(secret)
    assert user(credentials.find(conf, cloud="production"))["password"] == "12345"


def test_one_domain_for_both_and_entries_that_are_none(conf: cfg.ConfigOpts, directory: Path) -> None:
    (directory / "clouds.yaml").write_text("clouds: {a: {auth: {auth_url: http://k/v3, username: u, password: p, domain_name: D}}}")
    assert user(credentials.find(conf, cloud="a"))["domain"] == {"name": "D"}
    (directory / "clouds.yaml").write_text("clouds: {a: text}")
    with pytest.raises(errors.Unavailable, match="is no file of clouds"):
        credentials.find(conf, cloud="a")
