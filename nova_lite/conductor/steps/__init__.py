# SPDX-License-Identifier: Apache-2.0
"""Steps and parts of steps that several workflows share."""
