# SPDX-License-Identifier: Apache-2.0
"""Steps: keys that open actions have in their journals are declared, and never removed or used again for something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nova_lite.conductor.workflows import WORKFLOWS
from nova_lite.db.compute.actions import SERVER
from nova_lite.lifecycle.servers import ACTIONS, HOST_STEP_SEQUENCE

RECORD = Path(__file__).with_name("steps.json")


def current() -> dict[str, list[str]]:
    """Every workflow's keys, in order."""
    return {name: [step.key for step in workflow.steps] for name, workflow in sorted(WORKFLOWS.items())}


def test_steps_are_as_recorded() -> None:
    """After a deliberate change: `python -m tests.arch.test_steps`. An open action with a key that is gone ends with a fault."""
    recorded = json.loads(RECORD.read_text())
    for name, keys in recorded.items():
        missing = [key for key in keys if key not in current().get(name, [])]
        assert not missing, f"steps {missing} of {name} are gone: actions of an earlier release may have them"
    assert current() == recorded, "record the new steps: python -m tests.arch.test_steps"


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_keys_are_unique_within_a_workflow(name: str) -> None:
    keys = current()[name]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", sorted(name for name, row in ACTIONS.items() if row.on_host))
def test_the_api_casts_the_step_that_the_workflow_awaits(name: str) -> None:
    assert WORKFLOWS[name].position(ACTIONS[name].host_step) == HOST_STEP_SEQUENCE


def test_every_action_that_is_not_instant_is_a_workflow() -> None:
    of_servers = {name for name, workflow in WORKFLOWS.items() if workflow.resource_type == SERVER}
    assert of_servers == {name for name, row in ACTIONS.items() if not row.is_instant}


if __name__ == "__main__":
    RECORD.write_text(json.dumps(current(), indent=1) + "\n")
