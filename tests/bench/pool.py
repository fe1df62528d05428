"""The parent's side of the engines' processes: start, ask, stop while idle, start again after a crash."""
from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.engines import DEVICE, TRUST

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 150.0  # seconds for one answer; the first compile of a large row by torch.compile takes tens
UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
CACHES = {"POCL_CACHE_DIR": "pocl", "TORCHINDUCTOR_CACHE_DIR": "inductor", "EXPRGRAPH_CACHE": "exprgraph"}


def environment(cold: str | None, device: str | None, trust: bool) -> dict[str, str]:
    """The environment of the workers: this machine's settings, no limit on threads; caches below `cold` where that is given."""
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    base = Path(cold or tempfile.gettempdir()) / "exprgraph-bench"
    flags = f"floatX=float32,base_compiledir={base / 'pytensor'}"
    caches = {name: str(base / folder) for name, folder in CACHES.items()} if cold else {}
    for folder in caches.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    return {**kept, **caches, "NUMBA_CACHE_DIR": str(base / "numba"), "PYTENSOR_FLAGS": flags, "JAX_PLATFORMS": "cpu",
            "TORCHINDUCTOR_COMPILE_THREADS": "1", "PYTHONPATH": str(ROOT),
            **({DEVICE: device} if device else {}), **({TRUST: "1"} if trust else {})}


class Worker:
    """One engine's process, stopped whenever it is not asked."""

    def __init__(self, engine: str, environment: dict[str, str], verbose: bool = False) -> None:
        self.engine, self._environment, self._verbose = engine, environment, verbose
        self.opened = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""

    def ask(self, **request: Any) -> dict[str, Any]:
        """The answer to a request; a process that ends or stays silent is reported, and replaced at the next request."""
        try:
            process = self._awake()
            assert process.stdin is not None
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            answer = self._line(PATIENCE)
            os.kill(process.pid, signal.SIGSTOP)
            return answer
        except (EOFError, OSError, TimeoutError) as problem:
            code = self.close()
            return {"status": "crashed", "why": f"{type(problem).__name__}: {problem} (exit status {code})"}

    def _awake(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            error = None if self._verbose else subprocess.DEVNULL
            self._process = subprocess.Popen([sys.executable, "-m", "tests.bench.worker", self.engine], stdin=subprocess.PIPE, cwd=ROOT,
                                             stdout=subprocess.PIPE, stderr=error, env=self._environment, start_new_session=True)
            self.opened = self._line(PATIENCE)["seconds"]
        else:
            os.kill(self._process.pid, signal.SIGCONT)
        return self._process

    def _line(self, patience: float) -> dict[str, Any]:
        """The next line of the process, decoded."""
        assert self._process is not None and self._process.stdout is not None
        source, end = self._process.stdout.fileno(), time.monotonic() + patience
        while b"\n" not in self._rest:
            if not select.select([source], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError(f"no answer within {patience:g} s")
            piece = os.read(source, 65536)
            if not piece:
                raise EOFError("the process ended")
            self._rest += piece
        line, self._rest = self._rest.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> int | None:
        """End the process and what it has started; its exit status."""
        process, self._process, self._rest = self._process, None, b""
        if process is None:
            return None
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return process.wait()
