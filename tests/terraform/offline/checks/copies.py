"""Copies of the module, to break."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from ..errors import Failure
from ..folders import MODULE, ROOT

#: What the module reads outside its own folder.
BESIDE = ("crates", "pipes")


def copy_of_module(folder: Path, without: tuple[str, ...] = ()) -> Path:
    """Copies the module into a new folder, with what it reads beside it."""
    folder.mkdir()
    for name in BESIDE:
        (folder / name).symlink_to(ROOT / name)
    ignored = shutil.ignore_patterns(".terraform*", "*.tfstate*", *without)
    shutil.copytree(MODULE, folder / MODULE.name, ignore=ignored)
    return folder / MODULE.name


def change(module: Path, files: str, old: str, new: str) -> None:
    """Replaces the first match of a regular expression in the files that a pattern names. There must be one: otherwise the
    module changed, and what the change was to show would be shown no more."""
    for file in sorted(module.glob(files)):
        text = file.read_text()
        changed, count = re.subn(old, new, text, count=1, flags=re.MULTILINE | re.DOTALL)
        if count:
            file.write_text(changed)
            return
    raise Failure(f"{files} has nothing like {old!r} any more: choose another place to break it")
