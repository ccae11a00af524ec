# SPDX-License-Identifier: Apache-2.0
"""The workflows: one file is one operation, by the name of its action in lifecycle/table.py."""

from nova_lite.conductor.workflow import Workflow
from nova_lite.conductor.workflows import build, delete

WORKFLOWS: dict[str, Workflow] = {"create": build.BUILD, "delete": delete.DELETE}
