"""Programs of compiled operations."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="kernels are compiled by numba")

from messages import raises

from skrnn._kernels.operations import Program, make_record


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
    program.add("batch_lengths", n_steps=np.ones(40, np.int64), one_less=0,
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
