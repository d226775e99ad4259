"""Checkpoints: a fit that was killed resumes where its last file was written."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from inspect import signature
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import skorch.callbacks
import torch
from skorch.callbacks import Callback

from skrnn._compat import Interval, validate_parameter_constraints
from skrnn._data.samples import Samples
from skrnn._data.step_targets import StepValues
from skrnn._training.callbacks import ProgressBar
from skrnn._training.fingerprint import fingerprint
from skrnn._training.state import export_state, import_state
from skrnn._training.state_file import (
    TEMPORARY,
    read_state,
    temporary_path,
    write_state,
)
from skrnn._typing import Estimator, FilePath
from skrnn._warnings import warn_user

if TYPE_CHECKING:
    from skrnn._training.net import RecurrentNet

FORMAT = 1  # of the files; a change makes earlier ones unknown
SUFFIX = ".checkpoint"
# What results depend on to the last bit, besides parameters and data.
PACKAGES = ("skrnn", "torch", "numpy", "numba", "scikit-learn", "skorch")
WITHOUT_EFFECT = ("callbacks", "n_jobs", "verbose")  # or counted in another form


class Checkpoint(Callback):
    """Write the state of a fit to files, from which the same fit resumes.

    If a process is killed during `fit`, call `fit` again, with the same parameters and
    data. The training continues after the last epoch that was written, and ends with
    the same weights, bit for bit, as one that was never killed (on the same machine).
    A finished fit removes its files.

    Parameters
    ----------
    directory : str or path-like
        Folder of the files; it is created if it does not exist. Any number of fits may
        share it, at the same time too, such as those of a search.

    every_n_epochs : int, default=1
        The state is written after each so many epochs, if `min_seconds` have passed,
        and at the end of training.

    min_seconds : float, default=1.0
        Minimum time in seconds between writing a state and the next, or the start of
        training. Writing takes some ten milliseconds, and more for networks of millions
        of parameters; an epoch may take less. Set it to 0 to write after every epoch.

    keep_finished : bool, default=False
        Whether a finished fit keeps its files, so that the same fit finishes at once
        when it is called again. Set it to True for a search that may be killed, which
        otherwise repeats the candidates that had finished, and delete the folder
        afterwards.

    See Also
    --------
    RNNRegressor : Receives this as one of its `callbacks`.
    skorch.callbacks.Checkpoint : Saves the parameters of a net, for other purposes.

    Notes
    -----
    A fit recognises its own files by a SHA-256 of the class, the parameters but
    `verbose`, the data, the number of threads, and the versions of skrnn, torch, numpy,
    numba, scikit-learn and skorch. It ignores damaged files with a warning. Files are
    written under another name and then renamed, and reading them runs no code.

    - `random_state` must be an int; otherwise `fit` raises an error.
    - With `warm_start`, a fit that continues an earlier one is also recognised by the
      state that it starts from.
    - `partial_fit` writes no files, as it trains for one epoch.
    - An error or Ctrl-C ends a fit without removing its files.
    - Other callbacks that have the methods `state_dict` and `load_state_dict` are
      restored with them, after `on_train_begin`. All others start again. skorch's
      `EarlyStopping` is therefore refused; the estimators' own is restored. Rows of
      the history for single batches are not restored.
    - Changes in your own code, such as a callback, are not recognised. Delete the
      folder after them.

    Examples
    --------
    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> from skrnn import Checkpoint, RNNRegressor
    >>> X = np.random.default_rng(0).normal(size=(100, 5))
    >>> with TemporaryDirectory() as folder:
    ...     model = RNNRegressor(callbacks=[Checkpoint(folder)], random_state=0)
    ...     model.fit(X, X[:, 0] * X[:, -1])
    RNNRegressor(callbacks=[Checkpoint('...')], random_state=0)
    """

    _parameter_constraints = {
        "directory": [str, os.PathLike],
        "every_n_epochs": [Interval(Integral, 1, None, closed="left")],
        "min_seconds": [Interval(Real, 0, None, closed="left")],
        "keep_finished": ["boolean"],
    }

    def __init__(
        self,
        directory: FilePath,
        *,
        every_n_epochs: int = 1,
        min_seconds: float = 1.0,
        keep_finished: bool = False,
    ) -> None:
        self.directory = directory
        self.every_n_epochs = every_n_epochs
        self.min_seconds = min_seconds
        self.keep_finished = keep_finished

    def __repr__(self) -> str:
        _, *options = signature(type(self)).parameters.values()
        given = [
            f", {option.name}={getattr(self, option.name)!r}"
            for option in options
            if getattr(self, option.name) != option.default
        ]
        return f"Checkpoint({self.directory!r}{''.join(given)})"


def without_checkpoints(callbacks: list[Any] | None) -> list[Any]:
    """Return the callbacks, or (name, callback) tuples, but for `Checkpoint`."""
    return [cb for cb in callbacks or [] if not isinstance(_unnamed(cb), Checkpoint)]


def _unnamed(callback: Any) -> Any:
    return callback[1] if isinstance(callback, tuple) else callback


def open_checkpoint(
    estimator: Estimator,
    samples: Samples,
    external: Samples | None,
    continuing: bool,
    device: torch.device,
) -> CheckpointFiles | None:
    """Return the files of a fit, or None if it has no `Checkpoint`.

    Parameters
    ----------
    estimator : BaseRecurrent

    samples, external : Samples
        All data, and the validation data or None.

    continuing : bool
        Whether the fit continues an earlier one.

    device : torch device

    Returns
    -------
    files : CheckpointFiles or None

    Raises
    ------
    ValueError
        If the parameters do not allow the fit to be resumed.

    OSError
        If the folder cannot be written to.
    """
    checkpoints = [
        each
        for each in map(_unnamed, estimator.callbacks or [])
        if isinstance(each, Checkpoint)
    ]
    if not checkpoints:
        return None
    _check_parameters(estimator, checkpoints)
    (checkpoint,) = checkpoints
    folder = Path(checkpoint.directory)
    key = _fit_key(estimator, samples, external, continuing, device)
    _check_folder(folder, key)
    return CheckpointFiles(checkpoint, folder, key)


def _check_parameters(estimator: Estimator, checkpoints: list[Checkpoint]) -> None:
    name = type(estimator).__name__
    if len(checkpoints) > 1:
        raise ValueError(
            f"The 'callbacks' parameter of {name} must hold one Checkpoint at most. "
            f"Got {len(checkpoints)}. Remove the others."
        )
    (checkpoint,) = checkpoints
    validate_parameter_constraints(
        checkpoint._parameter_constraints,
        checkpoint.get_params(deep=False),
        caller_name="Checkpoint",
    )
    if not isinstance(estimator.random_state, Integral):
        raise ValueError(
            f"The 'random_state' parameter of {name} must be an int with Checkpoint, "
            "since the same fit must draw the same random numbers when it resumes. Got "
            f"{estimator.random_state!r}. Set random_state=0, say."
        )
    for callback in map(_unnamed, estimator.callbacks):
        kind = callback if isinstance(callback, type) else type(callback)
        is_stopper = issubclass(kind, skorch.callbacks.EarlyStopping)
        if is_stopper and not hasattr(kind, "state_dict"):
            raise ValueError(
                f"The 'callbacks' parameter of {name} must not hold skorch's "
                "EarlyStopping with Checkpoint, which cannot restore it. Got "
                f"{kind.__name__}. Set early_stopping=True instead."
            )


def _check_folder(folder: Path, key: str) -> None:
    """Create a folder, and raise an OSError if files cannot be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = temporary_path(folder / key)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise OSError(
            error.errno,
            "The 'directory' parameter of Checkpoint must be a folder that can be "
            f"written to. Got an error: {error.strerror}. Pass another folder, or "
            "change its permissions",
            str(folder),
        ) from error


def _fit_key(
    estimator: Estimator,
    samples: Samples,
    external: Samples | None,
    continuing: bool,
    device: torch.device,
) -> str:
    """Return what distinguishes a fit from all others, as a text."""
    parameters = estimator.get_params(deep=False)
    start = None
    if continuing:
        states = [export_state(net) for net in estimator._nets()]
        # Not the times of the epochs.
        n_epochs = [len(state.pop("history")) for state in states]
        described = estimator._module_config, estimator._training_config
        start = states, n_epochs, described, estimator._encoder
    parts = {
        "format": FORMAT,
        "class": type(estimator),
        "versions": [_version(package) for package in PACKAGES],
        "parameters": {
            name: value
            for name, value in parameters.items()
            if name not in WITHOUT_EFFECT
        },
        "callbacks": without_checkpoints(estimator.callbacks),
        "n_threads": torch.get_num_threads(),
        "device": str(device),
        "samples": _with_array(samples),
        "external": None if external is None else _with_array(external),
        "start": start,
    }
    try:
        return fingerprint(parts).hex()
    except (TypeError, RecursionError) as error:
        raise ValueError(
            "With Checkpoint, the parameters must be data, or classes, functions and "
            f"objects that can be imported and pickled. Got an error: {error}. Define "
            "classes and functions at the top level of a module."
        ) from error


def _with_array(samples: Samples) -> Samples:
    """Return samples whose y, which users pass in many forms, is an array."""
    if isinstance(samples.y, StepValues):
        return samples
    return replace(samples, y=np.asarray(samples.y))


def _version(package: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(package)
    return None


@dataclass(frozen=True)
class CheckpointFiles:
    """The files of one fit, or of a part of it.

    Attributes
    ----------
    checkpoint : Checkpoint
        What the user asked for.

    folder : Path

    key : str
        That all names of files of this fit begin with.

    part : str, default=''
        Of the fit: continues the names.
    """

    checkpoint: Checkpoint
    folder: Path
    key: str
    part: str = ""

    def of_part(self, part: str) -> CheckpointFiles:
        """Return the files of a part of the fit."""
        return replace(self, part=f"{self.part}-{part}")

    def callback(self) -> CheckpointFile:
        """Return the callback that writes and restores the net of this part."""
        return CheckpointFile(
            self.folder / f"{self.key}{self.part}{SUFFIX}",
            self.key,
            self.checkpoint.every_n_epochs,
            self.checkpoint.min_seconds,
        )

    def finish(self) -> None:
        """Remove what a finished fit does not need."""
        pattern = f"{self.key}*"
        if self.checkpoint.keep_finished:
            pattern += TEMPORARY  # of a process that was killed
        for path in self.folder.glob(pattern):
            with suppress(OSError):  # the fit is complete without this
                path.unlink()


class CheckpointFile(Callback):
    """Writes the state of one net to a file, and restores it.

    It is the last callback of the net, so that it writes what the others have done.

    Parameters
    ----------
    path : Path
        Of the file.

    key : str
        Of the fit.

    every_n_epochs, min_seconds : int, float
        As in `Checkpoint`.
    """

    def __init__(
        self, path: Path, key: str, every_n_epochs: int, min_seconds: float
    ) -> None:
        self.path = path
        self.key = key
        self.every_n_epochs = every_n_epochs
        self.min_seconds = min_seconds

    def on_train_begin(self, net: RecurrentNet, **kwargs: Any) -> None:
        """Remember how many epochs were trained before, and the time."""
        self.n_before_ = len(net.history)
        self.last_time_ = time.monotonic()

    def on_epoch_end(self, net: RecurrentNet, **kwargs: Any) -> None:
        """Write the state, unless it is too early, or the last epoch."""
        n_epochs = len(net.history) - self.n_before_
        is_due = time.monotonic() - self.last_time_ >= self.min_seconds
        if n_epochs % self.every_n_epochs == 0 and is_due and n_epochs < net.max_epochs:
            self.write(net, net.max_epochs - n_epochs)

    def write(self, net: RecurrentNet, epochs_left: int = 0) -> None:
        """Write the state of a net after a complete epoch.

        Parameters
        ----------
        net : RecurrentNet
            In training.

        epochs_left : int, default=0
            To train from this state.
        """
        state = {
            "key": self.key,
            "epochs_left": epochs_left,
            "net": export_state(net),
            "step": net.step_,
            "lrs": [float(group["lr"]) for group in net.optimizer_.param_groups],
            "best_losses": net.best_losses_,
            "engine_name": net.engine_name_,
            "callbacks": {
                name: callback.state_dict()
                for name, callback in net.callbacks_
                if hasattr(callback, "state_dict")
            },
        }
        try:
            write_state(self.path, state)
        except OSError as error:
            raise OSError(
                error.errno,
                f"Checkpoint could not write after epoch {len(net.history)}: "
                f"{error.strerror}. Make room in the folder, and call fit again: it "
                "resumes from the last file",
                str(self.path.parent),
            ) from error
        self.last_time_ = time.monotonic()

    def restore(self, net: RecurrentNet) -> int:
        """Continue from the file, if there is one.

        Parameters
        ----------
        net : RecurrentNet
            In training, before its first epoch.

        Returns
        -------
        epochs_left : int
        """
        state = self._read()
        if state is None:
            return net.max_epochs
        net.history.clear()
        import_state(net, state["net"])
        net.step_, net.best_losses_ = state["step"], state["best_losses"]
        net.engine_name_ = state["engine_name"]  # if no epoch is left
        for group, lr in zip(net.optimizer_.param_groups, state["lrs"], strict=True):
            group["lr"] = lr
        for name, callback in net.callbacks_:
            if name in state["callbacks"]:
                callback.load_state_dict(state["callbacks"][name])
            elif isinstance(callback, ProgressBar):
                callback.skip(len(net.history) - self.n_before_)
        return state["epochs_left"]

    def _read(self) -> dict[str, Any] | None:
        """Return the state in the file, None without one that can be used."""
        try:
            state = read_state(self.path)
            if state["key"] != self.key:
                raise ValueError("it belongs to another fit")
        except FileNotFoundError:
            return None
        except Exception as error:  # whatever the file holds, the fit goes on
            warn_user(
                "A checkpoint must be a file as skrnn wrote it. Ignored "
                f"{str(self.path)!r}: {error}. This network is trained anew; remove "
                "the file if it remains."
            )
            return None
        return state
