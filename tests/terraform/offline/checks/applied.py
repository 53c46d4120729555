"""Applies an example to an emulator, changes it, and takes it away again."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from .. import install, launch
from ..folders import HERE
from . import ministack
from .outcome import Outcome


@dataclass(frozen=True)
class _Step:
    """One run of Terraform: what it is for, its arguments, the exit code it must have, and what it must say."""

    purpose: str
    arguments: list[str]
    code: int = 0
    says: str = ""


#: `plan -detailed-exitcode` exits with 0 where nothing is to be changed.
UNCHANGED = ["plan", "-detailed-exitcode"]


def cycle(example: Path, scratch: Path) -> Outcome:
    """Applies it, plans again (which must find nothing to do), changes it, breaks it by hand (which a plan must find), mends
    it, and destroys it (which must leave nothing)."""
    scratch.mkdir()
    with ExitStack() as stack:
        endpoint = stack.enter_context(ministack.started())
        environment = stack.enter_context(launch.stub_environment([example], endpoint))
        environment = stack.enter_context(launch.initialised(example, environment))
        environment |= {"TF_VAR_function_package": str(_package(scratch))}
        run = _Runner(example, environment, scratch / "terraform.tfstate", endpoint)
        return run.all() or Outcome("apply", True)


@dataclass(frozen=True)
class _Runner:
    example: Path
    environment: Mapping[str, str]
    state: Path
    endpoint: str

    def all(self) -> Outcome | None:
        """The first thing that goes wrong."""
        before = self.inventory()
        failed = self.steps(
            _Step("apply", ["apply", "-auto-approve"], says="Apply complete!"),
            _Step("plan after apply: nothing may be left to do", UNCHANGED),
        ) or self.all_there(before)
        if failed:
            return failed
        changed = ["-var", "architecture=x86_64"]
        failed = self.steps(
            _Step("change in place", ["apply", "-auto-approve", *changed], says="6 changed, 0 destroyed"),
            _Step("plan after the change", [*UNCHANGED, *changed]),
        )
        if failed:
            return failed
        self.inventory("--delete-a-schedule")
        failed = self.steps(
            _Step("plan after a schedule was deleted by hand", [*UNCHANGED, *changed], code=2, says="1 to add, 0 to change"),
            _Step("mend it", ["apply", "-auto-approve", *changed], says="1 added, 0 changed, 0 destroyed"),
            _Step("destroy", ["destroy", "-auto-approve", *changed], says="Destroy complete!"),
        )
        return failed or self.nothing_left(before)

    def steps(self, *steps: _Step) -> Outcome | None:
        for step in steps:
            command, *rest = step.arguments
            done = launch.run(self.example, [command, "-no-color", f"-state={self.state}", *rest], self.environment)
            if done.returncode != step.code or step.says not in done.stdout:
                wanted = f"exit code {step.code} and {step.says!r}"
                return Outcome(f"apply: {step.purpose}", False, f"expected {wanted}, got {done.returncode}:\n{done.stdout}")
        return None

    def inventory(self, *arguments: str) -> dict[str, list[str]]:
        """What is in the emulator now."""
        environment = dict(os.environ, PYTHONPATH=str(HERE), PYTHONDONTWRITEBYTECODE="1")
        command = [str(install.provider_python()), "-m", "offline.emulator.inventory", self.endpoint, *arguments]
        return json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout)

    def all_there(self, before: dict[str, list[str]]) -> Outcome | None:
        """What the state says is there must be there, kind by kind."""
        state = json.loads(self.state.read_text())
        present = self.inventory()
        for kind, type_ in json.loads((HERE / "offline/emulator/inventory.json").read_text()).items():
            wanted = sum(len(item["instances"]) for item in state["resources"] if item["type"] == type_)
            found = len(present[kind]) - len(before[kind])
            if wanted != found:
                return Outcome("apply: all there", False, f"the state has {wanted} {type_}, the emulator {found}: {present[kind]}")
        return None

    def nothing_left(self, before: dict[str, list[str]]) -> Outcome | None:
        left = {kind: items for kind, items in self.inventory().items() if items != before[kind]}
        return Outcome("apply: nothing left", False, f"after destroy there is still {left}") if left else None


def _package(folder: Path) -> Path:
    """A function that is none: nothing calls it here."""
    with zipfile.ZipFile(folder / "function.zip", "w") as package:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        package.writestr(entry, "#!/bin/sh\nexit 1\n")
    return folder / "function.zip"
