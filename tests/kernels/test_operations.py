"""Programs of compiled operations."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="kernels are compiled by numba")

import torch
from messages import raises

from skrnn._data.targets import (
    ClassTarget,
    MultilabelTarget,
    QuantileTarget,
    RegressionTarget,
)
from skrnn._kernels.losses import LOSSES
from skrnn._kernels.operations import Program, make_record

rng = np.random.default_rng(0)


def sums_of_rows(out, dtype=np.float64):
    """Return a program that fills `out` with a linear layer of its batch."""
    program = Program(dtype)
    program.add(
        "linear",
        per_step=False,
        adds=False,
        x=np.arange(6, dtype=dtype),
        n_inputs=2,
        weight=np.ones(2, dtype),
        bias=np.array([0.5], dtype),
        n_outputs=1,
        out=out,
    )
    return program


def test_wrong_arguments_of_an_operation_are_named():
    with raises(
        TypeError,
        "multiply takes ('per_step', 'n_columns', 'x', 'factors'). Got ('x', 'n').",
    ):
        make_record("multiply", {"x": np.ones(2), "n": 2})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_program_runs_its_operations_in_order(dtype):
    out = np.zeros(3, dtype)
    program = sums_of_rows(out, dtype)
    program.add(
        "multiply",
        per_step=False,
        n_columns=1,
        x=out,
        factors=np.array([2, 3, 4], dtype),
    )
    program.compile().run(np.arange(3), np.array([0, 3]))
    np.testing.assert_array_equal(out, np.array([1.5, 5.5, 9.5]) * [2, 3, 4])


def test_programs_add_up_and_keep_their_arrays_alive():
    out = np.zeros(3)
    both = sums_of_rows(out) + sums_of_rows(out)
    assert len(both.steps) == 2
    both.compile().run(np.arange(3), np.array([0, 3]))
    np.testing.assert_array_equal(out, [1.5, 5.5, 9.5])


def test_arguments_are_replaced_wherever_they_occur():
    out, other = np.zeros(3), np.zeros(3)
    program = sums_of_rows(out).compile()
    program.replace(out=other, bias=np.array([1.0]), unknown=1)
    program.run(np.arange(3), np.array([0, 3]))
    assert (out == 0).all()
    assert other.any()


def test_the_sum_of_losses_does_not_depend_on_the_calls():
    rng = np.random.default_rng(0)
    program = Program(np.float64)
    lengths = np.empty(4, np.int64)
    program.add("batch_lengths", step_counts=np.ones(40, np.int64), one_less=0,
                lengths=lengths)  # fmt: skip
    program.add(
        "loss",
        kind=0,
        levels=None,
        n_levels=0,
        label_weights=None,
        n_outputs=1,
        n_targets=1,
        numbers=rng.normal(size=(40, 1)),
        codes=None,
        weights=None,
        per_step=False,
        target_start=None,
        output=np.zeros((4, 1)),
        grad_output=np.empty((4, 1)),
    )
    program = program.compile()
    order, bounds = rng.permutation(40), np.arange(0, 41, 4)
    once, total = program.run(order, bounds), 0.0
    for i in range(10):
        rows = order[bounds[i] : bounds[i + 1]]
        total = program.run(rows, np.array([0, 4]), total=total)
    assert total == once > 0


def regression(loss):
    target = RegressionTarget(loss)
    target.n_outputs = target.n_targets = 2
    return target, rng.normal(size=(6, 2)), 2


def quantiles():
    target = QuantileTarget((0.1, 0.8))
    target.n_targets = 2
    return target, rng.normal(size=(6, 2)), 6


TARGETS = {
    "squared error": lambda: regression("squared_error"),
    "absolute error": lambda: regression("absolute_error"),
    "huber": lambda: regression("huber"),
    "quantiles": quantiles,
    "two classes": lambda: (ClassTarget(np.arange(2)), rng.integers(0, 2, 6), 1),
    "four classes": lambda: (ClassTarget(np.arange(4)), rng.integers(0, 4, 6), 4),
    "labels": lambda: (
        MultilabelTarget(3),
        rng.integers(0, 2, (6, 3)).astype(float),
        3,
    ),
}


@pytest.mark.parametrize("size", [1.0, 1000.0, 0.0], ids=["", "large", "zero"])
@pytest.mark.parametrize("name", TARGETS)
def test_losses_and_their_gradients_are_those_of_torch(name, size):
    target, encoded, n_outputs = TARGETS[name]()
    output = size * rng.normal(size=(6, n_outputs))
    if size == 0 and encoded.ndim == 2 and name != "labels":  # the kinks of losses
        output = np.repeat(encoded, n_outputs // encoded.shape[1], axis=1)
    raw = torch.tensor(output, requires_grad=True)
    expected = target.row_loss(raw, torch.tensor(encoded)).mean()
    (gradient,) = torch.autograd.grad(expected, raw)

    is_codes, found = encoded.dtype.kind == "i", np.empty_like(output)
    levels = getattr(target, "levels", np.empty(0))
    program = Program(np.float64)
    program.add(
        "batch_lengths",
        step_counts=np.ones(6, np.int64),
        one_less=0,
        lengths=np.empty(6, np.int64),
    )
    program.add(
        "loss",
        kind=LOSSES[target.compiled_loss],
        levels=levels,
        n_levels=len(levels),
        label_weights=getattr(target, "label_weights", None),
        n_outputs=n_outputs,
        n_targets=0 if is_codes else encoded.shape[1],
        numbers=None if is_codes else encoded,
        codes=encoded if is_codes else None,
        weights=None,
        per_step=False,
        target_start=None,
        output=output,
        grad_output=found,
    )
    total = program.compile().run(np.arange(6), np.array([0, 6]))

    assert total / 6 == pytest.approx(expected.item(), rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(found, gradient, rtol=1e-12, atol=1e-12)
