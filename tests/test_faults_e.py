"""Rows of the table of faults about what is kept on disk that are not about single entries: two writers, and the caches of others."""
from __future__ import annotations

import threading
from pathlib import Path

import pytest

import exprgraph as eg
from exprgraph import store
from tests.processes import python


def test_E6_an_entry_is_always_that_of_one_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers that differ, as two machines with one home may, never leave a mixture, and readers see one or the other or nothing."""
    monkeypatch.setattr(eg.config, "cache", str(tmp_path))
    kept, key = store.Store("plan"), "ab" * 32
    contents, over, seen = [bytes([k]) * (20000 + 977 * k) for k in range(4)], threading.Event(), set[bytes | None]()

    def write(content: bytes) -> None:
        for _ in range(60):
            kept.put(key, content)

    def read() -> None:
        while not over.is_set():
            seen.add(kept.get(key))
    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(c,)) for c in contents]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    reader.join()
    assert seen <= {None, *contents} and len(seen - {None}) > 1 and kept.get(key) in contents
    assert [e.path.suffix for e in store.files(tmp_path)] == [".entry"]


@pytest.mark.parametrize("spoil", ["a file in its place", "unreadable files", "a lock of nobody"])
def test_E13_pyopencls_own_cache_may_be_anything(tmp_path: Path, spoil: str) -> None:
    """It keeps invokers of kernels, and on other drivers binaries, below the user's folder for caches."""
    text = "import numpy as np, exprgraph as eg; x = eg.vector('x'); print(eg.compile([x], x * 3, device='basic')(np.ones(2, 'f')))"
    home = tmp_path / "home"
    python(text, XDG_CACHE_HOME=str(home))
    folders = [p for p in home.glob("*") if p.name != "exprgraph"] or [home / "pyopencl"]
    for folder in folders:
        if spoil == "a file in its place":
            folder.rename(tmp_path / folder.name) if folder.exists() else home.mkdir(exist_ok=True)
            folder.write_text("not a folder")
        for file in [p for p in folder.rglob("*") if p.is_file()] if spoil == "unreadable files" else []:
            file.write_bytes(b"garbled")
        for inner in [folder, *[p for p in folder.rglob("*") if p.is_dir()]] if spoil == "a lock of nobody" and folder.is_dir() else []:
            (inner / "lock").write_text("123456")
    done = python(text, XDG_CACHE_HOME=str(home), EXPRGRAPH_CACHE=str(tmp_path / "ours"))
    assert (done.returncode, done.stdout) == (0, "[3. 3.]\n"), done.stderr
