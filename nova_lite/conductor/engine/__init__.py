# SPDX-License-Identifier: Apache-2.0
"""The workflow engine: workflows of steps, their journal, and what a step may use."""
