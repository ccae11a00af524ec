# SPDX-License-Identifier: Apache-2.0
"""Finds open actions that nobody works on - their hint was lost, or who worked on them died - and asks again."""

from __future__ import annotations

import datetime

import sqlalchemy as sa
from oslo_log import log as logging

from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.workflows import WORKFLOWS, soft_delete
from nova_lite.context import Context
from nova_lite.db.compute.actions import OPEN, QUEUED, Action
from nova_lite.db.compute.servers import Server
from nova_lite.lifecycle.servers import ACTIONS, OnRestart
from nova_lite.rpc.compute import RebootType

LOG = logging.getLogger(__name__)
# A hint takes milliseconds; younger actions are left to it.
GRACE_S = 3.0
BATCH = 100
# What a shelved server that left its host may be asked for, too.
_ON_NO_HOST = ("soft_delete", "restore")


def send_again(services: Services) -> None:
    """Hint at workflows whose lease has run out, and cast to workers what they have not reported on."""
    now = services.now()
    with services.database.reader() as session:
        stale = sa.or_(
            sa.and_(Action.lease_until.is_(None), Action.updated_at < now - datetime.timedelta(seconds=GRACE_S)),
            Action.lease_until < now)
        workflows = list(session.scalars(
            sa.select(Action).where(Action.state.in_(OPEN), Action.name.in_(WORKFLOWS), stale).order_by(Action.id).limit(BATCH)))
        silent = now - datetime.timedelta(seconds=services.conf.conductor.action_timeout)
        singles = session.execute(
            sa.select(Action, Server).join(Server, Server.id == Action.server_id).where(
                Action.state == QUEUED, Action.name.not_in(WORKFLOWS), Action.updated_at < silent,
            ).order_by(Action.id).limit(BATCH)).all()
    for action in workflows:
        LOG.info("server %s: %s is taken up again", action.server_id, action.name)
        services.conductor.run(_context(action), action_id=action.id)
    for action, server in singles:
        _cast_again(services, action, server)


def _cast_again(services: Services, action: Action, server: Server) -> None:
    if server.agent is None and action.name not in _ON_NO_HOST:
        return
    with services.database.writer() as session:
        touched = session.execute(sa.update(Action).where(
            Action.id == action.id, Action.updated_at == action.updated_at).values(updated_at=services.now()))
    if not touched.rowcount:  # type: ignore[attr-defined]
        return
    if ACTIONS[action.name].on_restart is OnRestart.GIVE_UP:
        _give_up(services, action, server)
        return
    LOG.info("server %s: %s is asked of %s again", server.id, action.name, server.agent or "nobody")
    if action.name in _ON_NO_HOST:
        soft_delete.ask_host(
            services, _context(action), action.name, agent=server.agent, server_id=server.id, action_id=action.id)
        return
    compute = services.compute(str(server.agent))
    if action.name in ("reboot_soft", "reboot_hard"):
        kind = RebootType.SOFT if action.name == "reboot_soft" else RebootType.HARD
        compute.reboot(_context(action), server_id=server.id, action_id=action.id, reboot_type=kind)
    else:
        getattr(compute, action.name)(_context(action), server_id=server.id, action_id=action.id)


def _give_up(services: Services, action: Action, server: Server) -> None:
    """Nobody can ask again: the request has ended, and with it what it knew."""
    LOG.info("server %s: nobody reported on %s, which cannot be asked for again", server.id, action.name)
    services.conductor.action_failed(
        _context(action), server_id=server.id, action_id=action.id, host=str(server.host), reason=(
            f"{ACTIONS[action.name].shown_as} did not end within {services.conf.conductor.action_timeout} s; whether it was done is not known"))


def _context(action: Action) -> Context:
    """As the user's who asked, so that logs tell one story."""
    return Context(user_id=action.user_id, project_id=action.project_id, request_id=action.request_id)
