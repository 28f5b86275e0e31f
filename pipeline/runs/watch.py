"""Trainings, watched while they train: transgan watch [--text]

Without --text it starts TensorBoard on the curves and pictures that trainings write to .work/events. It needs no
network. With --text it shows a line for each training at work or interrupted, again and again on a terminal.
"""

import argparse
import socket
import subprocess
import sys
import time

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import add_number
from pipeline.runs.unfinished import unfinished
from pipeline.runs.work_dirs import EVENTS, work_root

EVERY = 2.0  # seconds between two looks
CLEAR = "\x1b[H\x1b[J"


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(prog="transgan watch", description="Curves and pictures of trainings at work.")
    parser.add_argument("--text", action="store_true", help="a line for each training, no TensorBoard")
    add_number(parser, "--port", 0, default=6006, help="of TensorBoard (6006)")
    parser.add_argument("--host", default="localhost", help="that TensorBoard answers to (localhost; 0.0.0.0: anybody)")
    given, root = parser.parse_args(), work_root()
    while given.text:
        lines = [one.line() for one in unfinished(root)]
        text = "\n".join(lines) or f"{root}: no training is at work, and none was interrupted"
        print(f"{CLEAR if sys.stdout.isatty() else ''}{text}", flush=True)
        if not sys.stdout.isatty():
            return
        time.sleep(EVERY)
    try:  # TensorBoard would print a line of its own first
        socket.create_server((given.host, given.port)).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"--port: given {given.port}; allowed: a free port of {given.host} ({error})") from None
    folder = root / EVENTS
    folder.mkdir(parents=True, exist_ok=True)
    print(f"watch: TensorBoard on {folder}; Ctrl-C ends it, the trainings go on", flush=True)
    options = ["--logdir", str(folder), "--host", given.host, "--port", str(given.port), "--reload_interval", "10"]
    if code := subprocess.run([sys.executable, "-m", "tensorboard.main", *options]).returncode:
        raise UserError(f"TensorBoard ended with status {code}, see above")
