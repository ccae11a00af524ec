# SPDX-License-Identifier: Apache-2.0
"""The audit of the image store: images' rows compared with the files that this process serves."""

from __future__ import annotations

import datetime

from nova_lite.api.image.store import STALLED_AFTER, Store, stray_files
from nova_lite.db.engine import Database
from nova_lite.db.image import images
from nova_lite.rpc.audit import AuditFinding

FILE_MISSING, FILE_WITHOUT_IMAGE, UPLOAD_STALLED = "image_file_missing", "file_without_image", "upload_stalled"
# By kind: what repairs it, or what the operator can do.
ADVICE = {
    FILE_MISSING: "restore the file in [image] store_path from a copy, or delete the image; guests that run from it have their own copy",
    FILE_WITHOUT_IMAGE: "the cleaner of the image store removes it",
    UPLOAD_STALLED: "the cleaner of the image store resets the image to queued",
}


def check(store: Store, database: Database, now: datetime.datetime) -> list[AuditFinding]:
    """What rows and files disagree about, as far as it is not younger than uploads may take."""
    before = now - STALLED_AFTER
    with database.reader() as session:
        expected = images.active_files(session)
        stalled = images.stalled(session, before=before)
        used = images.files_in_use(session)
    names = {path.name for path in store.names()}
    stray = stray_files(store, used, before)
    with database.reader() as session:  # an image that was deleted meanwhile has lost its file since
        still = images.active_files(session)
    missing = [(image_id, file_id) for image_id, file_id in expected.items() if file_id not in names and still.get(image_id) == file_id]
    return [
        *(_found(FILE_MISSING, image_id, f"the image is active, and {store.path}/{file_id} does not exist") for image_id, file_id in missing),
        *(_found(FILE_WITHOUT_IMAGE, path.name, f"{path} belongs to no image") for path in stray),
        *(_found(UPLOAD_STALLED, image_id, "the image is saving, and no data has come for an hour") for image_id in stalled)]


def _found(kind: str, resource: str, problem: str) -> AuditFinding:
    return AuditFinding(kind=kind, resource=resource, host="", problem=problem, repair=ADVICE[kind], is_repairable=kind != FILE_MISSING)
