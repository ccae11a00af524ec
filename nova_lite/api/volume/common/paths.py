# SPDX-License-Identifier: Apache-2.0
"""Paths of actions."""

ACTIONS = "/volumes/{volume_id}/action"
SNAPSHOT_ACTIONS = "/snapshots/{snapshot_id}/action"
