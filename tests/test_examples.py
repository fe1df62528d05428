"""Every example runs and prints what it promises."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import quick_builds

ROOT = Path(__file__).resolve().parent.parent
PROMISED = {
    "quick_start": ["0.09003", "__kernel void"], "gradient": ["y'  =", "expected:"], "watch_passes": ["softplus", "merge"],
    "own_op": ["0.958"], "digits": ["logistic: mean accuracy", "perceptron: mean accuracy"],
    "doubled_array": ["cpu: doubled", "gpu: doubled"], "linear_combination": ["cpu: combined", "gpu: combined"],
    "dot_product": ["cpu: reduced", "gpu: reduced"], "mandelbrot": ["@@@@@@@@"], "matrix_product": ["cpu: multiplied", "gpu: multiplied"]}
ARGUMENTS = {"digits": ["--states", "1", "--epochs", "2"]}
QUICK = {"doubled_array", "linear_combination", "dot_product", "mandelbrot", "matrix_product"}
"""Those that show the texts for a GPU and run them too, which PoCL's optimiser takes seconds for."""


def test_every_example_is_listed() -> None:
    assert {p.stem for p in (ROOT / "examples").glob("*.py")} - {"__init__"} == set(PROMISED)


@pytest.mark.parametrize("name", PROMISED)
def test_example(name: str) -> None:
    settings = {"PYTHONPATH": str(ROOT)}
    if name in QUICK and not os.environ.get(quick_builds.SETTING):
        settings["PYOPENCL_BUILD_OPTIONS"] = quick_builds.OPTION
    ran = subprocess.run([sys.executable, str(ROOT / "examples" / f"{name}.py"), *ARGUMENTS.get(name, [])], capture_output=True, text=True,
                         env=os.environ | settings, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    for promise in PROMISED[name]:
        assert promise in ran.stdout, ran.stdout


def test_the_first_screen_of_the_readme_is_what_it_prints(tmp_path) -> None:
    """The program and the text under it, word for word."""
    text = (ROOT / "README.md").read_text()
    program, _, rest = text.partition("```python\n")[2].partition("```\n```\n")
    printed = rest.partition("```\n")[0]
    (tmp_path / "example.py").write_text(program)
    ran = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False,
                         env=os.environ | {"PYTHONPATH": str(ROOT), "EXPRGRAPH_DEVICE": "pocl"}, timeout=300)
    assert ran.stdout.strip() == printed.strip(), ran.stdout + ran.stderr
