# SPDX-License-Identifier: Apache-2.0
"""Files of a guest on this host: disks, config drive, snapshots, TPM keys."""
