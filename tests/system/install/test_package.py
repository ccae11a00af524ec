# SPDX-License-Identifier: Apache-2.0
"""The wheel and the source distribution: complete, and enough on their own in an empty virtualenv."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import nova_lite
from tests.support.paths import ROOT

VERSION = nova_lite.__version__
NOT_PACKAGED = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info", ".*", "build", "dist")
DAEMONS = ("nova-api", "nova-conductor", "nova-scheduler", "nova-compute", "nova-network", "nova-volume", "nova-novncproxy",
           "nova-serialproxy")


def run(*command: str | Path, timeout_s: float = 240, cwd: Path = Path("/"), status: int = 0) -> str:
    """The output of a program that sees nothing of this checkout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NOVA_LITE", "OS_"))}
    process = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout_s, check=False,
                             env=environment, cwd=cwd, stdin=subprocess.DEVNULL)
    assert process.returncode == status, f"{command}: {process.returncode}\n{process.stdout}\n{process.stderr}"
    return process.stdout


@dataclasses.dataclass(frozen=True)
class Checkout:
    """A copy of the tree, in which building leaves no trace in the tree itself, and what was built of it."""

    tree: Path
    wheel: Path
    sdist: Path

    def files(self, *folders: str) -> set[str]:
        """The files below these folders, relative to the tree; those that a link to a folder shows are among them."""
        return {os.path.relpath(os.path.join(directory, name), self.tree)
                for folder in folders for directory, _, names in os.walk(self.tree / folder, followlinks=True) for name in names}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Build both as `make package` does: the wheel is made of the source distribution, which is thereby complete."""
    directory = tmp_path_factory.mktemp("package")
    tree = Path(shutil.copytree(ROOT, directory / "tree", symlinks=True, ignore=NOT_PACKAGED))
    run(sys.executable, "-m", "build", "--outdir", directory / "dist", tree)
    # The build wrote it after the copy was made.
    shutil.rmtree(tree / "nova_lite.egg-info")
    return Checkout(tree, directory / f"dist/nova_lite-{VERSION}-py3-none-any.whl", directory / f"dist/nova_lite-{VERSION}.tar.gz")


@pytest.fixture(scope="module")
def bin_directory(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an empty virtualenv into which the wheel has been installed."""
    venv = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", venv)
    assert "include-system-site-packages = false" in (venv / "pyvenv.cfg").read_text()
    install(venv, str(checkout.wheel))
    return venv / "bin"


def install(venv: Path, requirement: str) -> None:
    """Install with what it depends on; pip is not in the virtualenv itself."""
    run(sys.executable, "-m", "pip", "--python", venv / "bin/python", "install", "-q", "--no-input", "--no-compile", requirement)


def test_the_wheel_has_each_file_of_the_package_and_nothing_else(checkout: Checkout) -> None:
    metadata = f"nova_lite-{VERSION}.dist-info/"
    with zipfile.ZipFile(checkout.wheel) as wheel:
        files = {name for name in wheel.namelist() if not name.startswith(metadata)}
        assert files == checkout.files("nova_lite")
        assert {"nova_lite/etc/api-paste.ini", "nova_lite/etc/nova.conf", "nova_lite/py.typed",
                "nova_lite/db/migrations/script.py.mako"} <= files
        assert wheel.read(f"{metadata}licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
        assert wheel.read("nova_lite/etc/api-paste.ini") == (ROOT / "etc/api-paste.ini").read_bytes()


def test_the_source_distribution_has_all_that_builds_tests_and_explains_the_project(checkout: Checkout) -> None:
    with tarfile.open(checkout.sdist) as sdist:
        files = {member.name.partition("/")[2] for member in sdist if member.isfile()}
        assert sdist.getmember(f"nova_lite-{VERSION}/tools/quickstart").mode & 0o100, "not executable"
    assert checkout.files("nova_lite", "etc", "docs", "tests", "tools") <= files
    assert {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "Makefile", "README.md", "SECURITY.md", "pyproject.toml",
            "setup.cfg", "tox.ini"} <= files


@pytest.mark.parametrize("program", DAEMONS)
def test_each_installed_program_names_its_version(bin_directory: Path, program: str) -> None:
    assert run(bin_directory / program, "--version").strip() == f"nova_lite {VERSION}"


def test_oslos_generator_writes_a_sample_of_every_option(bin_directory: Path) -> None:
    sample = run(bin_directory / "oslo-config-generator", "--namespace", "nova_lite")
    assert "[conductor]" in sample
    assert "#paste_config = api-paste.ini" in sample
    assert "<None>" not in sample.partition("state_path")[0]
