# SPDX-License-Identifier: Apache-2.0
"""Tables of block storage: volumes, their snapshots, attachments and pools."""
