# SPDX-License-Identifier: Apache-2.0
"""Messages of block storage: listed, shown, deleted, bounded and purged."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from nova_lite.db.base import utcnow
from nova_lite.db.volume import messages
from nova_lite.db.volume.messages import Message
from nova_lite.lifecycle.volume_messages import MessageAction, MessageDetail, MessageSubject
from tests.support.api.users import PROJECTS
from tests.support.api.volume_api import VolumeApi

VOLUME = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"


def add(api: VolumeApi, *, user: str = "alice", **fields: Any) -> str:
    values = {"project_id": PROJECTS[user], "request_id": "req-1", "subject": MessageSubject.VOLUME, "resource_id": VOLUME,
              "action": MessageAction.SCHEDULE, "detail": MessageDetail.NO_BACKEND, **fields}
    return str(api.change(lambda session: messages.add(session, api.conf, **values).id))


def test_a_message_says_what_failed_and_why(api: VolumeApi) -> None:
    made = add(api, reason="2x not enough capacity")
    shown = api.get(f"/messages/{made}").body["message"]
    assert shown | {"created_at": "", "guaranteed_until": "", "links": []} == {
        "id": made, "request_id": "req-1", "message_level": "ERROR", "event_id": "VOLUME_VOLUME_001_003", "resource_type": "VOLUME",
        "resource_uuid": VOLUME, "user_message": "find a pool for the volume: 2x not enough capacity", "created_at": "",
        "guaranteed_until": "", "links": []}
    kept = datetime.datetime.fromisoformat(shown["guaranteed_until"]) - datetime.datetime.fromisoformat(shown["created_at"])
    assert kept == datetime.timedelta(days=30)
    assert api.get("/messages").body["messages"] == [shown]


def test_a_message_without_a_reason_has_the_words_of_its_detail(api: VolumeApi) -> None:
    made = add(api, subject=MessageSubject.SNAPSHOT, action=MessageAction.DELETE_SNAPSHOT, detail=MessageDetail.SNAPSHOT_BUSY)
    shown = api.get(f"/messages/{made}").body["message"]
    assert (shown["event_id"], shown["user_message"]) == ("VOLUME_VOLUME_SNAPSHOT_010_015", "delete the snapshot: the snapshot is busy")


def test_a_message_is_deleted(api: VolumeApi) -> None:
    made = add(api)
    assert api.delete(f"/messages/{made}", user="reader").status == 403
    assert api.delete(f"/messages/{made}").status == 204
    assert api.get(f"/messages/{made}").status == 404
    assert api.delete(f"/messages/{made}").status == 404


def test_another_project_sees_no_message(api: VolumeApi) -> None:
    made = add(api)
    assert api.get("/messages", user="bob").body == {"messages": []}
    assert api.get(f"/messages/{made}", user="bob").status == 404
    assert api.delete(f"/messages/{made}", user="bob").status == 404
    assert api.get(f"/messages?marker={made}", user="bob").status == 404
    assert api.get(f"/messages/{made}", user="admin").status == 200


def test_messages_are_filtered_and_paged_from_3_5_on(api: VolumeApi) -> None:
    first, second = add(api, resource_id=OTHER), add(api, action=MessageAction.EXTEND)

    def ids(query: str, *, version: str = "3.71") -> list[str]:
        return [one["id"] for one in api.get(f"/messages?{query}", version=version).body["messages"]]

    assert ids("") == [second, first]
    assert ids(f"resource_uuid={OTHER}") == [first]
    assert ids("event_id=VOLUME_VOLUME_007_003&message_level=ERROR") == [second]
    assert ids("sort=created_at:asc&limit=1") == [first]
    assert ids(f"marker={second}") == [first]
    assert ids("limit=1", version="3.4") == [second, first]
    assert ids(f"resource_uuid={OTHER}", version="3.4") == [second, first]
    page = api.get("/messages?limit=1&with_count=true").body
    assert (page["count"], page["messages_links"][0]["rel"]) == (2, "next")


@pytest.mark.parametrize(("query", "status"), [("colour=red", 400), ("limit=x", 400), ("sort=user_message", 400), ("marker=none", 404)])
def test_a_wrong_list_is_refused(api: VolumeApi, query: str, status: int) -> None:
    assert api.get(f"/messages?{query}").status == status


def test_messages_are_there_from_3_3_on(api: VolumeApi) -> None:
    assert (api.get("/messages", version="3.2").status, api.get("/messages", version="3.3").status) == (404, 200)


def test_a_project_keeps_its_newest_messages(api: VolumeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "KEPT", 3)
    bobs = add(api, user="bob")
    made = [add(api) for _ in range(5)]
    assert [one["id"] for one in api.get("/messages").body["messages"]] == made[:1:-1]
    assert api.get(f"/messages/{bobs}", user="bob").status == 200


def test_messages_beyond_their_time_are_purged(api: VolumeApi) -> None:
    api.conf.set_override("message_ttl", 60)
    old = add(api)
    api.conf.set_override("message_ttl", 3600)
    new = add(api)
    later = utcnow() + datetime.timedelta(seconds=600)
    assert api.change(lambda session: messages.purge(session, now=later, limit=10)) == 1
    assert [one["id"] for one in api.get("/messages").body["messages"]] == [new]
    assert api.get(f"/messages/{old}").status == 404


def test_a_long_reason_is_cut(api: VolumeApi) -> None:
    made = add(api, reason="x" * 5000)
    with api.database.reader() as session:
        found = session.get(Message, made)
        assert found is not None
        assert len(found.user_message) == 1024
