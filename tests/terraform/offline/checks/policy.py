"""The security scan: checkov, without any connection.

An exception is a comment in the resource, `checkov:skip=CKV_AWS_1:why`. One without a reason is a failure.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .. import install
from ..errors import Failure
from .outcome import Outcome

SKIP = re.compile(r"checkov:skip=(?P<check>\w+)(?P<reason>:[^\n]*)?")


@dataclass
class Scan:
    """What was found in one folder."""

    passed: int = 0
    skipped: int = 0
    #: Each finding as `CHECK resource (file:line): what should be`.
    failed: list[str] = field(default_factory=list)
    #: Exceptions that give no reason.
    unexplained: list[str] = field(default_factory=list)

    def beyond(self, other: Scan) -> Scan:
        """The scan without what another one found too."""
        failed = [item for item in self.failed if item not in other.failed]
        unexplained_ = [item for item in self.unexplained if item not in other.unexplained]
        return Scan(self.passed, self.skipped, failed, unexplained_)

    def outcome(self) -> Outcome:
        """The scan as a check of its own. One that looked at nothing has failed."""
        name = f"policy: {self.passed} passed, {self.skipped} excepted, {len(self.failed)} failed"
        problems = self.failed + self.unexplained + ([] if self.passed else ["nothing was scanned"])
        return Outcome(name, not problems, "\n".join(problems))


def scan(folders: list[Path], around: Path) -> list[Scan]:
    """Scans modules, all by one start of checkov, which takes longer than most of its work. They are all below one folder,
    since checkov mixes up the modules of several that it is given."""
    command = [str(install.checkov()), "--directory", str(around), "--framework", "terraform", "--output", "json", "--compact"]
    # Policies and the texts about them come with the package; no module is downloaded, no version is asked for.
    command += ["--skip-download", "--download-external-modules", "false", "--skip-results-upload"]
    environment = dict(os.environ, CKV_SKIP_PACKAGE_UPDATE_CHECK="true", LOG_LEVEL="ERROR")
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    try:
        report = json.loads(done.stdout)
    except ValueError as error:
        raise Failure(f"checkov answered with something else than a report: {error}\n{done.stdout}\n{done.stderr}") from error
    return [_of(report, folder) for folder in folders]


def _of(report: dict, folder: Path) -> Scan:
    """What a report tells of one of the folders."""
    scan_, results = Scan(unexplained=unexplained(folder)), report.get("results", {})
    inside = f"{folder}{os.sep}"
    for kind in ("passed", "skipped", "failed"):
        for finding in results.get(f"{kind}_checks", ()):
            if not finding["file_abs_path"].startswith(inside):
                continue
            if kind == "failed":
                place = f"{finding['file_abs_path'].removeprefix(inside)}:{finding['file_line_range'][0]}"
                scan_.failed.append(f"{finding['check_id']} {finding['resource']} ({place}): {finding['check_name']}")
            else:
                setattr(scan_, kind, getattr(scan_, kind) + 1)
    scan_.failed += [f"not read: {file}" for file in results.get("parsing_errors", ()) if str(file).startswith(inside)]
    return scan_


def unexplained(folder: Path) -> list[str]:
    """Exceptions in a folder's files that give no reason."""
    return [
        f"{file.relative_to(folder)}: the exception from {match['check']} gives no reason: write it after a colon"
        for file in sorted(folder.rglob("*.tf"))
        for match in SKIP.finditer(file.read_text())
        if len((match["reason"] or "").strip(": ")) < 10
    ]
