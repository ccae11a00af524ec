# SPDX-License-Identifier: Apache-2.0
"""The end of actions that requests wait for is reported to nova-api."""

from __future__ import annotations

import pytest

from tests.support.flows.one_process import OneProcess
from tests.support.flows.scenarios import SCENARIOS


@pytest.mark.parametrize("name", ["attach_interface", "detach_interface"])
def test_the_end_of_an_attach_and_of_a_detach_is_reported(cloud: OneProcess, name: str) -> None:
    _, action_id = SCENARIOS[name].prepare(cloud)
    before = list(cloud.api.ended)
    cloud.run(action_id)
    assert cloud.api.ended == [*before, action_id]
