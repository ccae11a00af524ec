# SPDX-License-Identifier: Apache-2.0
"""Injected files of a server (`personality`, up to 2.56): the guest reads them from its metadata."""

from __future__ import annotations

import base64
import binascii

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.db.quotas import quotas


def validate(req: Request, files: list[Body]) -> list[dict[str, str]]:
    """The files as the row stores them: `path`, and `contents` in base64.

    :raises errors.OverQuota: too many files, a path too long or contents too large; the texts are Nova's.
    :raises errors.BadRequest: contents are not base64.
    """
    limits = quotas.limits(req.db, req.conf, req.ctxt.project_id)
    if _is_over(len(files), limits["injected_files"]):
        raise errors.OverQuota("Personality file limit exceeded")
    for file in files:
        if _is_over(len(file["path"].encode()), limits["injected_file_path_bytes"]):
            raise errors.OverQuota("Personality file path exceeds maximum")
        if _is_over(len(_decoded(file)), limits["injected_file_content_bytes"]):
            raise errors.OverQuota("Personality file content exceeds maximum")
    return [{"path": file["path"], "contents": "".join(file["contents"].split())} for file in files]


def _decoded(file: Body) -> bytes:
    try:
        return base64.b64decode("".join(file["contents"].split()), validate=True)
    except (ValueError, binascii.Error):
        raise errors.BadRequest(reason=f"Personality content for {file['path']} cannot be decoded") from None


def _is_over(count: int, limit: int) -> bool:
    return 0 <= limit < count
