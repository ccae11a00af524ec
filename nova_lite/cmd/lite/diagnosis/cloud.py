# SPDX-License-Identifier: Apache-2.0
"""Checks of the cloud on this machine: its port, its database, its API and its daemons."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request

import sqlalchemy as sa
from oslo_config import cfg

from nova_lite.cmd import pid_file
from nova_lite.cmd.lite.diagnosis.finding import Finding, note, ok, problem
from nova_lite.db import clock, migrate
from nova_lite.db.engine import open_database
from nova_lite.db.hosts import hosts
from nova_lite.runtime import addresses, concurrency

_NOT_RUNNING = "no cloud is running in the background"
_CLOCK_SKEW_S = 60.0


def check_port(conf: cfg.ConfigOpts) -> Finding:
    where = concurrency.at(conf.api.listen, conf.api.port)
    pid = pid_file.running(conf.state_path)
    if pid is not None and answers(conf):
        return ok(f"{where} belongs to this cloud, pid {pid}")
    try:
        concurrency.listen(conf.api.listen, conf.api.port).close()
    except PermissionError:
        return problem(f"{where} needs root", "choose a port from 1024 on: --port")
    except OSError as error:
        return problem(f"{where}: {error.strerror}{owner(conf.api.port)}", "stop that program, or choose another --port")
    return ok(f"{where} is free")


def owner(port: int) -> str:
    """The program that listens on the port, as the end of a sentence; empty where it is unknown."""
    try:
        process = subprocess.run(["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    _, separator, rest = process.stdout.partition('users:(("')
    if not separator:
        return ""
    program, _, rest = rest.partition('"')
    return f" by {program}, pid {rest.partition('pid=')[2].partition(',')[0]}"


def check_database(conf: cfg.ConfigOpts) -> Finding:
    if not conf.database.connection and not os.path.exists(os.path.join(conf.state_path, "nova-lite.sqlite")):
        return note("there is none yet; nova-lite up creates a SQLite file in the state directory")
    database = open_database(conf)
    shown = database.url.render_as_string(hide_password=True)
    try:
        revision, head = migrate.current(database.engine), migrate.head()
    except sa.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        return problem(f"{shown}: {reason}", "start the database, or correct [database] connection")
    finally:
        database.close()
    if revision == head:
        return ok(f"{shown}, revision {revision}")
    reason = f"{shown} is at revision {revision or 'none'}, this version needs {head}"
    if migrate.is_newer(revision):
        return problem(reason, migrate.NEWER_REMEDY)
    if revision is not None and not conf.database.connection:
        return note(reason, "nova-lite up upgrades it; copy the state directory before, if you may want to go back")
    return problem(reason, "nova-lite db sync")


def check_api(conf: cfg.ConfigOpts) -> Finding:
    url, pid = addresses.api_url(conf), pid_file.running(conf.state_path)
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # our own http URL
            versions = len(json.load(response)["versions"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        if pid is None:
            return note(_NOT_RUNNING, f"nova-lite up --background --state {conf.state_path}")
        log = os.path.join(conf.state_path, "nova-lite.log")
        return problem(f"pid {pid} is running, but {url} does not answer: {error}", f"read the end of {log}")
    if pid is None:
        return ok(f"{url} answers with {versions} versions; not started by nova-lite up --background")
    return ok(f"{url} answers with {versions} versions, pid {pid}")


def check_services(conf: cfg.ConfigOpts) -> Finding:
    if not answers(conf):
        return note(_NOT_RUNNING)
    database = open_database(conf)
    try:
        with database.reader() as session:
            services, now = hosts.services(session), clock.read(session)
    finally:
        database.close()
    if any((service.seen_at - now).total_seconds() > _CLOCK_SKEW_S for service in services):
        return problem("a heartbeat has a time in the future: the database's clock was set back",
                       "set all clocks by NTP, then restart the services")
    dead = [service for service in services if not hosts.is_alive(service, now=now, down_time_s=conf.service_down_time)]
    outdated = [f"{service.binary} on {service.host}" for service in services if service.is_outdated and service not in dead]
    if outdated:
        return problem(f"of an earlier release, which does not understand requests: {', '.join(outdated)}",
                       "install this release there, and restart them (docs/operating.md, Upgrades)")
    disabled = [f"{service.host}: {service.disabled_reason}" for service in services
           if (service.disabled_reason or "").startswith(hosts.AUTO)]
    if disabled:
        return problem(f"no guests can be created on {'; '.join(disabled)}",
                       "see the check of libvirt on that host; it is enabled again once libvirt answers")
    down = [f"{service.binary} on {service.host}" for service in dead]
    if down:
        return problem(f"no heartbeat for {conf.service_down_time} s: {', '.join(down)}",
                       "restart them; remove rows of hosts that are gone: openstack compute service delete")
    if not services:
        return problem("no daemon has ever reported", "read the log: the conductor may not be running")
    by_operator = [f"{service.binary} on {service.host}" for service in services if service.disabled]
    if by_operator:
        return note(f"{len(services)} up; disabled: {', '.join(by_operator)}", "openstack compute service set --enable HOST BINARY")
    return ok(f"up: {', '.join(sorted({service.binary for service in services}))}")


def answers(conf: cfg.ConfigOpts) -> bool:
    """Whether anything answers HTTP at the API's address."""
    try:
        with urllib.request.urlopen(addresses.api_url(conf), timeout=5):  # our own http URL
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
