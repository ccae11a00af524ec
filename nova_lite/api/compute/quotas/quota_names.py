# SPDX-License-Identifier: Apache-2.0
"""Names of the quotas, by the microversion that removed them, and the schema of bodies that set them."""

from __future__ import annotations

from nova_lite.api.compute.common import schemas
from nova_lite.api.wsgi.validation import MAX_INTEGER

NAMES = ("instances", "cores", "ram", "key_pairs", "metadata_items", "server_groups", "server_group_members")
NETWORK_NAMES = ("security_groups", "security_group_rules", "fixed_ips", "floating_ips")
FILE_NAMES = ("injected_files", "injected_file_content_bytes", "injected_file_path_bytes")
ALL_NAMES = (*NAMES, *NETWORK_NAMES, *FILE_NAMES)
_LIMIT: schemas.Schema = {"anyOf": [{"type": "integer", "minimum": -1, "maximum": MAX_INTEGER},
                                    {"type": "string", "pattern": "^(-1|[0-9]{1,10})$", "format": "digits"}]}


def update_schema(key: str, names: tuple[str, ...], **others: schemas.Schema) -> schemas.Schema:
    """The schema of a body `{key: …}` that sets some of these quotas; `others` are further properties beside them."""
    return schemas.keyed(key, schemas.closed({**dict.fromkeys(names, _LIMIT), **others}))
