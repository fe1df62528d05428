"""`python -m exprgraph COMMAND`: the commands by name, found when they are called, so that this package imports nothing above it."""
from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence

from exprgraph import backend

COMMANDS = {
    "cache": ("exprgraph.cache_command:main", "what is kept on disk: list, size or clear"),
    "devices": ("runtime.inventory:main", "the devices of this machine, best first, and what their self-test found"),
    "doctor": ("runtime.doctor:main", "what was looked for, what was found, what is wrong, and the cure"),
}
"""Each command: the function that is called with the arguments behind it and gives the exit code, and what it is for."""


def usage() -> str:
    """The commands, one a line."""
    width = max(map(len, COMMANDS))
    return "\n".join(["usage: python -m exprgraph COMMAND", *(f"  {name:{width}}  {what}" for name, (_, what) in COMMANDS.items())])


def main(arguments: Sequence[str]) -> int:
    """Run a command: its exit code, 1 where exprgraph itself is broken, 2 where there is no such command."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    name, rest = arguments[0], list(arguments[1:])
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.4)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        print(f"exprgraph has no command {name!r}{hint}\n{usage()}", file=sys.stderr)
        return 2
    try:
        command = backend.resolve(COMMANDS[name][0])
    except ImportError as error:
        print(f"exprgraph {name}: {error}", file=sys.stderr)
        return 1
    return int(command(rest))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
