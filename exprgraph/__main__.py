"""`python -m exprgraph COMMAND`: the commands by name, found when they are called, so that this package imports nothing above it."""
from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import metadata

import numpy as np

from exprgraph import __version__, backend
from exprgraph.config import FAULTS, strangers
from exprgraph.near import nearest

COMMANDS = {
    "cache": ("exprgraph.cache_command:main", "what is kept on disk: list, size or clear"),
    "config": ("exprgraph.config_command:main", "the settings, their values and meaning"),
    "devices": ("runtime.inventory:main", "the devices of this machine, best first, and what their self-test found"),
    "doctor": ("runtime.doctor:main", "what was looked for, what was found, what is wrong, and the cure"),
}
"""Each command: the function that is called with the arguments behind it and gives the exit code, and what it is for."""
HELP, VERSION = ("-h", "--help"), ("-V", "--version")
CUT_OFF = 141
"""The exit code where nobody reads on, which other programs end with there too."""


def usage() -> str:
    """The commands, one a line."""
    width = max(map(len, [*COMMANDS, VERSION[1]]))
    rows = [*((name, what) for name, (_, what) in COMMANDS.items()), (VERSION[1], "the versions of exprgraph, NumPy and pyopencl")]
    return "\n".join(["usage: python -m exprgraph COMMAND", *(f"  {name:{width}}  {what}" for name, what in rows)])


def versions() -> str:
    """The versions that a report of a fault needs; pyopencl is asked for without being loaded."""
    try:
        binding = f"pyopencl {metadata.version('pyopencl')}"
    except metadata.PackageNotFoundError:
        binding = "no pyopencl"
    return f"exprgraph {__version__}, NumPy {np.__version__}, {binding}, Python {sys.version.split()[0]}"


def main(arguments: Sequence[str]) -> int:
    """Run a command: its exit code, 1 where exprgraph itself is broken, 2 where there is no such command or a setting is wrong."""
    if not arguments or arguments[0] in HELP + VERSION:
        print(versions() if arguments and arguments[0] in VERSION else usage(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    name, rest = arguments[0], list(arguments[1:])
    if name not in COMMANDS:
        print(f"exprgraph has no command {name!r}{nearest(name, COMMANDS)}\n{usage()}", file=sys.stderr)
        return 2
    if rest and rest[0] in HELP:
        print(f"python -m exprgraph {name}: {COMMANDS[name][1]}")
        return 0
    if FAULTS and name != "doctor":  # which tells of them itself
        print(f"exprgraph {name}: {FAULTS[0]}", file=sys.stderr)
        return 2
    for text in strangers() if name != "doctor" else ():
        print(f"exprgraph {name}: {text}", file=sys.stderr)
    return _run(name, rest)


def _run(name: str, arguments: list[str]) -> int:
    try:
        command = backend.resolve(COMMANDS[name][0])
    except ImportError as error:
        print(f"exprgraph {name}: {error}", file=sys.stderr)
        return 1
    return int(command(arguments))


def piped(arguments: Sequence[str]) -> int:
    """`main` where what reads the output, `head` for example, may have ended before."""
    try:
        code = main(arguments)
        if sys.stdout is not None:  # as it is where it was closed
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at its end
        return CUT_OFF
    return code


if __name__ == "__main__":
    sys.exit(piped(sys.argv[1:]))
