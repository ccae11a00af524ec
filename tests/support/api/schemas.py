# SPDX-License-Identifier: Apache-2.0
"""Schemas of the services in test clouds: they are the same in all tests, and to compile one takes longer than many a test."""

from __future__ import annotations

from nova_lite.api.wsgi.application import Application
from nova_lite.api.wsgi.validation import Validator

_VALIDATOR = Validator()


def share(application: Application) -> Application:
    """The application; it checks with what others have compiled."""
    application._validator = _VALIDATOR
    return application
