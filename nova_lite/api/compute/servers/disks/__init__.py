# SPDX-License-Identifier: Apache-2.0
"""The disks that requests for servers describe: block device mappings, volumes made with a server, images that name volumes."""
