"""The tasks of a fit, for callbacks of scikit-learn (1.9 and newer).

scikit-learn sees a fit as a tree of tasks. Callbacks, which `set_callbacks` sets,
receive the beginning and the end of each:

    fit                     one network            fit             several trainings
    ├── epoch 0                                    ├── fold 0      (judges the network)
    ├── epoch 1                                    │   ├── epoch 0
    └── ...                                        │   └── ...
                                                   ├── member 1    (of an ensemble)
                                                   └── ...

The epochs are the net's, which calls `TrainingTask` between epochs only: compiled
training stays compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from skrnn._compat import has_callbacks, init_callback_context
from skrnn._typing import Estimator, SequencesLike, TargetsLike

if TYPE_CHECKING:
    from skrnn._training.net import RecurrentNet

    # From a net to the fitted attributes.
    Attributes: TypeAlias = Callable[[RecurrentNet], dict[str, Any]]


class FitTasks:
    """The root task of a fit, and a task for each of its trainings.

    Parameters
    ----------
    estimator : BaseRecurrent
        In `fit`.

    X, y, sample_weight : object
        As `fit` received them.

    n_trainings : int
        Of folds and members.

    max_epochs : int
        Of each training.
    """

    def __init__(
        self,
        estimator: Estimator,
        X: SequencesLike,
        y: TargetsLike,
        sample_weight: TargetsLike | None,
        n_trainings: int,
        max_epochs: int,
    ) -> None:
        self.has_one = n_trainings == 1
        self.n_begun = 0
        self.max_epochs = max_epochs
        self.root = init_callback_context(
            estimator,
            max_subtasks=max_epochs if self.has_one else n_trainings,
            sequential_subtasks=self.has_one,
        )
        self.has_callbacks = self.root is not None and has_callbacks(estimator)
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.arguments = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        if self.has_callbacks:
            self.root.call_on_fit_task_begin(**self.arguments)

    def training(
        self, name: str, attributes: Attributes | None = None
    ) -> TrainingTask | None:
        """Return the task of the next training, None if there are no callbacks.

        Parameters
        ----------
        name : str
            What is trained.

        attributes : callable, default=None
            From a net to the fitted attributes after its last epoch. None means that
            there is no estimator to pass to callbacks.

        Returns
        -------
        task : TrainingTask or None
        """
        if not self.has_callbacks:
            return None
        context = self.root
        if not self.has_one:
            context = self.root.subcontext(
                task_name=name, task_id=self.n_begun, max_subtasks=self.max_epochs
            )
        self.n_begun += 1
        return TrainingTask(context, self.arguments, attributes, not self.has_one)

    def end(self) -> None:
        """Call the hooks for the end of the fit, when the estimator is fitted."""
        if self.has_callbacks:
            self.root.call_on_fit_task_end(
                **self.arguments, reconstruction_attributes=dict
            )


class NoTasks:
    """Stands for `FitTasks` where no hooks are called."""

    def training(self, name: str, attributes: Attributes | None = None) -> None:
        """Return None."""

    def end(self) -> None:
        """Do nothing."""


class TrainingTask:
    """The task of one training, whose subtasks are epochs.

    Parameters
    ----------
    context : sklearn.callback.CallbackContext
        Of the training, or of the fit if it is the only one.

    arguments : dict
        Of all hooks.

    attributes : callable or None
        See `FitTasks.training`.

    is_subtask : bool
        Whether the training is a task of its own.
    """

    def __init__(
        self,
        context: Any,
        arguments: dict[str, Any],
        attributes: Attributes | None,
        is_subtask: bool,
    ) -> None:
        self.context = context
        self.arguments = arguments
        self.attributes = attributes
        self.is_subtask = is_subtask
        self.is_stopped = False
        self.epoch: Any = None
        self.n_epochs = 0

    def begin(self, net: RecurrentNet) -> None:
        """Call the hooks for the beginning, and remember the epochs before it."""
        self.n_before = len(net.history)
        if self.is_subtask:
            self.context.call_on_fit_task_begin(**self.arguments)

    def begin_epoch(self, net: RecurrentNet) -> None:
        """Call the hooks for the beginning of the epoch that the history begins.

        Epochs that a `Checkpoint` restored get their numbers, and no hooks.
        """
        while self.n_epochs < len(net.history) - self.n_before:
            self.epoch = self.context.subcontext(task_name="epoch")
            self.n_epochs += 1
        self.epoch.call_on_fit_task_begin(**self.arguments)

    def end_epoch(self, net: RecurrentNet) -> None:
        """Call the hooks for the end of the epoch; one may ask to stop."""
        attributes = None
        if self.attributes is not None:
            attributes = partial(self.attributes, net)
        self.is_stopped = self.epoch.call_on_fit_task_end(
            **self.arguments, reconstruction_attributes=attributes
        )

    def end(self) -> None:
        """Call the hooks for the end of the training."""
        if self.is_subtask:
            self.context.call_on_fit_task_end(**self.arguments)
