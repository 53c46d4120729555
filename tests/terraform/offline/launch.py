"""Runs the real Terraform, with the real AWS provider or with the stub."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from . import install, schema
from .errors import Failure
from .folders import HERE, tools_folder

PROBE = """\
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}
"""
#: How long it may take to find out whether the real provider can be had, and how long the answer holds.
PROBE_TIMEOUT_S, PROBE_HOLDS_S = 120, 3600


def terraform_program() -> str:
    """Terraform itself, which is never installed by us."""
    program = shutil.which("terraform")
    if program is None:
        raise Failure(
            "terraform is missing: install Terraform 1.11 or newer (https://developer.hashicorp.com/terraform/install),"
            " then run this again"
        )
    return program


def plain_environment(**extra: str) -> dict[str, str]:
    """Terraform's environment for what needs no provider, with more variables."""
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0", **extra}
    # A variable that names a file which does not exist would only make Terraform warn.
    file = environment.get("TF_CLI_CONFIG_FILE")
    if file is not None and not Path(file).exists():
        del environment["TF_CLI_CONFIG_FILE"]
    return environment


def real_provider_can_be_had() -> bool:
    """Whether `terraform init` gets the real AWS provider: tried, and remembered for an hour."""
    answer = tools_folder() / "real-provider.txt"
    with install.locked("probe"):
        if answer.exists() and time.time() - answer.stat().st_mtime < PROBE_HOLDS_S:
            return answer.read_text() == "yes"
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "main.tf").write_text(PROBE)
            command = [terraform_program(), f"-chdir={folder}", "init", "-backend=false", "-input=false"]
            try:
                done = subprocess.run(command, env=real_environment(), capture_output=True, timeout=PROBE_TIMEOUT_S)
                had = done.returncode == 0
            except subprocess.TimeoutExpired:
                had = False
        answer.write_text("yes" if had else "no")
        return had


def real_environment() -> dict[str, str]:
    """Terraform's environment for the real provider, which is downloaded once for all folders."""
    cache = tools_folder() / "plugins"
    cache.mkdir(parents=True, exist_ok=True)
    return plain_environment(TF_PLUGIN_CACHE_DIR=str(cache), TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE="1")


@contextmanager
def stub_environment(folders: Iterable[Path], emulator: str | None = None, render: bool = False) -> Iterator[dict[str, str]]:
    """Terraform's environment for the stub, which runs as long as this does and knows all types that are used in these
    folders. Any number of Terraform processes may use it at once. With an emulator there is one folder, which files that
    are applied are relative to, as they are to Terraform. Without one, and with `render`, an apply makes a state only."""
    folders = list(folders)
    python, schemas = install.provider_python(), install.schema_folder()
    with tempfile.TemporaryDirectory(prefix="terraform-stub-") as scratch:
        file = Path(scratch, "schema.json")
        file.write_text(json.dumps(schema.load(schemas, schema.used_types(folders))))
        command = [str(python), "-m", "offline.provider", "--schema", str(file), "--protocol", str(schemas)]
        command += ["--emulator", emulator] if emulator else []
        command += ["--render"] if render else []
        environment = dict(os.environ, PYTHONPATH=str(HERE), PYTHONDONTWRITEBYTECODE="1")
        # It ends when our end of its standard input is closed, even when we are killed.
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        stub = subprocess.Popen(command, env=environment, cwd=folders[0] if emulator else None, **pipes)
        try:
            attach = stub.stdout.readline().strip()
            if not attach:
                raise Failure(f"the stub provider did not start (exit code {stub.wait()}): see above")
            (Path(scratch) / "empty.rc").touch()
            yield plain_environment(TF_REATTACH_PROVIDERS=attach, TF_CLI_CONFIG_FILE=f"{scratch}/empty.rc")
        finally:
            stub.stdin.close()
            stub.wait()


@contextmanager
def initialised(folder: Path, environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """`terraform init` of a folder, with a data folder of its own, so that nothing is written into the folder and several
    may run at once. A backend that the configuration may name is not used: the state is a local file."""
    with tempfile.TemporaryDirectory(prefix="terraform-data-") as data:
        own = dict(environment, TF_DATA_DIR=data)
        command = [terraform_program(), f"-chdir={folder}", "init", "-backend=false", "-no-color"]
        # The cache of plugins must not be written by two at once.
        with install.locked("init"):
            done = subprocess.run(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise Failure(f"terraform init of {folder} failed:\n{done.stdout.strip()}")
        yield own


def run(folder: Path, arguments: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs Terraform in a folder that is initialised, and gives back what it said on either stream."""
    command = [terraform_program(), f"-chdir={folder}", *arguments]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
