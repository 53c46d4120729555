"""Applies examples to an emulator, changes them, and takes them away again."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .. import install, launch
from ..folders import HERE
from . import ministack
from .outcome import Outcome
from .package import package


@dataclass(frozen=True)
class _Step:
    """One run of Terraform: what it is for, its arguments, the exit code it must have, and what it must say."""

    purpose: str
    arguments: list[str]
    code: int = 0
    says: str = ""


#: `plan -detailed-exitcode` exits with 0 where nothing is to be changed.
UNCHANGED = ["plan", "-detailed-exitcode"]


def minimal(example: Path, scratch: Path) -> Outcome:
    """Applies it, plans again (which must find nothing to do), changes it, breaks it by hand (which a plan must find), mends
    it, and destroys it (which must leave nothing)."""
    with _emulated(example, scratch) as run:
        return run.minimal() or Outcome(f"apply {example.name}", True)


def protected(example: Path, scratch: Path) -> Outcome:
    """Applies an example that takes a network as given, plans again, and destroys it, which must leave what is protected and,
    once it is not, nothing."""
    with _emulated(example, scratch) as run:
        given = scratch / "given.tfvars.json"
        given.write_text(json.dumps(run.ask("surroundings")))
        return run.protected(["-var-file=terraform.tfvars.example", f"-var-file={given}"]) or Outcome(
            f"apply {example.name}", True
        )


@contextmanager
def _emulated(example: Path, scratch: Path) -> Iterator[_Runner]:
    scratch.mkdir()
    with ExitStack() as stack:
        endpoint = stack.enter_context(ministack.started())
        environment = stack.enter_context(launch.stub_environment([example], endpoint))
        environment = stack.enter_context(launch.initialised(example, environment))
        environment |= {"TF_VAR_function_package": str(package(scratch))}
        yield _Runner(example, environment, scratch / "terraform.tfstate", endpoint)


@dataclass(frozen=True)
class _Runner:
    """Each method gives back the first thing that goes wrong, or None."""

    example: Path
    environment: Mapping[str, str]
    state: Path
    endpoint: str

    def minimal(self) -> Outcome | None:
        before = self.ask("inventory")
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
        self.ask("inventory", "--delete-a-schedule")
        failed = self.steps(
            _Step("plan after a schedule was deleted by hand", [*UNCHANGED, *changed], code=2, says="1 to add, 0 to change"),
            _Step("mend it", ["apply", "-auto-approve", *changed], says="1 added, 0 changed, 0 destroyed"),
            _Step("destroy", ["destroy", "-auto-approve", *changed], says="Destroy complete!"),
        )
        return failed or self.nothing_left(before)

    def protected(self, inputs: list[str]) -> Outcome | None:
        before = self.ask("inventory")
        failed = (
            self.steps(
                _Step("apply", ["apply", "-auto-approve", *inputs], says="Apply complete!"),
                _Step("plan after apply: nothing may be left to do", [*UNCHANGED, *inputs]),
            )
            or self.all_there(before)
            or self.steps(
                _Step("destroy", ["destroy", "-auto-approve", *inputs], code=1, says="Table is protected against deletion")
            )
        )
        if failed:
            return failed
        self.ask("inventory", "--unprotect")
        destroy = _Step("destroy what was protected", ["destroy", "-auto-approve", *inputs], says="Destroy complete!")
        return self.steps(destroy) or self.nothing_left(before)

    def steps(self, *steps: _Step) -> Outcome | None:
        for step in steps:
            command, *rest = step.arguments
            done = launch.run(self.example, [command, "-no-color", f"-state={self.state}", *rest], self.environment)
            if done.returncode != step.code or step.says not in done.stdout:
                wanted = f"exit code {step.code} and {step.says!r}"
                return Outcome(f"apply: {step.purpose}", False, f"expected {wanted}, got {done.returncode}:\n{done.stdout}")
        return None

    def ask(self, program: str, *arguments: str) -> dict:
        """What one of the emulator's programs answers."""
        environment = dict(os.environ, PYTHONPATH=str(HERE), PYTHONDONTWRITEBYTECODE="1")
        command = [str(install.provider_python()), "-m", f"offline.emulator.{program}", self.endpoint, *arguments]
        return json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout)

    def all_there(self, before: Mapping[str, list[str]]) -> Outcome | None:
        """What the state says is there must be there, type by type."""
        state = json.loads(self.state.read_text())
        for type_, names in self.ask("inventory").items():
            wanted = sum(
                len(item["instances"]) for item in state["resources"] if item["type"] == type_ and item["mode"] == "managed"
            )
            if wanted != len(names) - len(before[type_]):
                return Outcome(
                    "apply: all there", False, f"the state has {wanted} {type_}, the emulator {names} after {before[type_]}"
                )
        return None

    def nothing_left(self, before: Mapping[str, list[str]]) -> Outcome | None:
        """What was not there before must be gone."""
        left = {type_: names for type_, names in self.ask("inventory").items() if names != before[type_]}
        return Outcome("apply: nothing left", False, f"after destroy there is still {left}") if left else None
