# SPDX-License-Identifier: Apache-2.0
"""Exports of a directory pool by iSCSI, by the target daemon of the Linux SCSI target framework (tgt)."""
