"""The tests of this tool's own parts."""

from __future__ import annotations

import os
import subprocess

from .. import install
from ..folders import HERE
from .outcome import Outcome


def run() -> Outcome:
    """Runs them in the environment of the stub provider, which has what they need."""
    environment = dict(os.environ, PYTHONPATH=str(HERE), PYTHONDONTWRITEBYTECODE="1")
    environment["TERRAFORM_SCHEMA_FOLDER"] = str(install.schema_folder())
    command = [
        str(install.provider_python()),
        "-m",
        "unittest",
        "discover",
        "--start-directory",
        str(HERE / "tests"),
        "--top-level-directory",
        str(HERE),
    ]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return Outcome("units", done.returncode == 0, done.stdout)
