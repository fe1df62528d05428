"""Which functions of code generation took part in something."""
from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


@contextmanager
def taking_part(folders: tuple[str, ...]) -> Iterator[set[str]]:
    """The functions of these folders that are called meanwhile, as "codegen/lower/scan.py:scan_of"."""
    places, seen = tuple(str(ROOT / f) for f in folders), set[CodeType]()
    found: set[str] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if code not in seen:
            seen.add(code)
            if code.co_filename.startswith(places) and not code.co_name.startswith("<"):
                found.add(f"{Path(code.co_filename).relative_to(ROOT).as_posix()}:{code.co_name}")
    sys.settrace(note)  # type: ignore[arg-type]  # calls only, since it returns nothing
    try:
        yield found
    finally:
        sys.settrace(None)
