# SPDX-License-Identifier: Apache-2.0
"""An upload, which takes long and holds no lock of its server, beside later requests about the server."""

from __future__ import annotations

from typing import Any

import pytest

from nova_lite import errors
from nova_lite.compute.operations.snapshot import Snapshot
from nova_lite.compute.records import DesiredPower
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import ImageUpload
from tests.unit.compute.conftest import SERVER, Worker, at, make_guest

IMAGE = ImageUpload(id="22222222-0000-4000-8000-000000000001", url="http://127.0.0.1:1/", token="secret")


@pytest.fixture
def built(worker: Worker) -> Worker:
    worker.build.build(worker.ctxt, order=at(1), guest=make_guest())
    return worker


def upload_while(worker: Worker, meanwhile: Any) -> None:
    """An upload with order 2, in the middle of which something else is done."""
    endpoint = Snapshot(worker.host, upload=lambda source, **how: meanwhile(), timeout_s=1)
    endpoint.snapshot(worker.ctxt, server_id=SERVER, order=at(2), image_id=IMAGE.id)
    endpoint.upload_snapshot(worker.ctxt, server_id=SERVER, order=at(3), image=IMAGE)


def test_an_upload_is_remembered_with_its_order(built: Worker) -> None:
    upload_while(built, lambda: None)
    record = built.records.get(SERVER)
    assert record is not None
    assert (record.order, record.is_done) == (at(3), True)


def test_an_upload_that_ends_after_a_later_request_leaves_that_ones_order(built: Worker) -> None:
    upload_while(built, lambda: built.power.stop(built.ctxt, server_id=SERVER, order=at(5)))
    record = built.records.get(SERVER)
    assert record is not None
    assert (record.order, record.is_done, record.desired_power) == (at(5), True, DesiredPower.OFF)
    assert built.listener.done[-1] == (SERVER, 3, int(Power.SHUTDOWN))
    with pytest.raises(errors.StaleRequest):
        built.power.start(built.ctxt, server_id=SERVER, order=at(4))
    assert [report.known for report in built.listener.stale] == [at(5)]
    assert built.driver.power.state(SERVER) is Power.SHUTDOWN
