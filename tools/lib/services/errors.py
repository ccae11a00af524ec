# SPDX-License-Identifier: Apache-2.0
"""The one error of tools.lib.services, apart so that every file here can raise it."""


class ServiceError(RuntimeError):
    """A service could not be started, used or ended; the text says why and ends with its last log lines."""
