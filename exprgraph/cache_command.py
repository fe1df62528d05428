"""`python -m exprgraph cache [list | size | clear]`: what is kept on disk."""
from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from exprgraph.config import config
from exprgraph.store import Entry, files, folder

ACTIONS = ("size", "list", "clear")
OTHERS = ("choices-*", "verdict*", "pocl*")
"""Files and folders beside the entries that are kept there too: choices between forms, verdicts of self-tests, the driver's own cache."""
SHOWN = 200
"""The most entries that a list shows, the latest first."""


def main(arguments: Sequence[str]) -> int:
    """Run the command: 0, or 2 where the arguments are not understood."""
    action = arguments[0] if arguments else "size"
    if len(arguments) > 1 or action not in ACTIONS:
        print(f"usage: python -m exprgraph cache [{' | '.join(ACTIONS)}]", file=sys.stderr)
        return 2
    base = folder()
    if base is None:
        print("EXPRGRAPH_CACHE is off: nothing is kept")
        return 0
    known = sorted(files(base), key=lambda e: -e.used)
    print({"size": _sizes, "list": _list, "clear": _clear}[action](base, known))
    return 0


def _bytes(count: int) -> str:
    return f"{count / 1024:,.1f} KiB" if count < 1 << 20 else f"{count / (1 << 20):,.1f} MiB"


def _kind(entry: Entry) -> str:
    return entry.path.parent.parent.name


def _sizes(base: Path, known: Sequence[Entry]) -> str:
    counts, sizes = Counter(map(_kind, known)), Counter[str]()
    for entry in known:
        sizes[_kind(entry)] += entry.size
    lines = [f"{kind:10s} {counts[kind]:7d}  {_bytes(sizes[kind]):>14s}" for kind in sorted(counts)]
    total = f"{'all':10s} {len(known):7d}  {_bytes(sum(sizes.values())):>14s} of {_bytes(config.cache_bytes)}"
    return "\n".join([str(base), *lines, total])


def _list(base: Path, known: Sequence[Entry]) -> str:
    lines = [f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(e.used))}  {_bytes(e.size):>12s}  {_kind(e):9s} "
             f"{e.path.parent.name}{e.path.stem[:10]}" for e in known[:SHOWN]]
    return "\n".join([str(base), *lines, *[f"... and {len(known) - SHOWN} older ones"] * (len(known) > SHOWN)])


def _emptied(folder: Path) -> None:
    """Remove what lies in a folder, which stays for processes that use it; what they write meanwhile stays too."""
    for inner in folder.iterdir():
        if inner.is_dir() and not inner.is_symlink():
            shutil.rmtree(inner, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                inner.unlink()


def _clear(base: Path, known: Sequence[Entry]) -> str:
    gone = 0
    for entry in known:
        with contextlib.suppress(OSError):
            entry.path.unlink()
            gone += entry.size
    for other in (p for pattern in OTHERS for p in base.glob(pattern)):
        if other.is_dir() and not other.is_symlink():
            _emptied(other)
        else:
            with contextlib.suppress(OSError):
                other.unlink()
    left = sum(1 for _ in files(base))
    return f"{base}: {len(known) - left} entries, {_bytes(gone)}, are gone" + f"; {left} could not be removed" * bool(left)
