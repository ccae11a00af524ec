# SPDX-License-Identifier: Apache-2.0
"""Images on a volume worker's host: few are copied at once, and none where there is no space for it."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.volume import images as module
from nova_lite.volume.images import Images
from tests.support.guests import image_server
from tests.support.options import defaults
from tests.support.wait import wait_until


def images(directory: Path) -> Images:
    conf = defaults()
    conf.set_override("state_path", str(directory))
    conf.set_override("max_concurrent_copies", 1, "volume")
    return Images(conf)


def test_a_copy_that_would_be_one_of_many_to_wait_is_refused_for_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_WAITING", 1)
    monkeypatch.setattr(module, "_WAIT_S", 0.01)
    copies, done = images(tmp_path), []

    def wait_for_a_place() -> None:
        with copies.copying(check=lambda: None):
            done.append(True)

    waiting = threading.Thread(target=wait_for_a_place)
    with copies.copying(check=lambda: None):
        waiting.start()
        wait_until(lambda: copies._waiting == 1)
        with pytest.raises(errors.TooBusy), copies.copying(check=lambda: None):
            raise AssertionError("it was let in")
        assert not done
    waiting.join()
    assert done


def test_one_that_waits_for_a_place_gives_up_when_it_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAIT_S", 0.01)
    copies = images(tmp_path)

    def not_needed() -> None:
        raise errors.StaleRequest(id="v", fence="1", known="2")

    with copies.copying(check=lambda: None), pytest.raises(errors.StaleRequest), copies.copying(check=not_needed):
        raise AssertionError("it was let in")
    assert copies._waiting == 0


def test_an_image_larger_than_what_is_free_is_not_downloaded(tmp_path: Path) -> None:
    with image_server(b"I" * 512) as server:
        image = dataclasses.replace(server.image(disk_format="raw"), size=1 << 60)
        with pytest.raises(errors.ImageFailed, match="no space"), images(tmp_path).fetched(image, max_bytes=1 << 62, check=lambda: None):
            raise AssertionError("it was fetched")
        assert server.requests == 0
    assert list((tmp_path / "conversion").iterdir()) == []


def test_what_a_crash_left_of_images_is_removed_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "conversion" / "image-1").mkdir(parents=True)
    (tmp_path / "conversion" / "image-1" / "image").write_bytes(b"I")
    (tmp_path / "conversion" / "of-another").mkdir()
    images(tmp_path).open()
    assert [path.name for path in (tmp_path / "conversion").iterdir()] == ["of-another"]
