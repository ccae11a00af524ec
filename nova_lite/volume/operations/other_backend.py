# SPDX-License-Identifier: Apache-2.0
"""A volume of one backend as the source of a volume of another one, of the same worker: by a copy in between, as an image is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from nova_lite import errors
from nova_lite.rpc.compute import Image
from nova_lite.rpc.volume import Content, ContentSource, Volume
from nova_lite.volume.driver import Backend, Check, ImageFile
from nova_lite.volume.images import Images

_CHUNK = 4 << 20
# What the pool of the copy is given: an image whose bytes `OtherBackend.fetched` has.
AS_IMAGE = Content(source=ContentSource.IMAGE, image=Image(
    id="", disk_format="raw", size=0, hash_algo="", checksum="", url="", token="", properties={}))


class OtherBackend:
    """See nova_lite.volume.driver.ImageSource. `content`: the volume, which nobody uses."""

    def __init__(self, images: Images, backend: Backend, content: Content) -> None:
        self._images, self._backend, self._content = images, backend, content

    @contextlib.contextmanager
    def fetched(self, image: Image, *, max_bytes: int, check: Check) -> Iterator[ImageFile]:
        content = self._content
        source = Volume(volume_id=content.id, project_id="", backend=content.backend, pool=content.pool, size_gb=content.size_gb,
                        provider_name=content.provider_name)
        with self._images.copying(check=check), self._images.directory_for_one() as directory:
            path = directory / "image"
            with self._backend.pool.image_of(source, "raw", is_in_use=False, check=check) as stream, path.open("wb") as copy:
                while chunk := stream.read(_CHUNK):
                    check()
                    if chunk.count(0) == len(chunk):
                        copy.seek(len(chunk), os.SEEK_CUR)  # stays a hole
                    else:
                        copy.write(chunk)
                copy.truncate()
            if path.stat().st_size > max_bytes:
                raise errors.VolumeFailed(host=self._backend.name, action="copy a volume", reason="it is larger than its copy")
            yield ImageFile(path, "raw", path.stat().st_size)
