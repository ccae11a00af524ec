# SPDX-License-Identifier: Apache-2.0
"""Files that a request gives with a server (`personality`, up to 2.56): the guest finds them among its metadata."""

from __future__ import annotations

import base64
import binascii

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.db.quotas import quotas


def checked(req: Request, asked: list[Body]) -> list[dict[str, str]]:
    """The files as they are kept: `path`, and `contents` in base64.

    :raises errors.OverQuota: too many, too long or too large; the sentences are Nova's.
    :raises errors.BadRequest: contents that are not base64.
    """
    limits = quotas.limits(req.db, req.conf, req.ctxt.project_id)
    if _is_over(len(asked), limits["injected_files"]):
        raise errors.OverQuota("Personality file limit exceeded")
    for file in asked:
        if _is_over(len(file["path"].encode()), limits["injected_file_path_bytes"]):
            raise errors.OverQuota("Personality file path exceeds maximum")
        if _is_over(len(_decoded(file)), limits["injected_file_content_bytes"]):
            raise errors.OverQuota("Personality file content exceeds maximum")
    return [{"path": file["path"], "contents": "".join(file["contents"].split())} for file in asked]


def _decoded(file: Body) -> bytes:
    try:
        return base64.b64decode("".join(file["contents"].split()), validate=True)
    except (ValueError, binascii.Error):
        raise errors.BadRequest(reason=f"Personality content for {file['path']} cannot be decoded") from None


def _is_over(count: int, limit: int) -> bool:
    return 0 <= limit < count
