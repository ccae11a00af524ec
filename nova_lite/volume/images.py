# SPDX-License-Identifier: Apache-2.0
"""Images that volumes are made from: fetched into a file for the while, and checked before any program opens them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from oslo_config import cfg

from nova_lite import errors
from nova_lite.rpc.compute import Image
from nova_lite.runtime.failpoints import fail
from nova_lite.volume.driver import Check, ImageFile
from nova_lite.worker import commands, qemu_img
from nova_lite.worker.images import image_format
from nova_lite.worker.images.downloads import DownloadFailed, download

_WAIT_S = 1.0
_MAX_WAITING = 16


class Images:
    """See nova_lite.volume.driver.ImageSource; few at a time are copied to and from the host."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._host: str = conf.host
        self._timeout_s: float = conf.volume.image_timeout
        self._directory = Path(conf.volume.image_conversion_dir or Path(conf.state_path) / "conversion").absolute()
        self._guard, self._waiting = threading.Lock(), 0
        self._copies = threading.BoundedSemaphore(conf.volume.max_concurrent_copies)

    def open(self) -> None:
        """Remove what a crash left."""
        for left in self._directory.glob("image-*"):
            shutil.rmtree(left, ignore_errors=True)

    @contextlib.contextmanager
    def fetched(self, image: Image, *, max_bytes: int, check: Check) -> Iterator[ImageFile]:
        with self.copying(check=check), self.directory_for_one() as directory:
            try:
                fetched = self._fetch(image, directory / "image", max_bytes=max_bytes, check=check)
            except (DownloadFailed, image_format.BadImage, commands.CommandFailed) as error:
                raise errors.ImageFailed(host=self._host, id=image.id, reason=error) from error
            except OSError as error:
                raise errors.ImageFailed(host=self._host, id=image.id, reason=error.strerror or error) from error
            yield fetched

    @contextlib.contextmanager
    def copying(self, *, check: Check) -> Iterator[None]:
        """Wait for one of the few places of copies, and have it for the while.

        :raises errors.TooBusy: many wait already, each with a thread that other requests need.
        """
        with self._guard:
            if self._waiting >= _MAX_WAITING:
                raise errors.TooBusy(reason=f"host {self._host}: {_MAX_WAITING} images wait to be copied")
            self._waiting += 1
        try:
            while not self._copies.acquire(timeout=_WAIT_S):
                check()
        finally:
            with self._guard:
                self._waiting -= 1
        try:
            yield
        finally:
            self._copies.release()

    @contextlib.contextmanager
    def directory_for_one(self) -> Iterator[Path]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="image-", dir=self._directory) as directory:
            yield Path(directory)

    def _fetch(self, image: Image, path: Path, *, max_bytes: int, check: Check) -> ImageFile:
        """:raises image_format.BadImage: it is not what it should be, or too large."""
        disk = os.statvfs(path.parent)
        if disk.f_bavail * disk.f_frsize < image.size:
            raise image_format.BadImage(f"there is no space for its {image.size} bytes in {self._directory}")
        fail("volume.image.download")
        download(image, path, timeout_s=self._timeout_s, check=check)
        size = image_format.virtual_size(path, image.disk_format)
        if size > max_bytes:
            raise image_format.BadImage(f"its disk of {size / (1 << 30):.2f} GiB does not fit in the volume's {max_bytes >> 30} GiB")
        if image.disk_format != "raw":
            qemu_img.virtual_size(path, image.disk_format, check=check)
        return ImageFile(path, image.disk_format, size)
