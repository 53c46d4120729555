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

    def outcome(self) -> Outcome:
        """The scan as a check of its own. One that looked at nothing has failed."""
        name = f"policy: {self.passed} passed, {self.skipped} excepted, {len(self.failed)} failed"
        problems = self.failed + self.unexplained + ([] if self.passed else ["nothing was scanned"])
        return Outcome(name, not problems, "\n".join(problems))


def scan(folders: list[Path]) -> list[Scan]:
    """Scans folders, all by one start of checkov, which takes longer than most of its work."""
    command = [str(install.checkov()), "--framework", "terraform", "--output", "json", "--compact", "--quiet"]
    # Policies and the texts about them come with the package; no module is downloaded, no version is asked for.
    command += ["--skip-download", "--download-external-modules", "false", "--skip-results-upload"]
    for folder in folders:
        command += ["--directory", str(folder)]
    environment = dict(os.environ, CKV_SKIP_PACKAGE_UPDATE_CHECK="true", LOG_LEVEL="ERROR")
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        reports = _documents(done.stdout)
    except ValueError as error:
        raise Failure(f"checkov answered with something else than reports: {error}\n{done.stdout}\n{done.stderr}") from error
    if len(reports) != len(folders):
        raise Failure(f"checkov reported {len(reports)} of {len(folders)} folders:\n{done.stderr}")
    return [_read(report, folder) for report, folder in zip(reports, folders)]


def _documents(text: str) -> list[dict]:
    """One document after the other, as checkov writes them for several folders."""
    decoder, documents, place = json.JSONDecoder(), [], 0
    text = text.strip()
    while place < len(text):
        document, place = decoder.raw_decode(text, place)
        documents.append(document)
        while place < len(text) and text[place].isspace():
            place += 1
    return documents


def _read(report: dict, folder: Path) -> Scan:
    scan_ = Scan(unexplained=unexplained(folder))
    # A folder without anything to look at has a report of counts only.
    scan_.passed = report.get("summary", report).get("passed", 0)
    results = report.get("results", {})
    scan_.skipped = len(results.get("skipped_checks", ()))
    for error in results.get("parsing_errors", ()):
        scan_.failed.append(f"not read: {error}")
    for finding in results.get("failed_checks", ()):
        place = f"{finding['repo_file_path']}:{finding['file_line_range'][0]}"
        scan_.failed.append(f"{finding['check_id']} {finding['resource']} ({place}): {finding['check_name']}")
    return scan_


def unexplained(folder: Path) -> list[str]:
    """Exceptions in a folder's files that give no reason."""
    return [
        f"{file.relative_to(folder)}: the exception from {match['check']} gives no reason: write checkov:skip={match['check']}:why"
        for file in sorted(folder.rglob("*.tf"))
        for match in SKIP.finditer(file.read_text())
        if len((match["reason"] or "").strip(": ")) < 10
    ]
