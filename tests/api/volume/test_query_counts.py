# SPDX-License-Identifier: Apache-2.0
"""Lists of block storage send as many statements to the database for many rows as for one."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite.api.services import SERVICES
from nova_lite.api.wsgi.routing import Route
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.volume import messages, volume_types
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.backups import VolumeBackup
from nova_lite.db.volume.group_types import GroupType
from nova_lite.db.volume.groups import GroupSnapshot, VolumeGroup
from nova_lite.db.volume.qos_specs import QosSpecs
from nova_lite.db.volume.transfers import VolumeTransfer
from nova_lite.db.volume.volume_types import VolumeType
from nova_lite.lifecycle.volume_messages import MessageAction, MessageDetail, MessageSubject
from tests.support.api import volume_api
from tests.support.api.users import PROJECTS
from tests.support.api.volume_api import VolumeApi, pool, snapshot, volume, worker

MANY = 4
ADMIN = PROJECTS["admin"]
LISTS = [route for route in SERVICES["volume"].routes
         if route.method == "GET" and route.status == 200 and "{" not in route.path and "manage" not in route.path]  # those list no rows
NEWEST = parse("3.71")


def _furnished(path: Path, number: int) -> VolumeApi:
    """A cloud with `number` of each resource that lists show, owned by the admin."""
    path.mkdir()
    api = volume_api.make(path)
    for count in range(number):
        made, part, kind, group = (str(uuid.uuid4()) for _ in range(4))
        api.add(VolumeType(id=kind, name=f"t{count}"), QosSpecs(name=f"q{count}", consumer="both", specs={}), GroupType(id=kind, name=f"g{count}"),
                volume(made, user="admin", volume_type_id=kind, group_id=group, metadata_items={"a": str(count)}), snapshot(part, made, user="admin"),
                Attachment(project_id=ADMIN, volume_id=made, server_id=str(uuid.uuid4()), status="attached"),
                VolumeTransfer(volume_id=made, project_id=ADMIN, user_id="admin", salt="s", key_hash="h"),
                VolumeGroup(id=group, project_id=ADMIN, user_id="admin", group_type_id=kind, volume_type_ids=[kind]),
                VolumeBackup(project_id=ADMIN, user_id="admin", volume_id=made, size_gb=1, status="available"),
                GroupSnapshot(group_id=group, project_id=ADMIN, user_id="admin", group_type_id=kind),
                pool(f"h{count}@lvm#p"), worker(f"h{count}"))
        with api.database.writer() as session:
            messages.add(session, api.conf, project_id=ADMIN, request_id="r", subject=MessageSubject.VOLUME, resource_id=made,
                         action=MessageAction.CREATE, detail=MessageDetail.UNKNOWN)
            volume_types.set_default(session, f"p{count}", kind)
    return api


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[VolumeApi]]:
    directory = tmp_path_factory.mktemp("counts")
    made = [_furnished(directory / str(number), number) for number in (1, MANY)]
    yield made
    for api in made:
        api.database.close()


@pytest.mark.parametrize("route", LISTS, ids=[f"{route.path} {route.versions.since}" for route in LISTS])
def test_a_list_of_many_sends_as_many_statements_as_a_list_of_one(clouds: list[VolumeApi], route: Route) -> None:
    counts, sizes = [], []
    for api in clouds:
        with api.counted() as sent:
            answer = api.get(f"{route.path}?list_volume=true" if re.match("/groups", route.path) else route.path, user="admin",
                             version=str(min(route.versions.until or NEWEST, NEWEST)))
        assert answer.status == 200, answer.body
        counts.append(len(sent))
        sizes.append(max([len(rows) for rows in answer.body.values() if isinstance(rows, list)], default=0))
    assert counts[0] == counts[1]
    fixed = ("/extensions", "/resource_filters", "/clusters", "/clusters/detail", "/limits", "/volumes/summary", "/os-availability-zone")
    assert sizes[1] > sizes[0] or route.path in fixed, "the list shows none of the rows"
