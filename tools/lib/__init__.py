# SPDX-License-Identifier: Apache-2.0
"""What the tools share, one package per tool."""
