"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """One check, done. `output` is what the checked program said."""

    name: str
    passed: bool
    output: str = ""

    def line(self) -> str:
        """One line for the summary."""
        return f"{'ok  ' if self.passed else 'FAIL'} {self.name}"


def all_of(name: str, parts: list[Outcome]) -> Outcome:
    """Several checks as one: what failed is told in full."""
    if len(parts) == 1:
        return parts[0]
    failed = [part for part in parts if not part.passed]
    output = "\n".join(f"-- {part.name}\n{part.output}" for part in failed)
    count = f"{len(parts)}" if not failed else f"{len(failed)} of {len(parts)} failed"
    return Outcome(f"{name}: {count}", not failed, output)
