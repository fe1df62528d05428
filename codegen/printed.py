"""Printed plans: kernels become text, programs are put together from texts, and the runtime never sees a tree."""
from __future__ import annotations

from collections.abc import Sequence

from codegen import apart, mathlib
from codegen.alike import Alike
from codegen.dialect import Dialect, dialect_of, qualifiers
from codegen.jobs import SUFFIX, divisible, door
from codegen.joined import code as joined_code
from codegen.kernel import Kernel, frame
from codegen.naming import text_of
from codegen.opencl import function_source
from codegen.plan import Branch, Code, Joined, Later, Launch, More, Plan, Step
from codegen.snippets import snippets
from codegen.vector_loops import QUIET
from exprgraph.collecting import fewer_collections


def printed(plan: Plan, dialect: str) -> Plan:
    """The plan with every kernel as text, those too that are made later."""
    known: dict[str, Code] = {}

    def made(kernel: Kernel | Alike | Joined) -> Code:
        if isinstance(kernel, Joined):
            return joined_code(kernel, dialect_of(dialect))
        return code_of(kernel.like if isinstance(kernel, Alike) else kernel, dialect_of(dialect))

    def each(steps: Sequence[Step]) -> tuple[Step, ...]:
        return tuple(one(s) for s in steps)

    def one(step: Step) -> Step:
        if isinstance(step, Branch):
            return step._replace(variants=tuple(each(v) for v in step.variants))
        if isinstance(step, Later):
            return Later(lambda: more(step))
        if not isinstance(step, Launch) or isinstance(step.kernel, Code):
            return step
        if step.kernel.name not in known:
            known[step.kernel.name] = made(step.kernel)
        parts = tuple(p for p in each(step.parts) if isinstance(p, Launch))
        return step._replace(kernel=known[step.kernel.name], parts=parts)

    def more(later: Later[More]) -> More:
        made = later.made
        with fewer_collections():
            return made._replace(steps=each(made.steps))
    with fewer_collections():
        return plan._replace(steps=each(plan.steps))


def code_of(kernel: Kernel, spoken: Dialect) -> Code:
    """The text of a kernel.  Where clang compiles it, a kernel whose work-items are independent is a function of its own, which may use
    instructions that the rest of the program must not."""
    text, known = text_of(kernel, spoken)
    body, job = function_source(kernel, text, known) if known.alone and spoken.builtins == "pocl" else ("", "")
    return Code(kernel.name, text, body, job if divisible(known) else "", len(kernel.params), known.flags, kernel.wide, not known.alone,
                known.streamed)


def program_source(kernels: Sequence[Kernel], dialect: str = "portable", jobs: bool = False) -> str:
    """One program with these kernels, whatever they are."""
    spoken = dialect_of(dialect)
    if not all(frame(k).traits.alone for k in kernels):
        spoken = spoken._replace(features="")
    return _program([code_of(k, spoken) for k in kernels], spoken, jobs)


def program_text(codes: Sequence[Code], dialect: str, jobs: bool = False) -> str:
    """One program that holds the kernels, which have different names, with everything that they need in front; jobs: with the second
    entries of `codegen.jobs` and their door, in the order of the kernels.  In a dialect with features kernels whose work-items meet stand
    in programs without others: they could not inline what those call."""
    spoken = dialect_of(dialect)
    if spoken.features and any(c.grouped for c in codes):
        if not all(c.grouped for c in codes):
            raise ValueError("kernels with and without groups in one program: " + ", ".join(c.name for c in codes))
        spoken = spoken._replace(features="")
    return _program(codes, spoken, jobs)


def _program(codes: Sequence[Code], spoken: Dialect, jobs: bool) -> str:
    if len({c.name for c in codes}) != len(codes):
        raise ValueError("two kernels of one name in a program: " + ", ".join(c.name for c in codes))
    clang = spoken.builtins == "pocl"
    texts = [(c.body or c.text) + "\n" * bool(c.job and jobs) + c.job * jobs for c in codes]
    text = "\n".join(texts) + (door([c.name + SUFFIX for c in codes if c.job]) if jobs else "")
    body = apart.apart(mathlib.prelude(text, spoken.builtins), () if clang else texts) + snippets(text) + text
    lines = ["#pragma OPENCL FP_CONTRACT OFF", *([QUIET] if clang else [])]
    lines += ["#pragma OPENCL EXTENSION cl_khr_fp64 : enable"] * ("double" in body)
    lines += ["#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable"] * ("atom_" in body)
    return "\n".join([*lines, *qualifiers(spoken), body])
