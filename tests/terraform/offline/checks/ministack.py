"""A MiniStack of one's own, installed where the integration tests install theirs."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import install
from ..errors import Failure
from ..folders import ROOT

#: Shared with tests/emulators, which says the version too.
FOLDER = ROOT / "target" / "emulators"
REQUIREMENT = re.compile(r'REQUIREMENT: &str = "(ministack\[full\]==[\d.]+)"')
START_TIMEOUT_S, TRIES = 60, 3


@contextmanager
def started() -> Iterator[str]:
    """The address of a MiniStack with nothing in it, which ends with this."""
    python = _python()
    for left in reversed(range(TRIES)):
        with tempfile.TemporaryDirectory(prefix="ministack-") as folder:
            port = _free_port()
            process = _start(python, Path(folder), port)
            try:
                if _answers(process, Path(folder), port):
                    yield f"http://127.0.0.1:{port}"
                    return
                # Another process may have taken the port.
                if left == 0:
                    raise Failure(f"MiniStack did not start:\n{Path(folder, 'log.txt').read_text()}")
            finally:
                _end(process)


def _python() -> Path:
    """Its environment, with the lock and the marker that the integration tests use too."""
    requirement = REQUIREMENT.search((ROOT / "tests/emulators/src/ministack.rs").read_text())[1]
    return install.shared_environment(FOLDER, "ministack", requirement)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _start(python: Path, folder: Path, port: int) -> subprocess.Popen:
    environment = dict(
        os.environ,
        BIND_HOST="127.0.0.1",
        MINISTACK_HOST="127.0.0.1",
        MINISTACK_REGION="us-east-1",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        LOG_LEVEL="WARNING",
        PERSIST_STATE="0",
        GATEWAY_PORT=str(port),
        TMPDIR=str(folder),
        STATE_DIR=str(folder),
        S3_DATA_DIR=str(folder),
    )
    command = [str(python), "-m", "ministack"]
    with open(folder / "log.txt", "wb") as log:
        # A group of its own, since functions are its children.
        return subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def _answers(process: subprocess.Popen, folder: Path, port: int) -> bool:
    """Waits until it answers; it writes the file once it has found the port free."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if (folder / f"ministack-{port}.pid").exists():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/_ministack/health", timeout=5):
                    return True
            except (urllib.error.URLError, OSError):
                pass
        time.sleep(0.1)
    return False


def _end(process: subprocess.Popen) -> None:
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    except ProcessLookupError:
        process.wait()
