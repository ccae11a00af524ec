# SPDX-License-Identifier: Apache-2.0
"""Keypairs and their keys."""
