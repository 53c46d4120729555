"""Runs the stub provider until its standard input ends. Its only output is what `TF_REATTACH_PROVIDERS` takes."""

import argparse
import json
import sys
from pathlib import Path

from . import protocol
from .service import Provider


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schema", type=Path, required=True, help="the schema that is served")
    parser.add_argument("--protocol", type=Path, required=True, help="the folder with the compiled protocol")
    parser.add_argument("--emulator", help="where the emulator listens that changes are applied to")
    parser.add_argument("--render", action="store_true", help="let an apply without an emulator make a state and nothing else")
    options = parser.parse_args()
    schema, emulator = json.loads(options.schema.read_text()), None
    if options.emulator:
        # Only then, since it takes a second to load.
        from ..emulator import Emulator

        emulator = Emulator(options.emulator, schema)
    messages = protocol.load(options.protocol)
    server, attach = protocol.serve(messages, Provider(messages, schema, emulator, options.render))
    print(attach, flush=True)
    sys.stdin.read()
    server.stop(grace=None)


main()
