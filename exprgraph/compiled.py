"""Function: what `compile` returns, to be called with values."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from exprgraph import backend
from exprgraph.assemble import Assembly, Form
from exprgraph.containers import Containers, Place
from exprgraph.flags import seconds_or_none, text_or_none, truth
from exprgraph.later import Built, Later
from exprgraph.locks import held
from exprgraph.marked import printing
from exprgraph.node import OPERATORS, Out
from exprgraph.program import Executable, Program
from exprgraph.shared import Shared, not_within, pin, publish, valueless, wait
from exprgraph.signature import Signature, Slot
from exprgraph.staying import handing_over

if TYPE_CHECKING:
    from exprgraph.footprint import Footprint
    from exprgraph.maker import Maker
    from exprgraph.pass_report import Report


class Function:
    """A compiled function: call it with values.

    inputs and outputs: the symbols it was compiled from.  graph: what is left of them after optimisation, with what is printed and the
    new values of `targets` as the last outputs.  profile: what profile=True has gathered, debug: what
    DebugMode has compared, else None.  trust_input: set it to True to skip all checks of arguments, which then must be native,
    aligned arrays of the right dtype and rank.
    """

    def __init__(self, name: str, slots: Sequence[Slot], outputs: Sequence[Out], assembly: Assembly, form: Form, program: Program,
                 executable: Executable, device: str) -> None:
        self.name, self.signature = name, Signature(name, slots)
        self.inputs = [s.variable for s in slots]
        self.outputs = list(outputs)
        self.trust_input = False
        self.profile, self.debug = program.options.get("profile"), program.options.get("compared")
        self.targets = assembly.targets
        self._assembly, self._form = assembly, form
        self._shared, self._count, self._several = assembly.shared, program.n_outputs, len(assembly.shared) > 1
        self._stays = any(program.stays)
        self._arity = len(slots)
        self._locks = [t.lock for t in sorted(assembly.targets, key=lambda t: t.uid)]
        self._parts: dict[tuple[int, ...], Function] = {}
        self.adopt(Built(program, executable, device))
        if isinstance(executable, Later):
            executable.follow(self)

    def adopt(self, built: Built) -> None:
        """Use a program for the same leaves and results from the next call on."""
        self._lean = self._plain = False  # a call that begins meanwhile takes the long way
        self._program, self._run, self.graph, self.device = built.program, built.executable, built.program.graph, built.device
        pack = handing_over(self._form.pack, built.program.stays, built.executable, built.device)
        self._pack = printing(pack, self._assembly.printers)
        self._lean = not any(s.slow for s in self.signature.slots) and hasattr(built.executable, "quick")
        self._plain = self._lean and not self._shared and not self.targets and not self._stays

    @property
    def ready(self) -> bool:
        """Whether calls run on what was built: False while a compile with background=True has not
        ended, or after it has failed, and for an unpickled function before its first call."""
        return not isinstance(self._run, Later)

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it is `ready`, after waiting for that, at most so many seconds; raises what has gone wrong with a build."""
        run, timeout = self._run, seconds_or_none("timeout", timeout)
        return not isinstance(run, Later) or run.wait(timeout) is not None

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Compute the outputs; updates are published together after everything has succeeded.

        output_subset: only these outputs, by number, or by name where the outputs are a dict; a list or a dict of them is returned, and
        nothing is computed that neither they nor the updates need.
        """
        if self._plain and not keywords and len(args) == self._arity:  # the short way once more, without a call between
            found = self._run.quick(*args, checked=True) if self.trust_input else self._run.quick(*args)
            if found is None:
                found = self._run.again(args, self.trust_input)
            return self._pack(self._general(args, {}) if found is None else found)
        subset = keywords.pop("output_subset", None) if keywords else None
        if subset is not None:
            return self._part(subset)(*args, **keywords)
        if self._locks:
            return self._update(args, keywords)
        return self._pack(self._results(args, keywords))

    def _part(self, subset: Any) -> Function:
        """The function of some of the outputs, which shares everything else with this one."""
        from exprgraph.duplicate import numbers, part  # rarely needed
        chosen = numbers(subset, self._form.names, len(self.outputs), self.name)
        device = self._settled()
        if chosen not in self._parts:
            program = part(self._program, chosen, len(self._assembly.printers))
            executable, used = backend.build(program, device)
            self._parts[chosen] = Function(self.name, self.signature.slots, [self.outputs[i] for i in chosen], self._assembly,
                                           self._form.part(chosen), program, executable, "numpy" if used == "numpy" else self.device)
        self._parts[chosen].trust_input = self.trust_input
        return self._parts[chosen]

    def _settled(self) -> str:
        """The device that parts are built for, when the build of the whole has ended: NumPy where that has failed in the background."""
        run, device = self._run, str(self._program.options["device"])
        return run.settled() or device if isinstance(run, Later) else device

    def _update(self, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        def act() -> list[Any]:
            results = self._results(args, keywords)
            publish(self.targets, results[self._count:])
            return results
        not_within(self.targets)
        if len(self._locks) == 1:
            with self._locks[0]:
                results = act()
        else:
            results = held(self._locks, act)
        return self._pack(results[:self._count])

    def _results(self, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> list[Any]:
        """The outputs, where the executable knows calls like this one by the short way."""
        if not self._lean or keywords or len(args) != self._arity:
            return self._general(args, keywords)
        if self._shared:
            args = (*args, *(pin(self._shared) if self._several else (self._shared[0].version,)))
        found: list[Any] | None = None
        if not self._stays:
            found = self._run.quick(*args, checked=True) if self.trust_input else self._run.quick(*args)
        if found is None:
            found = self._run.again(args, self.trust_input)
        return self._general(args[:self._arity], {}) if found is None else found

    def _general(self, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> list[Any]:
        """The outputs by the way on which every argument is looked at."""
        values = self.signature.bind(args, keywords, self.trust_input)
        values += pin(self._shared) if self._several else [s.version for s in self._shared]
        return self._run(values)

    @property
    def container(self) -> Containers:
        """Where the defaults of inputs and the shared variables have their values, by symbol or name."""
        places = [Place(s.variable, s.name, s.default) for s in self.signature.slots]
        return Containers(self.name, places + [Place(Shared(n), n.name, n) for n in self._shared])

    def __getitem__(self, key: Any) -> Any:
        """The present default of an input, or value of a shared variable, by symbol or name; KeyError where there is none."""
        return self.container[key].value

    def __setitem__(self, key: Any, value: Any) -> None:
        self.container[key].value = value

    def __contains__(self, key: Any) -> bool:
        return key in self.container

    @property
    def maker(self) -> Maker:
        """What Theano's users look at: maker.fgraph with inputs, outputs and toposort()."""
        from exprgraph.maker import FunctionGraph, Maker  # rarely needed
        return Maker(FunctionGraph(self.graph), self.inputs, self.outputs)

    def copy(self, share_memory: bool = False, swap: Any = None, delete_updates: bool = False, name: str | None = None,
             profile: Any = None) -> Function:
        """A function of the same graph with defaults of its own, which start with this one's present values.

        swap: shared variable -> the one that takes its place, also in updates; of the same dtype and rank.  delete_updates: nothing is
        updated.  name: the copy's.  share_memory and profile are accepted and change nothing.  GraphError for a wrong swap.
        """
        from exprgraph.duplicate import moved, part, swaps  # rarely needed
        label = text_or_none("name", name) or self.name
        truth("share_memory", share_memory)
        held = [s.default for s in self.signature.slots if s.default is not None and not s.own]
        cells = swaps(swap, self.name, (*self._shared, *self.targets, *held))
        assembly, slots = moved(self._assembly, self.signature.slots, cells, self.name)
        delete_updates = truth("delete_updates", delete_updates)
        device = self._settled() if delete_updates else self.device
        program, executable = self._program, self._run
        if delete_updates and self.targets:
            program = part(program, range(len(self.outputs)), len(assembly.printers), updates=False)
            kept = assembly.graph._replace(outputs=assembly.graph.outputs[:assembly.n_outputs])
            assembly, (executable, used) = assembly._replace(targets=(), graph=kept), backend.build(program, device)
            device = "numpy" if used == "numpy" else self.device
        return Function(label, slots, self.outputs, assembly, self._form, program, executable, device)

    def without_values(self) -> Function:
        """A copy whose shared variables have no values until `set_value` gives them one: a pickle of it is small.

        Copies of several functions that share a variable share it too.  Defaults of inputs keep their values.
        """
        own = {s.default for s in self.signature.slots if s.own}
        return self.copy(swap=[(Shared(n), valueless(n)) for n in {*self._shared, *self.targets} - own])

    def __reduce__(self) -> Any:
        return OPERATORS["reduced"](self)

    def free(self) -> None:
        """Give back the memory that is kept between calls; the next call takes it again."""
        for function in (self, *self._parts.values()):
            function._run.free()

    def memory(self, *shapes: Any, **named: Any) -> Footprint:
        """What a call takes of memory: the formula, and where the sizes are known, the bytes by kind, the peak and its largest tensors.

        shapes: those of the inputs in their order, `f.memory((1000, 784))`, or by name, `f.memory(x=(1000, 784), n=5)`: a tuple of
        lengths, an array that has the shape, or the value of an integer scalar.  Inputs with defaults and shared variables have their
        present sizes unless others are given; a size that the call itself computes is given by its name.  Nothing runs.
        CallError for shapes that do not fit their inputs, or some that are missing; ShapeError as from a call.
        """
        from exprgraph.asked import memory  # rarely needed
        return memory(self._run, self.signature, self._shared, self.targets, shapes, named)

    def sync_shared(self) -> None:
        """Wait for the values of the shared variables: a call that only they take part in need not have finished when it returns."""
        for version in pin((*self._shared, *self.targets)):
            wait(version)

    def get_shared(self) -> list[Shared]:
        """The shared variables that the function reads."""
        return [Shared(n) for n in self._shared]

    def source(self) -> str:
        """The text of the kernels built so far, with the user's lines."""
        return self._run.source()

    def why(self) -> str:
        """Why the plans are as they are."""
        return self._run.why()

    def passes(self) -> Report:
        """What the optimiser did, found out by letting it run once more, so that nothing is recorded before: a table as text.

        passes with their nodes and times, rules that applied with how often, how long and on which lines, the graph before and after
        each half, and which rules changed the numerics; of the PLAN half for all plans that there are by now.
        """
        from exprgraph.pass_report import report  # rarely needed
        return report(self.name, self._assembly.graph, self._program.options, self._run)

    def warm(self) -> None:
        """Build everything that any later call can need."""
        self._run.warm()

    def __repr__(self) -> str:
        parts = [f"{n} {word}{'s' * (n != 1)}" for n, word in ((len(self.outputs), "output"), (len(self.targets), "update")) if n]
        return f"<function {self.signature} -> {' and '.join(parts) or 'nothing'}, on {self.device}>"
