"""What every registered network owes (for floors see there), so that a new one is covered at once."""

import sys
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from torch.testing import assert_close

from mtlbench.balancing.base import NoOptions
from mtlbench.balancing.equal import Equal
from mtlbench.config import TrainingSettings
from mtlbench.errors import UsageError
from mtlbench.home import Home
from mtlbench.load import Prepared, open_prepared
from mtlbench.methods import METHODS
from mtlbench.methods.base import Inputs, InputSpec, Method, NetworkConfig
from mtlbench.schema import Task
from mtlbench.train.blueprint import Blueprint
from mtlbench.train.loop import train
from tests.methods.toys import NETWORKS, SPEC, TASKS, build, dropping, toy_inputs

NAN = float("nan")


@pytest.fixture(params=NETWORKS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def method(name: str) -> type[Method]:
    return NETWORKS[name]


def tasks_of(method: type[Method], count: int = 3) -> tuple[Task, ...]:
    """So many tasks as the method takes them: a regression among them where it can, one after another."""
    if method.per_task:
        return TASKS[:1]
    kinds = method.needs.kinds
    tasks = tuple(Task(name=f"t{k}", given=f"t{k - 1}" if k else "") for k in range(count))
    return (*tasks[:-1], replace(tasks[-1], kind=kinds[-1], given="")) if count == 3 else tasks


def inputs_for(method: type[Method], rows: int = 5, spec: InputSpec = SPEC) -> Inputs:
    return toy_inputs(rows, tables=method.tables(tasks_of(method)), spec=spec)


def total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()


@pytest.mark.parametrize("rows", [1, 5])
def test_one_finite_output_a_task(method: type[Method], rows: int) -> None:
    outputs = build(method, tasks_of(method))(inputs_for(method, rows))
    assert list(outputs) == [t.name for t in tasks_of(method)]
    for output in outputs.values():
        assert output.shape[:1] == (rows,)
        assert output.dim() == 2  # columns after the first are for its own losses
        assert output.isfinite().all()


@pytest.mark.parametrize(
    "spec", [InputSpec((), (), 4), InputSpec(SPEC.categorical, (), 0), InputSpec((), SPEC.sequences, 0)]
)
def test_any_kind_of_field_may_be_missing(method: type[Method], spec: InputSpec) -> None:
    outputs = build(method, tasks_of(method), spec)(inputs_for(method, spec=spec))
    assert all(output.isfinite().all() for output in outputs.values())


@pytest.mark.parametrize("count", [1, 2, 6])
def test_one_to_six_tasks_as_far_as_it_takes_them(method: type[Method], name: str, count: int) -> None:
    tasks = tasks_of(method, count)
    if not method.per_task and not method.needs.fewest <= count <= (method.needs.most or count):
        with pytest.raises(UsageError, match=f"{name} needs .* there (is|are) {count}"):
            method.check(name, tasks)
        return
    method.check(name, tasks)
    outputs = build(method, tasks)(toy_inputs(tables=method.tables(tasks)))
    assert list(outputs) == [t.name for t in tasks]


def test_kinds_that_it_cannot_learn_are_refused(method: type[Method], name: str) -> None:
    mixed = (Task(name="click"), Task(name="buy", given="click"), Task(name="stars", kind="regression"))
    if "regression" in method.needs.kinds:
        method.check(name, mixed)
        return
    with pytest.raises(UsageError, match="stars is a regression task"):
        method.check(name, mixed)


def test_a_list_says_what_it_needs(method: type[Method], name: str) -> None:
    assert METHODS[name].needs == str(method.needs)


def test_every_parameter_gets_a_gradient(method: type[Method]) -> None:
    model, inputs = build(method, tasks_of(method)), inputs_for(method, rows=40)
    labels = torch.rand(40, len(tasks_of(method))).round()
    torch.autograd.backward(total(model.losses(model(inputs), labels)) + model.penalty(inputs))
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.2, "norm": "batch", "activation": "silu"},
        {"norm": "none", "interaction": "cross", "pooling": "attention", "activation": "tanh"},
        {"interaction": "fm", "activation": "gelu"},
    ],
)
def test_every_parameter_moves_under_every_option(
    home: Home, toy: Prepared, method: type[Method], options: dict[str, object]
) -> None:
    """A short training through the real loop, on the tasks of the toy that it can learn."""
    kinds = method.needs.kinds
    prepared = open_prepared(home, toy.name, tuple(t.name for t in toy.schema.tasks if t.kind in kinds))
    config = method.Config(embedding_dim=2, network=(6, 5), tower=(4,), **options)  # type: ignore[arg-type]
    plan = Blueprint.of(method, config, prepared)
    replicas = plan.replicas(0)[:1]
    balancer = Equal([plan.schema.task_names[k] for k in replicas[0].tasks], [NoOptions()])
    settings = TrainingSettings(epochs=2, batch_rows=100, evaluations_per_epoch=1, patience=99)
    (outcome,) = train(plan, balancer, settings, replicas, prepared, torch.device("cpu"), lambda rows: None)
    assert outcome.failure is None
    assert outcome.deployable is not None
    before = dict(plan.build(replicas[0]).named_parameters())
    still = [n for n, p in before.items() if torch.equal(p, outcome.deployable.weights[n])]
    assert not still


def test_same_seed_same_weights(method: type[Method]) -> None:
    a, b = (build(method, tasks_of(method)).state_dict() for _ in range(2))
    assert_close(a, b, rtol=0, atol=0)


def stacked(method: type[Method]) -> list[Method]:
    models = [build(method, tasks_of(method), dropout=0.0) for _ in range(3)]
    for scale, model in enumerate(models, start=1):
        for parameter in model.parameters():
            parameter.data *= scale
    return models


def test_a_stack_under_vmap_gives_what_each_gives_alone(method: type[Method]) -> None:
    inputs, models = inputs_for(method), stacked(method)
    parameters, _ = stack_module_state(models)
    together = vmap(lambda p: functional_call(models[0], p, (inputs,)))(parameters)
    for i, model in enumerate(models):
        for task, output in model(inputs).items():
            assert_close(together[task][i], output)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, of its compiler
def test_a_stack_compiles_in_one_graph_losses_and_penalty_too(method: type[Method]) -> None:
    """The step as the loop takes it, traced without a break; gradients as without the compiler."""
    torch.compiler.reset()  # it counts the methods before as recompilations of one, and has a limit
    inputs, models = inputs_for(method, rows=8), stacked(method)
    labels = torch.arange(8 * len(tasks_of(method))).reshape(8, -1).remainder(2).float()
    parameters, _ = stack_module_state(models)

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = models[0]

        def forward(self, inputs: Inputs, labels: Tensor) -> Tensor:
            return total(self.model.losses(self.model(inputs), labels)) + self.model.penalty(inputs)

    step = Step()

    def losses(p: dict[str, Tensor]) -> Tensor:
        named = {f"model.{n}": one for n, one in p.items()}
        result: Tensor = vmap(lambda one: functional_call(step, one, (inputs, labels)))(named)
        return result

    gradients = []
    for run in (losses, torch.compile(losses, backend="aot_eager", fullgraph=True)):
        leaves = {n: p.detach().clone().requires_grad_() for n, p in parameters.items()}
        gradients.append(torch.autograd.grad(run(leaves).sum(), list(leaves.values())))
    assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-5)


def test_a_row_without_a_label_weighs_nothing(method: type[Method]) -> None:
    """The loss over rows with some labels missing is the loss over the others alone."""
    model, inputs = build(method, tasks_of(method)), inputs_for(method, rows=6)
    outputs = model(inputs)
    labels = torch.tensor([[0.0], [1.0], [1.0], [0.0], [1.0], [0.0]]).repeat(1, len(outputs))
    holes = labels.clone()
    holes[3:] = NAN
    kept = model.losses({k: v[:3] for k, v in outputs.items()}, labels[:3])
    assert_close(model.losses(outputs, holes), kept)
    everywhere = model.losses(outputs, torch.full_like(labels, NAN))
    assert_close(everywhere, dict.fromkeys(outputs, torch.zeros(())))


def test_a_task_without_a_label_leaves_the_others_as_they_are(method: type[Method]) -> None:
    """The last of the tasks, on which none of the others hangs."""
    model, inputs = build(method, tasks_of(method)), inputs_for(method, rows=6)
    outputs = model(inputs)
    labels = torch.tensor([[0.0], [1.0], [1.0], [0.0], [1.0], [0.0]]).repeat(1, len(outputs))
    holes = labels.clone()
    holes[:, -1] = NAN
    *others, last = model.tasks
    with_all, without = model.losses(outputs, labels), model.losses(outputs, holes)
    assert without[last] == 0
    assert_close([without[t] for t in others], [with_all[t] for t in others])


def test_a_task_without_a_positive_in_the_batch_has_a_finite_loss(method: type[Method]) -> None:
    model, inputs = build(method, tasks_of(method)), inputs_for(method)
    losses = model.losses(model(inputs), torch.zeros(5, len(tasks_of(method))))
    assert all(loss.isfinite() for loss in losses.values())


def test_dropout_drops_in_training_and_not_in_scoring(method: type[Method]) -> None:
    """Every task's output is another once units are dropped, in networks and towers."""
    inputs, tasks = inputs_for(method), tasks_of(method)
    for tower in ((), (16,)):
        plain = build(method, tasks, network=(32, 16), tower=tower).eval()(inputs)
        model = dropping(build(method, tasks, network=(32, 16), tower=tower, dropout=0.5))
        dropped = model(inputs)
        assert all(not torch.allclose(dropped[t][:, 0], plain[t][:, 0]) for t in model.tasks)
        assert_close(model.eval()(inputs), plain)


def test_probabilities_of_binary_tasks_values_of_the_others(method: type[Method]) -> None:
    model, inputs = build(method, tasks_of(method)), inputs_for(method)
    outputs = model(inputs)
    predictions = model.predictions(outputs)
    for k, task in enumerate(tasks_of(method)):
        expected = outputs[task.name][:, 0]
        assert_close(predictions[:, k], expected.sigmoid() if task.kind == "binary" else expected)


def test_gates_are_shares_over_experts_that_all_tasks_count_alike(method: type[Method]) -> None:
    model, inputs = build(method, tasks_of(method)), inputs_for(method)
    gates = model.gate_shares(inputs)
    assert set(gates) <= set(model.tasks)
    assert len({gate.shape for gate in gates.values()}) <= 1
    for gate in gates.values():
        assert gate.shape[0] == 5
        seen = ~gate.isnan()
        assert (seen == seen[0]).all(), "what a task cannot see, it cannot on any row"
        assert (gate[:, seen[0]] >= -1e-6).all()
        assert_close(gate.nansum(dim=1), torch.ones(5))


def test_matrices_are_square_in_the_tasks(method: type[Method]) -> None:
    model = build(method, tasks_of(method))
    side = len(model.tasks)
    assert all(matrix.shape == (side, side) for matrix in model.task_matrices().values())


def test_config_is_frozen_and_refuses_nonsense(method: type[Method]) -> None:
    assert is_dataclass(method.Config)
    config: NetworkConfig = method.Config()
    with pytest.raises(FrozenInstanceError):
        config.dropout = 0.5  # type: ignore[misc]
    for bad in (
        {"dropout": 1.0},
        {"network": ()},
        {"embedding_dim": 0},
        {"tower": (0,)},
        {"cross_layers": 0},
    ):
        with pytest.raises(ValueError, match=next(iter(bad)) if "dropout" in bad else "at least 1"):
            method.Config(**bad)


@pytest.mark.parametrize("value", [-1.0, NAN, float("inf")])
def test_numbers_that_weigh_something_are_finite_and_not_negative(method: type[Method], value: float) -> None:
    for field in fields(method.Config):
        if isinstance(field.default, float):
            with pytest.raises(ValueError, match=f"{field.name} = {value}"):
                method.Config(**{field.name: value})  # type: ignore[arg-type]


def test_its_module_says_what_it_is(method: type[Method]) -> None:
    """Paper, departures and pitfalls are what `show` prints."""
    text = sys.modules[method.__module__].__doc__ or ""
    assert "epart" in text  # "Departs from the paper", "Departures from a paper: none"
    assert "Pitfalls: " in text
