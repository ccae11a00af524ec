# SPDX-License-Identifier: Apache-2.0
"""A database that goes back under a running conductor: orders of a new epoch, before any host is given an old one again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from nova_lite.conductor.reconcilers.lost_rows import LostRows
from nova_lite.db import database_epoch
from nova_lite.db.compute import actions
from nova_lite.db.database_epoch import DatabaseEpoch
from tests.support.flows import shelving
from tests.support.flows.one_process import OneProcess


def epoch(cloud: OneProcess) -> int:
    with cloud.database.reader() as session:
        return database_epoch.current(session)


@pytest.fixture
def reconciler(cloud: OneProcess) -> LostRows:
    """Of a conductor that runs with epoch 7."""
    with cloud.database.writer() as session:
        session.add(DatabaseEpoch(id=1, epoch=7))
    made = LostRows(cloud.services)
    made.look()
    return made


def forget_actions(cloud: OneProcess, above: int) -> None:
    with cloud.database.writer() as session:
        session.execute(sa.delete(actions.ActionEvent).where(actions.ActionEvent.action_id > above))
        session.execute(sa.delete(actions.Action).where(actions.Action.id > above))


def lose_the_newest(cloud: OneProcess, newest: int) -> None:
    forget_actions(cloud, newest - 1)


def lose_and_number_again(cloud: OneProcess, newest: int) -> None:
    """As many actions have come since the restore as were lost, and more."""
    server_id = cloud.action(newest).resource_id
    forget_actions(cloud, newest - 1)
    with cloud.database.writer() as session:
        for number in (newest,):
            session.add(actions.Action(id=number, resource_id=server_id, name="pause", request_id="r", user_id="u", project_id="p",
                                       state="done", nonce="another"))


def lose_all(cloud: OneProcess, newest: int) -> None:
    forget_actions(cloud, 0)


def lose_the_epoch(cloud: OneProcess, newest: int) -> None:
    with cloud.database.writer() as session:
        session.execute(sa.update(DatabaseEpoch).values(epoch=3))


@pytest.mark.parametrize("lose", [lose_the_newest, lose_and_number_again, lose_all, lose_the_epoch])
def test_a_new_epoch_begins_when_rows_are_lost(
    cloud: OneProcess, reconciler: LostRows, lose: Callable[[OneProcess, int], None],
) -> None:
    server_id = shelving.active(cloud)
    newest = cloud.do(server_id, "pause")
    reconciler.look()
    lose(cloud, newest)
    reconciler.look()
    begun = epoch(cloud)
    assert begun > 7
    assert cloud.action(cloud.begin_action(server_id, "unpause")).epoch == begun
    reconciler.look()
    assert epoch(cloud) == begun, "once"


def test_an_action_after_a_loss_is_carried_out_though_its_number_was_given_before(cloud: OneProcess, reconciler: LostRows) -> None:
    server_id = shelving.active(cloud)
    newest = cloud.do(server_id, "pause")
    reconciler.look()
    lose_the_newest(cloud, newest)
    with cloud.database.writer() as session:
        session.execute(sa.text("UPDATE servers SET vm_state = 'active', power_state = 1"))
    reconciler.look()
    again = cloud.do(server_id, "stop")
    assert cloud.action(again).state == "done"
    assert cloud.server(server_id).vm_state == "stopped"


def test_what_only_goes_forward_begins_no_epoch(cloud: OneProcess, reconciler: LostRows) -> None:
    for name in ("pause", "unpause", "stop"):
        cloud.do(shelving.active(cloud) if name == "pause" else cloud_server(cloud), name)
        reconciler.look()
    assert epoch(cloud) == 7


def cloud_server(cloud: OneProcess) -> str:
    with cloud.database.reader() as session:
        return str(session.scalar(sa.text("SELECT id FROM servers")))


def test_a_request_that_waits_and_is_replaced_begins_no_epoch(cloud: OneProcess, reconciler: LostRows) -> None:
    server_id = shelving.active(cloud)
    with cloud.database.writer() as session:
        waiting = actions.record(session, server_id=server_id, name="soft_delete", request_id="r", user_id="u", project_id="p",
                                 state=actions.WAITING)
    reconciler.look()
    forget_actions(cloud, waiting - 1)
    reconciler.look()
    assert epoch(cloud) == 7


def test_a_cloud_without_any_row_is_at_rest(cloud: OneProcess) -> None:
    reconciler = LostRows(cloud.services)
    reconciler.look()
    reconciler.look()
    assert epoch(cloud) == 0
