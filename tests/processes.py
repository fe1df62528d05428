"""Processes of their own for tests: a text that Python runs in the checkout, with a cache and an environment that the test gives."""
from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def python(text: str, *, cwd: Path = ROOT, without: tuple[str, ...] = (), **environment: Any) -> subprocess.CompletedProcess[str]:
    """Run a text; environment: variables that are set, on top of this process's without those named."""
    return ran(["-c", textwrap.dedent(text)], cwd=cwd, without=without, **environment)


def command(*words: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run `python -m exprgraph` with these words."""
    return ran(["-m", "exprgraph", *words], **settings)


def ran(arguments: list[str], *, cwd: Path = ROOT, without: tuple[str, ...] = (), **environment: Any) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments."""
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {k: v for k, v in os.environ.items() if k not in without} | {"PYTHONPATH": paths} | {k: str(v) for k, v in environment.items()}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, env=env)
