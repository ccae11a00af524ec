# SPDX-License-Identifier: Apache-2.0
"""Backups of volumes: objects in a store, and what is made of them."""
