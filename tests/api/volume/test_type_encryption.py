# SPDX-License-Identifier: Apache-2.0
"""Encryption of volume types, as an admin sets it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api.volume_api import VolumeApi, add_type, volume

LUKS = {"provider": "luks", "control_location": "front-end", "cipher": "aes-xts-plain64", "key_size": 256}
VOLUME = "11111111-1111-4111-8111-111111111111"


def test_encryption_is_set_shown_changed_and_removed(api: VolumeApi) -> None:
    type_id = add_type(api, "t")
    path = f"/types/{type_id}/encryption"
    assert api.get(path, user="admin").body == {}
    made = api.post(path, {"encryption": LUKS}, user="admin")
    assert made.status == 200
    encryption_id = made.body["encryption"]["encryption_id"]
    assert made.body["encryption"] == {**LUKS, "volume_type_id": type_id, "encryption_id": encryption_id}
    shown = api.get(path, user="admin").body
    assert made.body["encryption"].items() <= shown.items()
    assert (shown["deleted"], shown["deleted_at"], shown["updated_at"]) == (False, None, None)
    assert api.get(f"{path}/cipher", user="admin").body == {"cipher": "aes-xts-plain64"}
    assert api.get(f"{path}/colour", user="admin").status == 404
    changed = api.put(f"{path}/{encryption_id}", {"encryption": {"key_size": "512", "cipher": None}}, user="admin")
    assert (changed.status, changed.body) == (200, {"encryption": {"key_size": 512, "cipher": None}})
    assert api.get(path, user="admin").body["key_size"] == 512
    assert api.delete(f"{path}/{encryption_id}", user="admin").status == 202
    assert api.delete(f"{path}/{encryption_id}", user="admin").status == 404
    assert api.get(path, user="admin").body == {}


@pytest.mark.parametrize("fields", [
    {"provider": "luks"}, {"control_location": "front-end"}, {**LUKS, "key_size": -1}, {**LUKS, "key_size": 4096}, {**LUKS, "key_size": "99999"},
    {**LUKS, "control_location": "middle"}, {**LUKS, "more": 1}, {**LUKS, "provider": ""}])
def test_wrong_encryption_is_refused(api: VolumeApi, fields: dict[str, Any]) -> None:
    type_id = add_type(api, "t")
    assert api.post(f"/types/{type_id}/encryption", {"encryption": fields}, user="admin").status == 400


def test_a_type_has_one_encryption(api: VolumeApi) -> None:
    type_id = add_type(api, "t")
    api.post(f"/types/{type_id}/encryption", {"encryption": LUKS}, user="admin")
    assert api.post(f"/types/{type_id}/encryption", {"encryption": LUKS}, user="admin").status == 400


def test_a_type_is_not_both_encrypted_and_multiattach(api: VolumeApi) -> None:
    shared, secret = add_type(api, "shared", extra_specs={"multiattach": "<is> True"}), add_type(api, "secret")
    assert api.post(f"/types/{shared}/encryption", {"encryption": LUKS}, user="admin").status == 400
    assert api.post(f"/types/{secret}/encryption", {"encryption": LUKS}, user="admin").status == 200
    assert api.post(f"/types/{secret}/extra_specs", {"extra_specs": {"multiattach": "<is> True"}}, user="admin").status == 400


def test_encryption_of_a_type_with_volumes_stays(api: VolumeApi) -> None:
    type_id = add_type(api, "used")
    made = api.post(f"/types/{type_id}/encryption", {"encryption": LUKS}, user="admin").body["encryption"]
    api.add(volume(VOLUME, volume_type_id=type_id))
    path = f"/types/{type_id}/encryption/{made['encryption_id']}"
    assert api.put(path, {"encryption": {"key_size": 512}}, user="admin").status == 400
    assert api.delete(path, user="admin").status == 400


def test_users_see_nothing_of_it(api: VolumeApi) -> None:
    type_id = add_type(api, "t")
    assert api.get(f"/types/{type_id}/encryption").status == 403
    assert api.post(f"/types/{type_id}/encryption", {"encryption": LUKS}).status == 403
