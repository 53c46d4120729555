"""Runs a server in this process group until standard input ends, then ends the whole group.

Standard input is a pipe whose other end the test process holds, so the server ends with the test: also when the test
panics, is killed, or leaves the server in a static.

usage: guard.py LOG COMMAND...
"""

import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 3

# A handler, not SIG_IGN, which the server would inherit: the guard outlives the signal it sends to its own group.
signal.signal(signal.SIGTERM, lambda *_: None)

with open(sys.argv[1], "ab") as log:
    server = subprocess.Popen(
        sys.argv[2:], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
    )


def end_with_the_server():
    server.wait()
    os.killpg(0, signal.SIGKILL)


waiting = threading.Thread(target=end_with_the_server, daemon=True)
waiting.start()
while os.read(0, 1):
    pass
os.killpg(0, signal.SIGTERM)
waiting.join(GRACE_SECONDS)
os.killpg(0, signal.SIGKILL)
