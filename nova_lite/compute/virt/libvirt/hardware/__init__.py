# SPDX-License-Identifier: Apache-2.0
"""The host's hardware: what it has, how guests run on it, and which CPUs they get."""
