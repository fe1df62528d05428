"""`python -m exprgraph config`: the settings with their values, what they may be and what they mean."""
from __future__ import annotations

import sys
from collections.abc import Sequence

from exprgraph.config import table


def main(arguments: Sequence[str]) -> int:
    """Run the command: 0, or 2 where the arguments are not understood."""
    if arguments:
        print("usage: python -m exprgraph config", file=sys.stderr)
        return 2
    print(table())
    return 0
