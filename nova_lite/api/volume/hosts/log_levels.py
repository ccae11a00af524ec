# SPDX-License-Identifier: Apache-2.0
"""Log levels of the process that answers: shown and set until it ends."""

from __future__ import annotations

import logging

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, STRINGS, closed, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule

API = "cinder-api"
_RULE = Rule("volume_extension:services:update", ADMIN)
_ALL = (None, "", "*")
LEVELS = {"CRITICAL": logging.CRITICAL, "ERROR": logging.ERROR, "WARNING": logging.WARNING, "INFO": logging.INFO, "DEBUG": logging.DEBUG}
_TEXT = {"type": ["string", "null"], "maxLength": 255}
_WHICH = {"binary": _TEXT, "server": _TEXT, "prefix": _TEXT}
_NAMES = [spelling for level in LEVELS for spelling in (level, level.lower())]
SET = schemas.closed({**_WHICH, "level": {"enum": _NAMES}}, required=("level",))
GET = schemas.closed({**_WHICH, "level": _TEXT})


@route("PUT", "/os-services/set-log", policy=_RULE, since="3.32", status=202, body={"3.32": SET})
def set_log(req: Request, body: Body) -> None:
    """Set the level of each logger whose name begins with a prefix, of this process of nova-api; without one, of all.

    202 with no body. 400: a wrong level, or another binary or server: those of other daemons are options of their nova.conf.
    """
    _check_here(req, body)
    prefix = body.get("prefix") or ""
    names = _loggers(prefix)
    if not names:
        raise errors.BadRequest(reason=f"No logger has the prefix {prefix[:64]!r}")
    for name in (*names, *([] if prefix else [None])):  # None: the root
        logging.getLogger(name).setLevel(LEVELS[body["level"].upper()])


@route("PUT", "/os-services/get-log", policy=_RULE, since="3.32", body={"3.32": GET},
       response=closed(log_levels=many(closed(binary=STRING, host=STRING, levels=STRINGS))))
def get_log(req: Request, body: Body) -> Body:
    """Show the levels of the loggers of a prefix, of this process of nova-api. 200. 400: another binary or server."""
    _check_here(req, body)
    levels = {name: logging.getLevelName(logging.getLogger(name).getEffectiveLevel()) for name in _loggers(body.get("prefix") or "")}
    return {"log_levels": [{"binary": API, "host": req.conf.host, "levels": levels}]}


def _check_here(req: Request, body: Body) -> None:
    binary, server = body.get("binary"), body.get("server")
    if binary not in (*_ALL, API) or server not in (*_ALL, req.conf.host):
        raise errors.BadRequest(reason=f"Only levels of {API} on {req.conf.host} are shown and set here; other daemons have options for them")


def _loggers(prefix: str) -> list[str]:
    return sorted(name for name, made in logging.root.manager.loggerDict.items() if isinstance(made, logging.Logger) and name.startswith(prefix))
