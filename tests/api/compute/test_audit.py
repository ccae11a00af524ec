# SPDX-License-Identifier: Apache-2.0
"""GET /os-audit and POST /os-audit/repair: a conductor's findings, and those of the image store of this process."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.api.image.store import open_store
from nova_lite.db.base import new_id, utcnow
from nova_lite.db.image.images import Image
from nova_lite.rpc.audit import MOST_LISTED, AuditFinding, AuditReport
from tests.support.api.compute_api import ComputeApi

TWO_HOURS_S = 7200.0
FOUND = AuditFinding(kind="claim_sums", resource="node1", host="node1", problem="9 ram_mb", repair="claims_audit", is_repairable=True)


@pytest.fixture
def healthy(api: ComputeApi) -> ComputeApi:
    api.rpc.answers |= {"audit": AuditReport(), "repair": None}
    return api


def found(api: ComputeApi) -> set[tuple[str, str]]:
    answer = api.get("/os-audit", user="admin")
    assert answer.status == 200, answer.body
    return {(one["kind"], one["resource"]) for one in answer.body["findings"]}


def stray_file(api: ComputeApi, name: str) -> Path:
    """Last written two hours ago."""
    path = open_store(api.conf).path / name
    path.write_bytes(b"x")
    os.utime(path, (time.time() - TWO_HOURS_S,) * 2)
    return path


def test_a_healthy_cloud_has_no_findings(healthy: ComputeApi) -> None:
    assert found(healthy) == set()


def test_what_the_conductor_finds_is_shown_whole(healthy: ComputeApi) -> None:
    healthy.rpc.answers["audit"] = AuditReport(findings=(FOUND,), omitted={"claim_sums": 41})
    assert healthy.get("/os-audit", user="admin").body == {"findings": [{
        "kind": "claim_sums", "resource": "node1", "host": "node1", "problem": "9 ram_mb", "repair": "claims_audit", "is_repairable": True}],
        "omitted": [{"kind": "claim_sums", "count": 41}]}


def test_how_long_things_must_have_been_at_rest_is_a_parameter(healthy: ComputeApi) -> None:
    healthy.get("/os-audit?settled=0", user="admin")
    healthy.get("/os-audit", user="admin")
    assert [arguments["settled_s"] for _, _, _, arguments in healthy.rpc.sent] == [0.0, 60.0]
    assert healthy.get("/os-audit?settled=now", user="admin").status == 400


def test_users_are_refused(healthy: ComputeApi) -> None:
    assert healthy.get("/os-audit").status == 403
    assert healthy.post("/os-audit/repair", None).status == 403
    assert healthy.rpc.sent == []


def test_no_conductor_is_503(healthy: ComputeApi) -> None:
    healthy.rpc.answers["audit"] = errors.ServiceDown(service="nova-conductor", host="any host", reason="no answer in time")
    assert healthy.get("/os-audit", user="admin").status == 503


def test_a_file_without_an_image_is_found_and_removed(healthy: ComputeApi) -> None:
    path = stray_file(healthy, new_id())
    assert found(healthy) == {("file_without_image", path.name)}
    assert healthy.post("/os-audit/repair", None, user="admin").status == 202
    assert not path.exists()
    assert found(healthy) == set()
    assert [method for _, _, method, _ in healthy.rpc.sent] == ["audit", "repair", "audit"]


def test_a_stalled_upload_is_found_and_reset(healthy: ComputeApi) -> None:
    image_id, before = new_id(), utcnow().replace(year=2020)
    healthy.add(Image(id=image_id, owner="p", status="saving", file_id=new_id(), updated_at=before))
    assert found(healthy) == {("upload_stalled", image_id)}
    healthy.post("/os-audit/repair", None, user="admin")
    assert found(healthy) == set()


def test_of_very_many_files_without_an_image_some_are_listed_and_all_counted(healthy: ComputeApi) -> None:
    for _ in range(MOST_LISTED + 3):
        stray_file(healthy, new_id())
    answer = healthy.get("/os-audit", user="admin").body
    assert (len(answer["findings"]), answer["omitted"]) == (MOST_LISTED, [{"kind": "file_without_image", "count": 3}])


def test_an_active_image_without_its_file_is_found_and_stays(healthy: ComputeApi) -> None:
    image_id, file_id = new_id(), new_id()
    healthy.add(Image(id=image_id, owner="p", status="active", file_id=file_id))
    healthy.post("/os-audit/repair", None, user="admin")
    assert found(healthy) == {("image_file_missing", image_id)}
    stray_file(healthy, file_id)
    assert found(healthy) == set()
    healthy.change(lambda session: session.execute(sa.update(Image).where(Image.id == image_id).values(deleted_at=utcnow())))
    assert found(healthy) == {("file_without_image", file_id)}
