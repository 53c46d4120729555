"""Which types a configuration uses, and their schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from .errors import Failure

USE = re.compile(r'^\s*(?:mock_)?(resource|data)\s+"(aws_\w+)"', re.MULTILINE)
CALL = re.compile(r'^\s*source\s*=\s*"(\.\.?/[^"]*)"', re.MULTILINE)
FILES = ("*.tf", "*.tftest.hcl", "*.tfmock.hcl")


def used_types(folders: Iterable[Path]) -> list[str]:
    """The types used in these folders, in any folder below them, and in the local modules that they call; a data source
    has `data.` before its name."""
    names: set[str] = set()
    seen: set[Path] = set()
    waiting = [folder.resolve() for folder in folders]
    while waiting:
        folder = waiting.pop()
        # In a test, a source is relative to the folder above.
        if folder in seen or not folder.is_dir():
            continue
        seen.add(folder)
        for file in (file for pattern in FILES for file in folder.glob(pattern)):
            text = file.read_text()
            names.update(("data." if kind == "data" else "") + name for kind, name in USE.findall(text))
            waiting += [(folder / call).resolve() for call in CALL.findall(text)]
        waiting += [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")]
    return sorted(names)


def load(schema_folder: Path, names: Iterable[str]) -> dict:
    """The schema of the provider and of these types: `{"provider", "resources": {NAME}, "data_sources": {NAME}}`."""
    schema: dict = {"provider": _read(schema_folder, "provider"), "resources": {}, "data_sources": {}}
    for name in names:
        kind = "data_sources" if name.startswith("data.") else "resources"
        # A type that does not exist is left for Terraform to find: it says where it is used.
        if (schema_folder / f"{name}.json").exists():
            schema[kind][name.removeprefix("data.")] = _read(schema_folder, name)
    return schema


def _read(schema_folder: Path, name: str) -> dict:
    block = json.loads((schema_folder / f"{name}.json").read_text())
    if "error" in block:
        raise Failure(f"the schema of {name} cannot be had: {block['error']}")
    return block
