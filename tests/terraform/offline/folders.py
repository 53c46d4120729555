"""Where this tool's files are."""

from __future__ import annotations

import os
from pathlib import Path

#: `tests/terraform/`
HERE = Path(__file__).resolve().parent.parent
#: The repository.
ROOT = HERE.parent.parent
#: The module under test.
MODULE = ROOT / "terraform"


def build_folder() -> Path:
    """Cargo's folder for what is built."""
    return (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve()


def tools_folder() -> Path:
    """Where everything is installed."""
    return build_folder() / "terraform"
