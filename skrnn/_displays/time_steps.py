"""A picture of how much each time step of a sequence matters."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from sklearn.base import is_regressor
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state

from skrnn._data.sequences import FIXED, split_sequences
from skrnn._displays.plotting import (
    Axes,
    BarContainer,
    Figure,
    SubFigure,
    find_network,
    import_pyplot,
    make_axes,
    merge_style,
    use_integer_ticks,
)
from skrnn._typing import AnyArray, Estimator, SequencesLike, TargetsLike

if TYPE_CHECKING:
    from skrnn._base import BaseRecurrent


class TimeStepDisplay:
    """How much each time step matters to a network.

    Steps are counted from the end of a sequence: 0 is the last one. Create it by
    `from_estimator`; all parameters are stored as attributes.

    Parameters
    ----------
    steps : ndarray of shape (n_groups,)
        Place of each time step, or the centre of each group of steps, up to 0.

    importances : ndarray of shape (n_groups,)
        Importance of each.

    deviations : ndarray of shape (n_groups,) or None, default=None
        Standard deviations of the importances, drawn as error bars.

    width : int, default=1
        Number of time steps in a group.

    importance_name : str or None, default=None
        Label of the y axis. None means 'Importance'.

    name : str or None, default=None
        Name of the estimator, for the legend.

    Attributes
    ----------
    bars_ : matplotlib BarContainer
        A bar for each step or group.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    RNNRegressor : Its `attention_weights` are those of each sequence.
    sklearn.inspection.permutation_importance : Importance of the columns of a table.

    Notes
    -----
    'permutation' is the permutation importance of Breiman, and the model reliance of
    Fisher, Rudin and Dominici, of a time step: the decrease of the score when the
    values of all features at that step are exchanged between sequences, at random. What
    a step tells about others stays in these, so that neighbours that are alike share
    their importance: join them by `width`. Of sequences that differ in length, those
    that have a step exchange it among themselves; the score is that of all sequences.

    'attention' is the mean over sequences of the weights of `pooling='attention'`. They
    tell which hidden states the output reads, and these also hold what came before: a
    weight is no proof that the input at a step matters, see Jain and Wallace.

    References
    ----------
    Breiman: Random forests. Machine Learning 45, 2001.

    Fisher, Rudin, Dominici: All models are wrong, but many are useful: learning a
    variable's importance by studying an entire class of prediction models
    simultaneously. Journal of Machine Learning Research 20, 2019.

    Jain, Wallace: Attention is not explanation. NAACL 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn import RNNRegressor, TimeStepDisplay
    >>> X = np.random.default_rng(0).normal(size=(200, 6))
    >>> y = X[:, 1] + 2 * X[:, -1]
    >>> model = RNNRegressor(random_state=0).fit(X, y)
    >>> display = TimeStepDisplay.from_estimator(model, X, y, random_state=0)
    >>> display.steps[np.argsort(display.importances)[-2:]]
    array([-4.,  0.])
    """

    bars_: BarContainer
    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(
        self,
        *,
        steps: AnyArray,
        importances: AnyArray,
        deviations: AnyArray | None = None,
        width: int = 1,
        importance_name: str | None = None,
        name: str | None = None,
    ) -> None:
        self.steps = steps
        self.importances = importances
        self.deviations = deviations
        self.width = width
        self.importance_name = importance_name
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        X: SequencesLike,
        y: TargetsLike | None = None,
        *,
        method: Literal["auto", "attention", "permutation"] = "auto",
        scoring: str | Callable[..., Any] | None = None,
        n_repeats: int = 5,
        width: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        name: str | None = None,
        ax: Axes | None = None,
        bar_kwargs: dict[str, Any] | None = None,
    ) -> Self:
        """Compute and draw the importance of each time step.

        Parameters
        ----------
        estimator : estimator of skrnn, Pipeline or search
            Fitted. Of a pipeline, the steps are those of the X that the network
            receives.

        X : array-like, DataFrame, or list of arrays
            Sequences, in any form that the estimator accepts; better not those that it
            was trained on.

        y : array-like, default=None
            Targets, which 'permutation' needs.

        method : {'auto', 'attention', 'permutation'}, default='auto'
            What importance is, see Notes. 'auto' means 'attention' if the network was
            fitted with `pooling='attention'`, and otherwise 'permutation'.

        scoring : str, callable or None, default=None
            Score whose decrease 'permutation' computes, as in `cross_val_score`. None
            means the `score` of the network: R squared or accuracy.

        n_repeats : int, default=5
            How often 'permutation' exchanges each step. The cost is as many predictions
            of X for each step.

        width : int or None, default=None
            Number of consecutive steps that 'permutation' exchanges together. None
            means the `patch_size_` of the network.

        random_state : int, RandomState instance or None, default=None
            Controls which sequences exchange their steps.

        name : str or None, default=None
            Name in the legend. None means the name of the class.

        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a figure.

        bar_kwargs : dict, default=None
            Keyword arguments of `bar`.

        Returns
        -------
        display : TimeStepDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.

        TypeError
            If there is no network at its end.

        ValueError
            If the network cannot say what `method` asks for, or if y is missing.
        """
        caller = f"{cls.__name__}.from_estimator"
        import_pyplot(caller)
        network, X = find_network(estimator, caller, X)
        if method not in ("auto", "attention", "permutation"):
            raise ValueError(
                f"method must be 'auto', 'attention' or 'permutation'. Got {method!r}."
            )
        if method == "auto":
            has_weights = network.pooling_ == "attention"
            method = "attention" if has_weights else "permutation"
        if method == "attention":
            if network.pooling_ != "attention":
                raise ValueError(
                    "method='attention' needs a network with pooling='attention'. Got "
                    f"pooling={network.pooling_!r}. Use method='permutation'."
                )
            width = network.patch_size_
            importances, deviations = mean_attention(network, X)
            importance_name = "Mean attention weight"
        else:
            if y is None:
                raise ValueError(
                    "y must be passed for method='permutation', which computes the "
                    "decrease of a score. Got None."
                )
            width = network.patch_size_ if width is None else width
            for number, of in ((width, "width"), (n_repeats, "n_repeats")):
                if not isinstance(number, Integral) or number < 1:
                    raise ValueError(
                        f"{of} must be an int from 1 upwards. Got {number!r}."
                    )
            scores = permutation_decreases(
                network, X, y, scoring, n_repeats, width, random_state
            )
            importances, deviations = scores.mean(axis=1), scores.std(axis=1)
            score_name = scoring if isinstance(scoring, str) else "score"
            if scoring is None:
                score_name = "R squared" if is_regressor(network) else "accuracy"
            importance_name = f"Decrease of {score_name.replace('_', ' ')}"
        n_groups = len(importances)
        last = np.arange(n_groups - 1, -1, -1) * width
        display = cls(
            steps=(1 - width) / 2 - last,
            importances=importances,
            deviations=deviations,
            width=width,
            importance_name=importance_name,
            name=type(network).__name__ if name is None else name,
        )
        return display.plot(ax, bar_kwargs=bar_kwargs)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        name: str | None = None,
        bar_kwargs: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the importances.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a figure.

        name : str or None, default=None
            Name in the legend. None means the name of the display.

        bar_kwargs : dict, default=None
            Keyword arguments of `bar`.

        Returns
        -------
        display : TimeStepDisplay
            This display.
        """
        ax = make_axes(self, ax)
        name = self.name if name is None else name
        defaults = {"color": "tab:blue", "width": 0.8 * self.width, "label": name}
        style = merge_style(defaults, bar_kwargs, "Rectangle")
        self.bars_ = ax.bar(
            self.steps,
            self.importances,
            yerr=self.deviations,
            error_kw={"elinewidth": 1.0, "ecolor": "gray"},
            **style,
        )
        ax.set(
            xlabel="Time step, counted from the last",
            ylabel=self.importance_name or "Importance",
        )
        use_integer_ticks(ax)
        if name is not None:
            ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self


def mean_attention(
    network: BaseRecurrent, X: SequencesLike
) -> tuple[AnyArray, AnyArray]:
    """Return the mean and the deviation of attention weights, oldest step first.

    Parameters
    ----------
    network : BaseRecurrent
        Of an ensemble, the weights of the members are averaged.

    X : array-like
        Sequences; those that differ in length are aligned at their ends.

    Returns
    -------
    mean, deviation : ndarrays of shape (n_steps,)
        Over the sequences that have a step.
    """
    of_members = [
        [np.asarray(row) for row in member.attention_weights(X)]
        for member in network.members_
    ]
    rows = [np.mean(row, axis=0) for row in zip(*of_members, strict=True)]
    longest = max(map(len, rows))
    table = np.full((len(rows), longest), np.nan)
    for cells, row in zip(table, rows, strict=True):
        cells[longest - len(row) :] = row
    return np.nanmean(table, axis=0), np.nanstd(table, axis=0)


def permutation_decreases(
    network: BaseRecurrent,
    X: SequencesLike,
    y: TargetsLike,
    scoring: str | Callable[..., Any] | None,
    n_repeats: int,
    width: int,
    random_state: int | np.random.RandomState | None,
) -> AnyArray:
    """Return the decrease of a score when steps are exchanged between sequences.

    Parameters
    ----------
    network : BaseRecurrent

    X, y : array-like
        Sequences and targets.

    scoring : str, callable or None
        As in `cross_val_score`.

    n_repeats, width : int
        See `TimeStepDisplay.from_estimator`.

    random_state : int, RandomState instance or None

    Returns
    -------
    decreases : ndarray of shape (n_groups, n_repeats)
        Of the oldest group of steps first.
    """
    rng, score = check_random_state(random_state), check_scoring(network, scoring)
    steps = _Steps(network, X)
    baseline = score(network, steps.as_X(steps.values), y)
    n_groups = -(-int(steps.lengths.max()) // width)
    decreases = np.empty((n_groups, n_repeats))
    for group in range(n_groups):
        for repeat in range(n_repeats):
            values = steps.permute(group * width, width, rng)
            decreases[-1 - group, repeat] = baseline - score(
                network, steps.as_X(values), y
            )
    return decreases


class _Steps:
    """The time steps of X end to end, and X with other values."""

    def __init__(self, network: BaseRecurrent, X: SequencesLike) -> None:
        sequences = network._check_X(X)
        self.is_fixed = network._input_kind == FIXED
        self.lengths = sequences.n_steps()
        padded = sequences.padded_steps  # of token ids
        self.padded = self.lengths if padded is None else padded
        self.is_rectangular = self.is_fixed or not sequences.ragged
        self.values = sequences.values.reshape(-1, sequences.n_features)
        self.ends = np.cumsum(self.lengths)

    def permute(self, first: int, width: int, rng: np.random.RandomState) -> AnyArray:
        """Return values with some steps, counted from the end, exchanged."""
        values = self.values.copy()
        counts = np.clip(self.lengths - first, 0, width)
        for count in np.unique(counts[counts > 0]):
            rows = np.flatnonzero(counts == count)
            steps = first + 1 + np.arange(count)
            places = self.ends[rows][:, None] - steps
            values[places] = self.values[places[rng.permutation(len(rows))]]
        return values

    def as_X(self, values: AnyArray) -> AnyArray:
        """Return X with these values, in a form that the network accepts."""
        pieces = split_sequences(values, self.lengths)
        for i in np.flatnonzero(self.padded > self.lengths):
            gap = np.zeros((self.padded[i] - self.lengths[i], 1), values.dtype)
            pieces[i] = np.concatenate([pieces[i], gap])
        return np.stack(list(pieces)) if self.is_rectangular else pieces
