"""Drivers that are installed but in no vendors file, as in containers with NVIDIA's libraries only: named to the loader for once.

An OpenCL loader finds drivers by small files that name their libraries.  Where the user has said nothing of such files, the libraries of
known drivers are looked for in the usual places; those that no file names get one in a folder that exists while platforms are listed.
"""
from __future__ import annotations

import contextlib
import glob
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

SETTINGS = ("OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH", "OCL_ICD_FILENAMES")
"""What a user says of vendors files, to one loader or another: then nothing is looked for."""
LIST = SETTINGS[-1]
"""The one that lists libraries, to a loader that reads several."""
LIBRARIES = ("libnvidia-opencl.so.1", "libamdocl64.so", "libigdrcl.so", "libintelocl.so", "libpocl.so.2")
PLACES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib", "/usr/local/nvidia/lib64",
          "/usr/local/cuda/lib64", "/usr/lib/wsl/lib", "/usr/lib/wsl/drivers/*", "/opt/rocm/lib", "/opt/rocm/opencl/lib",
          "/usr/lib/x86_64-linux-gnu/intel-opencl", "/run/opengl-driver/lib")
FILES = ("/etc/OpenCL/vendors",)
"""Where vendors files lie, beside those that come with pyopencl."""
LOADER = "/etc/ld.so.cache"


def told() -> list[str]:
    """Which of these settings there are."""
    return [name for name in SETTINGS if os.environ.get(name)]


def unloadable(file: Path) -> str | None:
    """Why the library that a vendors file names cannot be loaded; None where it can."""
    import ctypes  # the doctor alone asks
    try:
        name = file.read_text(errors="replace").strip()
        ctypes.CDLL(name)
    except (OSError, ValueError) as error:
        return str(error)
    return None if name else "it names none"


def libraries() -> list[Path]:
    """The libraries of known drivers on this machine, one of each name."""
    known = _known_to_the_loader()
    places = [*os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep), *PLACES]
    folders = [Path(f) for place in places if place for f in (sorted(glob.glob(place)) if "*" in place else [place])]
    found = []
    for name in LIBRARIES:
        at = next((folder / name for folder in folders if (folder / name).exists()), known.get(name))
        if at is not None:
            found.append(at)
    return found


def _known_to_the_loader() -> dict[str, Path]:
    """What the system's table of libraries says of them; its paths end with a zero byte."""
    try:
        table = Path(LOADER).read_bytes()
    except OSError:
        return {}
    names = b"|".join(re.escape(n.encode()) for n in LIBRARIES)
    found = {Path(os.fsdecode(m)) for m in re.findall(rb"\0(/[^\0]*/(?:" + names + rb"))(?=\0)", table)}
    return {path.name: path for path in sorted(found) if path.exists()}


def files(beside: Path | None = None) -> list[Path]:
    """The vendors files of this machine, with those in a folder that comes with pyopencl."""
    folders = [*map(Path, FILES), *([beside] if beside is not None else [])]
    return sorted(f for folder in folders for f in folder.glob("*.icd"))


def unnamed(beside: Path | None = None) -> list[Path]:
    """The libraries that no vendors file names; none where the user has said where such files are."""
    if told():
        return []
    texts = []
    for file in files(beside):
        with contextlib.suppress(OSError):
            texts.append(Path(file.read_text(errors="replace").strip()).name)
    return [path for path in libraries() if not any(text.startswith(path.name.partition(".")[0]) for text in texts)]


@contextlib.contextmanager
def named(found: Sequence[Path]) -> Iterator[None]:
    """A folder with a vendors file for each of these libraries, which the loader is told of while this lasts."""
    if not found:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="exprgraph-vendors-", ignore_cleanup_errors=True) as folder:
        for path in found:
            Path(folder, f"{path.name.partition('.')[0]}.icd").write_text(f"{path}\n")
        os.environ[SETTINGS[0]] = folder
        try:
            yield
        finally:
            os.environ.pop(SETTINGS[0], None)
