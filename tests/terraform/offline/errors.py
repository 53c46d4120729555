"""What a user can mend."""

from __future__ import annotations


class Failure(Exception):
    """A failure whose text says what is wrong and what to do; nobody needs its traceback."""
