# SPDX-License-Identifier: Apache-2.0
"""The small real guest: Debian's kernel, busybox, dropbear and QEMU's agent, made without mounts or chroot."""
