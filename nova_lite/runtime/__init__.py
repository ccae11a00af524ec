# SPDX-License-Identifier: Apache-2.0
"""What a process needs to run: threads, HTTP server, tokens, locks, failpoints, caches."""
