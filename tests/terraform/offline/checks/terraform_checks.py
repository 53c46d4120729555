"""Format, validity and tests of a configuration, by Terraform itself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from .. import launch
from ..errors import Failure
from .outcome import Outcome


def roots(module: Path) -> list[Path]:
    """The module, and each submodule and example, where Terraform can be run."""
    below = [folder for group in ("modules", "examples") for folder in sorted((module / group).glob("*"))]
    return [module, *(folder for folder in below if any(folder.glob("*.tf")))]


def formatted(module: Path) -> Outcome:
    """Whether every file is written as `terraform fmt` writes it."""
    command = [launch.terraform_program(), "fmt", "-check", "-diff", "-recursive", str(module)]
    done = subprocess.run(command, env=launch.plain_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return Outcome("format", done.returncode == 0, done.stdout)


def reformat(module: Path) -> None:
    """Writes every file as `terraform fmt` does, so that a change is not found by its spaces."""
    command = [launch.terraform_program(), "fmt", "-recursive", str(module)]
    done = subprocess.run(command, env=launch.plain_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Failure(done.stdout)


def valid(folder: Path, environment: Mapping[str, str]) -> Outcome:
    """Whether Terraform and the provider's schema find nothing wrong."""
    return _run("validate", folder, ["validate", "-no-color"], environment)


def tested(folder: Path, environment: Mapping[str, str], files: Iterable[str] = ()) -> Outcome:
    """Whether the tests of a folder pass: all, or those in these files."""
    return _run("test", folder, ["test", "-no-color", *(f"-filter={file}" for file in files)], environment)


def has_tests(folder: Path) -> bool:
    """Whether there are tests in a folder."""
    return any(folder.glob("tests/*.tftest.hcl")) or any(folder.glob("*.tftest.hcl"))


def _run(name: str, folder: Path, arguments: list[str], environment: Mapping[str, str]) -> Outcome:
    label = f"{name} {folder.name if folder.name == 'terraform' else f'{folder.parent.name}/{folder.name}'}"
    try:
        with launch.initialised(folder, environment) as own:
            done = launch.run(folder, arguments, own)
    except Failure as failure:
        # Some mistakes are found by `init` already.
        return Outcome(label, False, str(failure))
    return Outcome(label, done.returncode == 0, done.stdout)
