# SPDX-License-Identifier: Apache-2.0
"""The parts of tools/bench: standard library only, and nothing of nova_lite."""
