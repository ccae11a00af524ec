# SPDX-License-Identifier: Apache-2.0
"""Inspection of uploaded data, with files that qemu-img and genisoimage create."""

from __future__ import annotations

import io
import pathlib
import struct
import subprocess

import pytest

from nova_lite import errors
from nova_lite.api.image import formats

MIB = 1024**2


def qemu_img(*args: object) -> None:
    subprocess.run(["qemu-img", *map(str, args)], check=True, capture_output=True, timeout=60)


def inspect(content: bytes, disk_format: str) -> int:
    return formats.inspect(io.BytesIO(content), size=len(content), disk_format=disk_format)


def refusal(content: bytes, disk_format: str) -> str:
    with pytest.raises(errors.BadRequest) as refused:
        inspect(content, disk_format)
    return refused.value.text


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An 8 MiB raw disk with data at both ends and in the middle."""
    path = tmp_path_factory.mktemp("disk") / "disk.raw"
    with path.open("wb") as file:
        file.truncate(8 * MIB)
        for place in (0, 4 * MIB, 8 * MIB - 65536):
            file.seek(place)
            file.write(bytes(range(256)) * 256)
    return path


def made(disk: pathlib.Path, fmt: str, *options: str) -> bytes:
    target = disk.with_name("made." + fmt)
    target.unlink(missing_ok=True)
    qemu_img("convert", "-O", fmt, *options, disk, target)
    return target.read_bytes()


@pytest.mark.parametrize("options", [
    (), ("-c",), ("-o", "compat=0.10"), ("-o", "cluster_size=512"), ("-o", "cluster_size=2M"),
    ("-o", "extended_l2=on,cluster_size=128k"), ("-c", "-o", "compression_type=zstd"), ("-o", "preallocation=metadata"),
    ("-o", "lazy_refcounts=on"),
])
def test_accepts_every_kind_of_qcow2_without_references(disk: pathlib.Path, options: tuple[str, ...]) -> None:
    assert inspect(made(disk, "qcow2", *options), "qcow2") == 8 * MIB


@pytest.mark.parametrize("options", [(), ("-c",), ("-o", "cluster_size=512")])
def test_refuses_a_qcow2_truncated_anywhere(disk: pathlib.Path, options: tuple[str, ...]) -> None:
    whole = made(disk, "qcow2", *options)
    for part in (8, 80, 200, len(whole) // 4, len(whole) // 2, len(whole) * 3 // 4):
        assert "truncated" in refusal(whole[:part], "qcow2")


def test_refuses_a_qcow2_with_a_backing_file(disk: pathlib.Path) -> None:
    overlay = disk.with_name("overlay")
    qemu_img("create", "-f", "qcow2", "-b", disk, "-F", "raw", overlay)
    assert "backing file" in refusal(overlay.read_bytes(), "qcow2")


def test_refuses_a_qcow2_with_a_data_file(disk: pathlib.Path) -> None:
    target = disk.with_name("outside")
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={disk.with_name('outside.raw')}", target, "8M")
    assert "another file" in refusal(target.read_bytes(), "qcow2")


def test_refuses_a_data_file_whose_feature_bit_is_hidden(disk: pathlib.Path) -> None:
    target = disk.with_name("hidden")
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={disk.with_name('hidden.raw')}", target, "8M")
    content = bytearray(target.read_bytes())
    struct.pack_into(">Q", content, 72, 0)
    assert "another file" in refusal(bytes(content), "qcow2")


def test_refuses_an_encrypted_qcow2(disk: pathlib.Path) -> None:
    # Set by hand: qemu-img measures the CPU to choose LUKS's iterations, and gives up on a busy machine.
    content = bytearray(made(disk, "qcow2"))
    struct.pack_into(">I", content, 32, 2)  # crypt_method: LUKS
    assert "encrypted" in refusal(bytes(content), "qcow2")


@pytest.mark.parametrize(("place", "form", "value", "reason"), [
    (4, ">I", 4, "version 4"), (20, ">I", 30, "cluster size"), (24, ">Q", 0, "virtual size"), (24, ">Q", 2**62, "L1 table"),
    (36, ">I", 2**31, "L1 table"), (40, ">Q", 7, "misplaced"), (48, ">Q", 2**50, "truncated"),
    (72, ">Q", 1 << 40, "unknown features"), (72, ">Q", 2, "corrupt"), (100, ">I", 3, "header length"),
])
def test_refuses_a_broken_qcow2_header(disk: pathlib.Path, place: int, form: str, value: int, reason: str) -> None:
    content = bytearray(made(disk, "qcow2"))
    struct.pack_into(form, content, place, value)
    assert reason in refusal(bytes(content), "qcow2")


def test_refuses_two_l1_entries_with_one_table(disk: pathlib.Path) -> None:
    content = bytearray(made(disk, "qcow2", "-o", "cluster_size=512"))
    l1 = struct.unpack_from(">Q", content, 40)[0]
    used = next(content[l1 + i * 8:l1 + i * 8 + 8] for i in range(256) if any(content[l1 + i * 8:l1 + i * 8 + 8]))
    content[l1:l1 + 16] = used * 2
    assert "used twice" in refusal(bytes(content), "qcow2")


def bomb(*, compressed: bool) -> bytes:
    """A qcow2 of 3 GiB whose tables all name one cluster of 64 KiB, or one compressed cluster of 100 bytes."""
    cluster, tables = 65536, 6
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, 3 << 30, 0, tables, cluster, 2 * cluster, 1, 0, 0)
    data = (3 + tables) * cluster
    word = (1 << 62 | data) if compressed else (1 << 63 | data)
    l1 = struct.pack(f">{tables}Q", *((1 << 63) | (3 + number) * cluster for number in range(tables)))
    parts = [header, l1, bytes(cluster), *[struct.pack(">Q", word) * (cluster // 8)] * tables, b"x" * cluster]
    return b"".join(part.ljust(cluster, b"\0") for part in parts)


def test_refuses_clusters_that_are_named_more_than_once() -> None:
    content = bomb(compressed=False)
    assert len(content) < MIB
    assert "more than once" in refusal(content, "qcow2")


def test_refuses_compressed_clusters_that_are_named_again_and_again() -> None:
    assert "compressed clusters in the sector" in refusal(bomb(compressed=True), "qcow2")


@pytest.mark.parametrize("compression", ["zlib", "zstd"])
@pytest.mark.parametrize("cluster", ["4k", "64k", "2M"])
def test_accepts_what_compresses_well(tmp_path: pathlib.Path, compression: str, cluster: str) -> None:
    raw, target = tmp_path / "raw", tmp_path / "qcow2"
    raw.write_bytes(b"U" * (8 * MIB))
    qemu_img("convert", "-O", "qcow2", "-c", "-o", f"compression_type={compression},cluster_size={cluster}", raw, target)
    assert inspect(target.read_bytes(), "qcow2") == 8 * MIB


@pytest.mark.parametrize(("fmt", "options"), [
    ("qcow2", ()), ("qcow", ()), ("vmdk", ()), ("vdi", ()), ("vhdx", ()), ("vpc", ()),
    ("vpc", ("-o", "subformat=fixed")), ("qed", ()), ("parallels", ()), ("vmdk", ("-o", "subformat=streamOptimized")),
])
def test_refuses_other_formats_declared_raw(disk: pathlib.Path, fmt: str, options: tuple[str, ...]) -> None:
    assert "not raw as declared" in refusal(made(disk, fmt, *options), "raw")


def test_refuses_luks_declared_raw() -> None:
    assert "luks" in refusal(b"LUKS\xba\xbe\x00\x01" + bytes(MIB), "raw")


def test_refuses_raw_declared_qcow2(disk: pathlib.Path) -> None:
    assert refusal(disk.read_bytes(), "qcow2") == "its data is raw, not qcow2 as declared"


@pytest.mark.parametrize("fmt", ["qcow2", "iso"])
def test_refuses_empty_data_of_a_format_with_a_header(fmt: str) -> None:
    assert refusal(b"", fmt) == f"it is empty, not {fmt} as declared"


def test_takes_empty_data_for_an_empty_disk() -> None:
    assert inspect(b"", "raw") == 0


@pytest.mark.parametrize("fmt", ["raw", "ami", "aki", "ari"])
def test_accepts_raw_bytes(disk: pathlib.Path, fmt: str) -> None:
    assert inspect(disk.read_bytes(), fmt) == 8 * MIB


@pytest.fixture(scope="module")
def iso(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("iso")
    (path / "content").write_bytes(b"x" * 500_000)
    subprocess.run(["genisoimage", "-quiet", "-o", str(path / "made.iso"), str(path / "content")], check=True, timeout=60)
    return (path / "made.iso").read_bytes()


def test_accepts_an_iso_as_iso_or_raw(iso: bytes) -> None:
    assert inspect(iso, "iso") == inspect(iso, "raw") == len(iso)


def test_refuses_a_truncated_iso(iso: bytes) -> None:
    assert "truncated" in refusal(iso[: len(iso) // 2], "iso")


def test_refuses_an_iso_that_begins_as_a_qcow2(iso: bytes) -> None:
    assert "qcow2" in refusal(b"QFI\xfb" + iso[4:], "iso")


def test_refuses_raw_declared_iso(disk: pathlib.Path) -> None:
    assert "not iso" in refusal(disk.read_bytes(), "iso")


@pytest.mark.parametrize(("disk_format", "container"), [("vmdk", "bare"), ("raw", "ovf"), ("raw", "aki")])
def test_names_the_supported_formats(disk_format: str, container: str) -> None:
    with pytest.raises(errors.InvalidField, match="supported|requires"):
        formats.check_supported(disk_format, container)
