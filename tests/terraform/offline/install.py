"""Installs what Terraform's stand-ins and the security scan need, from PyPI, into `target/terraform/`.

Any number of processes may ask at once: one of them installs, the others wait for it. A marker that holds the
requirements is written last, so that an installation that was cut short, or that is out of date, is done again.
"""

from __future__ import annotations

import fcntl
import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import bindings
from .errors import Failure
from .folders import HERE, tools_folder

#: Raised with each change of what is derived from the sources, so that it is derived again.
FORMAT = "2"

PROTOCOL_FILE = "pyvider/protocols/tfprotov6/protobuf/tfplugin6_pb2.py"


def provider_python() -> Path:
    """The Python that the stub provider runs in."""
    return _environment("provider", HERE / "requirements.txt")


def checkov() -> Path:
    """The security scan's program."""
    return _environment("checkov", HERE / "checkov-requirements.txt").with_name("checkov")


def schema_folder() -> Path:
    """A folder with the schema of each type of the AWS provider, and Terraform's plugin protocol."""
    requirements = HERE / "sources-requirements.txt"
    return _installed("schema", requirements.read_text() + FORMAT, lambda folder: _derive(requirements, folder))


def shared_environment(root: Path, name: str, requirement: str) -> Path:
    """The Python of an environment with one package, which others install in the same way."""

    def fill(folder: Path) -> None:
        run([sys.executable, "-m", "venv", str(folder)], "install python3-venv")
        pip(folder / "bin" / "python", "install", requirement)

    return _installed(name, requirement, fill, root) / "bin" / "python"


@contextmanager
def locked(name: str, root: Path | None = None) -> Iterator[None]:
    """Waits for the lock of this name; it is given back at the end, also by the end of the process."""
    root = root or tools_folder()
    root.mkdir(parents=True, exist_ok=True)
    with open(root / f"{name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _installed(name: str, marker_text: str, fill: Callable[[Path], None], root: Path | None = None) -> Path:
    folder = (root or tools_folder()) / name
    marker = folder / "installed.txt"
    with locked(name, root):
        if not (marker.exists() and marker.read_text() == marker_text):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            fill(folder)
            marker.write_text(marker_text)
    return folder


def _environment(name: str, requirements: Path) -> Path:
    def fill(folder: Path) -> None:
        run([sys.executable, "-m", "venv", str(folder)], "install python3-venv")
        pip(folder / "bin" / "python", "install", "--no-deps", "-r", str(requirements))

    return _installed(name, requirements.read_text(), fill) / "bin" / "python"


def _derive(requirements: Path, folder: Path) -> None:
    """Downloads the sources, keeps what is wanted of them, and lets the rest (a hundred times as much) go."""
    python = provider_python()
    wheels = folder / "wheels"
    # The one file that is taken of the protocol's package needs no newer Python, whatever the package says.
    pip(
        python, "download", "--no-deps", "--ignore-requires-python", "--only-binary=:all:",
        "-d", str(wheels), "-r", str(requirements),
    )  # fmt: skip
    with zipfile.ZipFile(_only(wheels, "pyvider-*.whl")) as wheel:
        (folder / "tfplugin6_pb2.py").write_bytes(wheel.read(PROTOCOL_FILE))
    with zipfile.ZipFile(_only(wheels, "cdktn_provider_aws-*.whl")) as wheel:
        archive = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
        _derive_all(wheel.read(archive), folder)
    shutil.rmtree(wheels)


def _derive_all(archive: bytes, folder: Path) -> None:
    """Writes `NAME.json` for each resource, `data.NAME.json` for each data source, and `provider.json`."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            parts = Path(member.name).parts
            if len(parts) != 4 or parts[1] != "lib" or parts[3] != "index.js":
                continue
            source = tar.extractfile(member).read().decode()
            try:
                block = bindings.derive(source)
            except (bindings.SchemaNotFound, KeyError) as error:
                # A few odd types cannot be told; asking for one of them says why.
                block = {"error": f"its bindings are not understood: {error}"}
            (folder / f"{_type_name(parts[2])}.json").write_text(json.dumps(block))
            if parts[2] == "provider":
                (folder / "version.txt").write_text(bindings.version(source))
    if not (folder / "provider.json").exists():
        raise Failure("the bindings of the AWS provider hold no provider: was their version changed?")


def _type_name(module: str) -> str:
    """`data-aws-iam-role` is the data source aws_iam_role, `iam-role` the resource."""
    if module == "provider":
        return module
    name = module.removeprefix("data-aws-").replace("-", "_")
    return f"data.aws_{name}" if module.startswith("data-aws-") else f"aws_{name}"


def _only(folder: Path, pattern: str) -> Path:
    return next(folder.glob(pattern))


def pip(python: Path, command: str, *arguments: str) -> None:
    """Runs one of pip's commands in an environment."""
    run(
        [str(python), "-m", "pip", command, "--quiet", "--no-input", "--disable-pip-version-check", *arguments],
        "PyPI, or a mirror that pip is configured for, is needed the first time",
    )


def run(command: list[str], remedy: str) -> None:
    """Runs one step of an installation."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except OSError as error:
        raise Failure(f"{command[0]}: {error}; {remedy}") from error
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}\n{done.stdout.strip()}\n{remedy}")
