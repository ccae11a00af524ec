# SPDX-License-Identifier: Apache-2.0
"""Volumes as files of a directory of this host."""
