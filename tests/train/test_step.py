"""Steps that are captured or compiled are the steps as they are written."""

import gc
import warnings
import weakref
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from mtlbench.balancing import BALANCERS
from mtlbench.balancing.base import Balancer, NoOptions
from mtlbench.balancing.equal import Equal
from mtlbench.balancing.uncertainty import Uncertainty
from mtlbench.config import TrainingSettings
from mtlbench.load import Prepared
from mtlbench.train import matrices
from mtlbench.train import step as steps
from mtlbench.train.blueprint import Blueprint
from mtlbench.train.matrices import Matrices
from mtlbench.train.optimiser import StackedAdam
from mtlbench.train.stack import Stack
from mtlbench.train.step import WARM_UP, Run, Stepper, aside, captured
from tests.methods.toys import NETWORKS

CPU = torch.device("cpu")
SEEDS = (0, 1, 2)
HAS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


class Course:
    """A training of three seeds, its batches chosen by hand."""

    def __init__(
        self, prepared: Prepared, record: Any = None, device: torch.device = CPU, **options: Any
    ) -> None:
        cls = NETWORKS[options.pop("method", "hard-sharing")]
        plan = Blueprint.of(cls, cls.Config(network=(8, 4), **options), prepared)
        self.stack = Stack(plan, [plan.replicas(seed)[0] for seed in SEEDS], device)
        self.optimiser = StackedAdam(self.stack, TrainingSettings(batch_rows=32))
        data = Matrices.of(prepared.open_split("train"), self.stack.layout, device)
        balancer = Equal(prepared.schema.task_names, [NoOptions()] * len(SEEDS))
        self.take = Stepper(self.stack, balancer, self.optimiser, data, 10, record)

    def learn(self, first: int, last: int) -> list[Tensor]:
        """The losses of each step."""
        made = []
        for step in range(first, last + 1):
            draws = torch.Generator().manual_seed(step)
            rows = torch.randint(600, (len(self.stack.replicas), 32), generator=draws).to(self.stack.device)
            made.append(self.take(rows, step)[0])
        return made


def test_what_is_recorded_is_replayed_on_the_rows_of_each_step(toy: Prepared) -> None:
    """Also after a replica has left, when the old recording is of tensors that are nobody's."""
    recorded: list[int] = []

    def record(run: Run) -> Run:
        recorded.append(1)
        return run

    plain, replayed = Course(toy), Course(toy, record)
    for first, last, kept in ((1, 9, None), (10, 18, [0, 2])):
        if kept is not None:
            plain.optimiser.keep(kept)
            replayed.optimiser.keep(kept)
        assert_close(replayed.learn(first, last), plain.learn(first, last), rtol=0, atol=0)
    assert len(recorded) == 2
    assert_close(replayed.stack.tables, plain.stack.tables, rtol=0, atol=0)


def test_the_first_steps_are_run_and_not_replayed(toy: Prepared) -> None:
    course = Course(toy, lambda run: lambda: pytest.fail("replayed too early"))
    course.learn(1, WARM_UP)
    with pytest.raises(pytest.fail.Exception):
        course.learn(WARM_UP + 1, WARM_UP + 1)


def test_rows_that_are_gathered_on_the_host_are_not_replayed(
    toy: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrices, "SHARE", 0)
    course = Course(toy, lambda run: pytest.fail("recorded"))
    rows = [torch.arange(96).view(3, 32) + step for step in range(WARM_UP + 2)]
    for step, gathered in enumerate(course.take._data.fetched(iter(rows)), start=1):
        course.take(gathered, step)
    assert step == len(rows)


def test_what_the_host_has_a_say_in_is_not_captured() -> None:
    assert Equal.replays
    assert not Uncertainty.replays


def test_a_cpu_neither_captures_nor_compiles(toy: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stack, "compile", lambda self: pytest.fail("compiled"))
    monkeypatch.setattr(steps, "WORTH_COMPILING", 0)
    assert Course(toy).take._record is None


@pytest.mark.parametrize(
    ("balancer", "steps_to_do", "compiles"),
    [("equal", 1, False), ("equal", steps.WORTH_COMPILING, True), ("gradnorm", steps.WORTH_COMPILING, False)],
)
def test_long_trainings_are_compiled_unless_gradients_tell_what_is_shared(
    toy: Prepared, balancer: str, steps_to_do: int, compiles: bool
) -> None:
    """A compiled function has the gradient 0 where a loss does not reach; as written it has none."""
    compiled: list[bool] = []
    stack: Any = SimpleNamespace(
        device=torch.device("cuda"), tables=None, replays=True, compile=lambda: compiled.append(True)
    )
    cls: type[Balancer] = BALANCERS[balancer].load()
    made = cls(toy.schema.task_names, [cls.Config()])
    Stepper(stack, made, None, SimpleNamespace(resident=True), steps_to_do)  # type: ignore[arg-type]
    assert bool(compiled) == compiles


class HostOperations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Note what no CUDA graph can hold: constants from the host, values it reads, data-dependent shapes."""

    WAITS = ("lift_fresh", "_local_scalar_dense", "linalg", "nonzero", "unique", "masked_select")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen |= {str(func) for name in self.WAITS if name in str(func)}
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", sorted(NETWORKS))
def test_a_method_says_truly_whether_its_steps_can_be_captured(toy: Prepared, method: str) -> None:
    course = Course(toy, method=method)
    course.learn(1, 1)
    with HostOperations() as host:
        course.learn(2, 2)
    assert (not host.seen) == course.stack.replays, host.seen


def test_a_stack_that_nobody_needs_is_freed_at_once(toy: Prepared) -> None:
    """Were it to wait for the collector of cycles, its tables would fill a GPU."""
    gc.collect()
    gc.disable()
    try:
        course = Course(toy)
        course.learn(1, 1)
        left = weakref.ref(course.stack)
        del course
        assert left() is None
    finally:
        gc.enable()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, of its compiler
@pytest.mark.parametrize("method", ["hard-sharing", "mmoe", "soft-sharing"])
def test_a_compiled_stack_takes_the_same_steps(toy: Prepared, method: str) -> None:
    """Batch normalisation too, whose running figures are written in the compiled part."""
    torch.compiler.reset()
    plain, compiled = (Course(toy, method=method, norm="batch") for _ in range(2))
    compiled.stack.compile()
    assert_close(compiled.learn(1, 4), plain.learn(1, 4), rtol=1e-3, atol=1e-4)
    for name, buffer in plain.stack.buffers.items():
        assert_close(compiled.stack.buffers[name], buffer, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "CUDA out of memory"),
        (RuntimeError("operation not permitted\nwhen stream is capturing"), "permitted.*replays = False"),
    ],
)
def test_a_capture_that_fails_gives_the_stream_back_and_stays_what_it_is(
    monkeypatch: pytest.MonkeyPatch, raised: RuntimeError, told: str
) -> None:
    """Out of memory keeps its type, by which a launcher halves the stack."""
    streams: list[str] = []
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: None)
    monkeypatch.setattr(torch.cuda, "graph", nullcontext)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: "before")
    monkeypatch.setattr(torch.cuda, "set_stream", streams.append)

    def run() -> Any:
        raise raised

    with pytest.raises(type(raised), match=told):
        captured(run)
    assert streams == ["before"]


@pytest.mark.gpu
@HAS_GPU
@pytest.mark.parametrize("method", sorted(name for name, method in NETWORKS.items() if method.replays))
def test_a_captured_stack_takes_the_same_steps(
    toy: Prepared, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = torch.device("cuda")
    replayed = Course(toy, method=method, norm="batch", device=device)
    monkeypatch.setenv(steps.AS_WRITTEN, "1")
    plain = Course(toy, method=method, norm="batch", device=device)
    assert replayed.take._record is not None
    assert plain.take._record is None
    for first, last, kept in ((1, 8, None), (9, 16, [0, 2])):
        if kept is not None:
            plain.optimiser.keep(kept)
            replayed.optimiser.keep(kept)
        assert_close(replayed.learn(first, last), plain.learn(first, last), rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
@HAS_GPU
def test_a_step_does_not_wait_for_the_device(toy: Prepared) -> None:
    course = Course(toy, device=torch.device("cuda"))
    course.learn(1, WARM_UP + 1)
    rows = torch.zeros(len(SEEDS), 32, dtype=torch.int64, device="cuda")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the mode is a prototype
            torch.cuda.set_sync_debug_mode("error")
        for step in range(WARM_UP + 2, WARM_UP + 8):
            course.take(rows, step)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_elsewhere_than_on_cuda_aside_is_here() -> None:
    outcome = (torch.ones(1), torch.zeros(1))
    assert aside(lambda: outcome, CPU) is outcome
