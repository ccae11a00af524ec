# SPDX-License-Identifier: Apache-2.0
"""Checks of the cloud on this machine: its port, its rows, and whether its daemons live."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import urllib.error
import urllib.request

import sqlalchemy as sa
from oslo_config import cfg

from nova_lite.cmd import pid_file
from nova_lite.cmd.lite.diagnosis.finding import Finding, note, ok, problem
from nova_lite.db import migrate
from nova_lite.db.base import utcnow
from nova_lite.db.engine import open_database
from nova_lite.db.hosts import hosts

_NOT_RUNNING = "no cloud runs in the background here"
_AHEAD_S = 60.0


def check_port(conf: cfg.ConfigOpts) -> Finding:
    where = f"{conf.api.listen}:{conf.api.port}"
    pid = pid_file.running(conf.state_path)
    if pid is not None and answers(conf):
        return ok(f"{where} is our own cloud's, pid {pid}")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((conf.api.listen, conf.api.port))
        except PermissionError:
            return problem(f"{where} is for root only", "choose a port from 1024 on: --port")
        except OSError as error:
            return problem(f"{where}: {error.strerror}{owner(conf.api.port)}", "end that program, or choose another --port")
    return ok(f"{where} is free")


def owner(port: int) -> str:
    """Who listens on the port, as an addition to a sentence; empty where that cannot be known."""
    try:
        seen = subprocess.run(["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    _, found, rest = seen.stdout.partition('users:(("')
    if not found:
        return ""
    program, _, rest = rest.partition('"')
    return f" by {program}, pid {rest.partition('pid=')[2].partition(',')[0]}"


def check_database(conf: cfg.ConfigOpts) -> Finding:
    if not conf.database.connection and not os.path.exists(os.path.join(conf.state_path, "nova-lite.sqlite")):
        return note("there is none yet; nova-lite up makes a SQLite file in the state directory")
    database = open_database(conf)
    shown = database.url.render_as_string(hide_password=True)
    try:
        revision, wanted = migrate.current(database.engine), migrate.head()
    except sa.exc.SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        return problem(f"{shown}: {said}", "start the database, or correct [database] connection")
    finally:
        database.close()
    if revision != wanted:
        return problem(f"{shown} is at revision {revision or 'none'}, this version wants {wanted}", "nova-lite db sync")
    return ok(f"{shown}, revision {revision}")


def check_api(conf: cfg.ConfigOpts) -> Finding:
    url, pid = _url(conf), pid_file.running(conf.state_path)
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own http URL
            faces = len(json.load(answer)["versions"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        if pid is None:
            return note(_NOT_RUNNING, f"nova-lite up --background --state {conf.state_path}")
        log = os.path.join(conf.state_path, "nova-lite.log")
        return problem(f"pid {pid} runs, but {url} does not answer: {error}", f"read the end of {log}")
    if pid is None:
        return ok(f"{url} answers with {faces} versions; not started by nova-lite up --background")
    return ok(f"{url} answers with {faces} versions, pid {pid}")


def check_services(conf: cfg.ConfigOpts) -> Finding:
    if not answers(conf):
        return note(_NOT_RUNNING)
    database = open_database(conf)
    try:
        with database.reader() as session:
            known = hosts.services(session)
    finally:
        database.close()
    now = utcnow()
    if any((service.seen_at - now).total_seconds() > _AHEAD_S for service in known):
        return problem("a heartbeat comes from the future: clocks differ, or this one was set back",
                       "set all clocks by NTP, then restart the services")
    ill = [f"{service.host}: {service.disabled_reason}" for service in known
           if (service.disabled_reason or "").startswith(hosts.AUTO)]
    if ill:
        return problem(f"no guests can be made on {'; '.join(ill)}",
                       "see libvirt above, on that host; it is enabled again by itself once that answers")
    dead = [f"{service.binary} on {service.host}" for service in known
            if not hosts.is_alive(service, now=now, down_time_s=conf.service_down_time)]
    if dead:
        return problem(f"not heard of for {conf.service_down_time} s: {', '.join(dead)}",
                       "restart them; remove rows of hosts that are gone: openstack compute service delete")
    if not known:
        return problem("no daemon has ever reported", "read the log: the conductor may not run")
    off = [f"{service.binary} on {service.host}" for service in known if service.disabled]
    if off:
        return note(f"{len(known)} alive; disabled: {', '.join(off)}", "openstack compute service set --enable HOST BINARY")
    return ok(f"alive: {', '.join(sorted({service.binary for service in known}))}")


def answers(conf: cfg.ConfigOpts) -> bool:
    """Whether something that speaks HTTP is at the API's address."""
    try:
        with urllib.request.urlopen(_url(conf), timeout=5):  # noqa: S310 - our own http URL
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


def _url(conf: cfg.ConfigOpts) -> str:
    return str(conf.api.public_url) or f"http://{conf.api.listen}:{conf.api.port}"
