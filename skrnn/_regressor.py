"""The regressor."""

import math
import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skrnn._base import BaseRecurrent
from skrnn._compat import Interval, StrOptions
from skrnn._data.normalization import WINDOW_NORMS, NormalizedSequences
from skrnn._data.scaling import feature_scaling
from skrnn._data.step_targets import target_of_row
from skrnn._data.targets import (
    ROW_LOSSES,
    QuantileTarget,
    RegressionTarget,
    check_real_targets,
)
from skrnn._inference.forecasting import run_free

# On fewer rows chance decides whether training improves on the linear start.
FEWEST_TO_TRY = 40
# Trials go on until about so many rows were held out, but not more often than that.
ROWS_TO_JUDGE_BY, MOST_TRIALS = 300, 5


def _knows_quantiles(estimator):
    target = getattr(estimator, "_target", estimator)  # as fitted, or to be
    loss = target_of_row(target).loss
    if loss == "quantile":
        return True
    raise AttributeError(
        f"predict_quantiles is available with loss='quantile' only. Got loss={loss!r}."
    )


class RNNRegressor(RegressorMixin, BaseRecurrent):
    """Recurrent network for one or several real targets of each sequence.

    Reads each sequence step by step with an RNN, GRU or LSTM and maps its pooled
    states to the targets by a linear layer. Prefer it to a regressor on the flattened
    sequence when sequences differ in length, when there are many steps, or when what
    matters can stand at any step. X and y are standardised inside.

    Parameters
    ----------
    hidden_size : int or tuple of int, default=64
        Hidden units of each layer and direction; a tuple has one size per layer.

    num_layers : int, default=1
        Recurrent layers on top of each other.

    cell_type : {'rnn', 'gru', 'lstm'}, default='rnn'
        The recurrence: Elman's, gated recurrent units, or long short-term memory. The
        plain 'rnn' is quick; for more than about twenty steps the gated cells mostly
        learn better.

    nonlinearity : {'tanh', 'relu'}, default='tanh'
        Of the 'rnn' cell; the other cells fix their own.

    dropout : float in [0, 1), default=0.0
        Probability of zeroing a value between layers and before the output layer,
        in training.

    bidirectional : bool, default=False
        Whether each layer also reads the sequence from its end to its beginning.

    pooling : {'last', 'mean', 'max', 'attention'}, default='last'
        How the last layer's states become one vector: the state after the last step
        (of each direction), the mean or maximum over all valid steps, or their mean
        by weights that are learned, see `attention_weights`. 'last' with
        `return_sequences`, which pools nothing.

    initial_state : {'zeros', 'normal', 'learned', 'carry'}, default='zeros'
        What each layer starts from: zeros; in training noise of deviation 1, and
        zeros in `predict`; states that are learned; or in training the last states of
        the batch before, row by row and without a gradient into it, and zeros at the
        start of an epoch and in `predict`. 'carry' takes the rows in their order: row
        i of a batch goes on where row i of the batch before ended.

    embedding_dim : int or None, default=None
        Length of the vectors that token ids are looked up as, learned with the rest.
        X then holds ids, as `TokenEncoder` gives them: whole numbers, 0 for padding
        at the end of a row, 1 for unknown tokens. None: X holds features.

    return_sequences : bool, default=False
        Whether there is a target for each time step, instead of one per sequence.

    standardize : bool, default=True
        Whether each feature of X is brought to mean 0 and deviation 1 over all valid
        steps of the training rows. Columns of only zeros and ones stay as they are.

    loss : {'squared_error', 'absolute_error', 'huber', 'quantile'}, \
default='squared_error'
        Of one output, in standardised units of y; 'huber' turns from squared to
        absolute at one standard deviation. With 'quantile' `predict` gives the median
        and `predict_quantiles` what `quantiles` names.

    quantiles : tuple of float in (0, 1), default=(0.1, 0.5, 0.9)
        What `predict_quantiles` gives with `loss='quantile'`, in ascending order.

    window_norm : {'last', 'standard', 'difference'} or None, default=None
        How the column(s) of X that y continues are expressed before they are
        standardised: with the window's last value taken off, in the window's own mean
        and deviation, or as first differences. y is measured alike and restored in
        `predict`. Use it for series that wander off the range of training;
        'difference' wants one step more, since it makes one less.

    target_feature : int, list of int or None, default=None
        Which feature of X y continues, in the same units: one for all outputs, or a
        list with one for each. None is 0 for univariate X. For `window_norm`,
        `ar_order` and `forecast` only.

    ar_order : int, default=0
        How many last values of `target_feature`, after `window_norm`, also reach the
        output by a linear layer beside the network, with the other features of the
        last step. Training starts at the Ridge regression on these, with a penalty
        chosen by leaving one row out, and the network's own output at zero.

    max_epochs : int, default=60
        Passes over the training rows; with `warm_start`, of each call of `fit`.

    lr : float, default=1e-2
        Learning rate; with a schedule, its highest value.

    batch_size : int, default=32
        Rows of one step of the optimiser. Rows that differ in length are put together
        with rows of similar length where padding would be more than a tenth.

    optimizer : {'adam', 'adamw', 'sgd', 'rmsprop', 'lbfgs'} or class, default='adamw'
        A name or a subclass of `torch.optim.Optimizer`. 'lbfgs' searches along lines
        and wants `lr=1.0`, `lr_schedule=None` and all rows in one batch.

    optimizer_params : dict or None, default=None
        Further keyword arguments of the optimiser, for example
        `{'momentum': 0.9}`.

    weight_decay : float or 'auto', default='auto'
        Pull of the optimiser on all weights towards zero: of 'adamw' the share that
        they lose in a step, divided by the learning rate; of the others the factor of
        an L2 penalty. 'auto' is 0.1 for 'adamw' and the optimiser's own default for
        the others. 'lbfgs' has none.

    max_grad_norm : float or None, default=1.0
        Gradients longer than this are shortened to it; None leaves them. Not applied
        with 'lbfgs', whose line search needs the gradient as it is.

    lr_schedule : {'one_cycle', 'cosine', 'plateau'} or None, default='one_cycle'
        'one_cycle' and 'cosine' follow a fixed curve over the `max_epochs` of a call;
        'plateau' halves the rate when the validation loss, or without one the
        training loss, has not fallen for 5 epochs. `partial_fit` uses none.

    tbptt_steps : int or None, default=None
        Steps that gradients go back through, for very long sequences; None for all.
        With `return_sequences` the optimiser takes a step for each chunk of so many,
        and the state is handed on to the next. With one target per sequence all but
        the last so many steps of a sequence only bring the state up to date.

    patience : int, default=10
        Epochs without improvement before early stopping.

    tol : float, default=1e-4
        Smallest fall of the validation loss that counts as an improvement.

    callbacks : list of skorch callbacks or None, default=None
        Copied in `fit`, so that the parameter stays as it was; they see encoded y. One
        that sets the learning rate needs `lr_schedule=None`.

    early_stopping : bool or 'auto', default='auto'
        Whether to stop when the validation loss no longer improves, and to restore
        the weights of the best epoch. 'auto' does so with `ar_order` if `fit` gets
        `X_val`. With `ar_order` but no `X_val` it first trains on a part of the rows
        and learns on the others how far it is worth going from the linear start to
        what was trained, with other parts in turn until 300 rows were held out, at
        most five times (`validation_loss_curve_` is their mean); then it trains on all
        rows and goes so far. That takes two to six times as long. Not on fewer than 40
        rows, with `return_sequences`, nor where most of the rest overlaps the
        validation rows. Without `ar_order` it is False.

    validation_fraction : float in (0, 1), default=0.1
        Share of the rows set aside by `early_stopping` if `fit` gets no `X_val`.

    validation_strategy : {'random', 'last'}, default='last'
        Which rows are set aside: random ones, or the last. Windows of one length that
        overlap the last part are then left out of training. For windows of one series
        use 'last': random ones share steps with those that are trained on.

    warm_start : bool, default=False
        Whether `fit` goes on from the weights, optimiser and scaling of the last call.
        Then Ctrl-C also keeps the finished epochs; without it `fit` is undone.

    device : str or torch.device, default='cpu'
        Where to compute: 'cpu', 'cuda', 'cuda:1', ..., or 'auto' for a GPU if there
        is one. Computation is float32 there.

    n_jobs : int or None, default=None
        Threads within an operation; None is 1, -1 all cores. Results differ in the
        last digits between numbers of threads.

    random_state : int, RandomState instance or None, default=None
        Of initial weights, order of batches, dropout and validation rows. torch's
        global generator is neither read nor changed.

    verbose : int, default=0
        1 shows a progress bar with losses and time left; 0 prints nothing.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The training engine.

    module_ : torch.nn.Module
        The network, with the weights of the last, or of the best, epoch.

    n_iter_ : int
        Epochs run.

    loss_curve_ : list of float
        Mean training loss of each epoch; of a regressor in standardised units of y.

    validation_loss_curve_ : list of float or None
        Validation loss after each epoch; None without validation rows.

    best_epoch_ : int or None
        The epoch, counted from 1, whose weights were restored by `early_stopping`.

    history_ : DataFrame
        A row an epoch with losses, learning rate, seconds, and what callbacks record.

    n_outputs_ : int
        Raw outputs of the network.

    device_ : str
        Where it was trained.

    n_features_in_ : int
        Steps of a sequence for 2-D X, features of a step for 3-D and ragged X.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names, if X was a DataFrame with string columns.

    See Also
    --------
    RNNClassifier : The same for labels.
    SlidingWindow : Turns the rows of a time series into windows.
    make_windows : Cuts a series into windows and what follows them.

    Notes
    -----
    X with channels before time, as aeon, sktime and tsai have it, needs
    `X.transpose(0, 2, 1)`. Pass float32 for speed.

    With `window_norm` the values :math:`x_1, ..., x_L` of a target column in one
    window, and what follows them, :math:`y`, become

    - 'last': :math:`x_t - x_L` and :math:`y - x_L`;
    - 'standard': :math:`(x_t - m) / s` and :math:`(y - m) / s`, with the window's own
      mean :math:`m` and deviation :math:`s`;
    - 'difference': :math:`x_t - x_{t-1}` for :math:`t > 1`, and :math:`y - x_L`.

    For forecasts `window_norm='difference'` with `ar_order` is a good start: it is
    seldom worse than Ridge regression on the same differences, and better where there
    is more to learn than a linear model can say.

    References
    ----------
    Elman: Finding structure in time. Cognitive Science 14, 1990.

    Hochreiter, Schmidhuber: Long short-term memory. Neural Computation 9, 1997.

    Cho et al.: Learning phrase representations using RNN encoder-decoder for
    statistical machine translation. EMNLP 2014.

    Lai et al.: Modeling long- and short-term temporal patterns with deep neural
    networks. SIGIR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn import RNNRegressor, make_windows
    >>> wave = np.sin(np.arange(200) / 5).astype(np.float32)
    >>> X, y = make_windows(wave, window_size=10)
    >>> model = RNNRegressor(hidden_size=16, random_state=0).fit(X[:150], y[:150])
    >>> model.predict(X[150:]).shape
    (40,)
    >>> bool(model.score(X[150:], y[150:]) > 0.99)
    True
    """

    _parameter_constraints: dict = {
        **BaseRecurrent._parameter_constraints,
        "loss": [StrOptions({*ROW_LOSSES, "quantile"})],
        "quantiles": [tuple, list],
        "window_norm": [StrOptions(set(WINDOW_NORMS)), None],
        "target_feature": [Interval(Integral, 0, None, closed="left"), list, None],
        "ar_order": [Interval(Integral, 0, None, closed="left")],
        "early_stopping": ["boolean", StrOptions({"auto"})],
    }

    def __init__(
        self,
        hidden_size=64,
        *,
        num_layers=1,
        cell_type="rnn",
        nonlinearity="tanh",
        dropout=0.0,
        bidirectional=False,
        pooling="last",
        initial_state="zeros",
        embedding_dim=None,
        return_sequences=False,
        standardize=True,
        loss="squared_error",
        quantiles=(0.1, 0.5, 0.9),
        window_norm=None,
        target_feature=None,
        ar_order=0,
        max_epochs=60,
        lr=1e-2,
        batch_size=32,
        optimizer="adamw",
        optimizer_params=None,
        weight_decay="auto",
        max_grad_norm=1.0,
        lr_schedule="one_cycle",
        tbptt_steps=None,
        patience=10,
        tol=1e-4,
        callbacks=None,
        early_stopping="auto",
        validation_fraction=0.1,
        validation_strategy="last",
        warm_start=False,
        device="cpu",
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.cell_type = cell_type
        self.nonlinearity = nonlinearity
        self.dropout = dropout
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.initial_state = initial_state
        self.embedding_dim = embedding_dim
        self.return_sequences = return_sequences
        self.standardize = standardize
        self.loss = loss
        self.quantiles = quantiles
        self.window_norm = window_norm
        self.target_feature = target_feature
        self.ar_order = ar_order
        self.max_epochs = max_epochs
        self.lr = lr
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.optimizer_params = optimizer_params
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.lr_schedule = lr_schedule
        self.tbptt_steps = tbptt_steps
        self.patience = patience
        self.tol = tol
        self.callbacks = callbacks
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.validation_strategy = validation_strategy
        self.warm_start = warm_start
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch with a constant learning rate.

        The first call fixes the scaling of X and y.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, as for `fit`.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative; only their ratios within a call count.

        Returns
        -------
        self : object
            The estimator, trained for one epoch more.
        """
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X):
        """Predict the targets of sequences.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, as for `fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            In the units of y; float64 unless y was float32. With `return_sequences`
            of each time step: `(n_samples, n_timesteps)` or `(n_samples, n_timesteps,
            n_outputs)`, and of X in a list a 1-D object array of arrays.
        """
        return self._answer(X, lambda target, *answer: target.decode(*answer))

    @available_if(_knows_quantiles)
    def predict_quantiles(self, X):
        """Predict the `quantiles` of the targets with `loss='quantile'`.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, as for `fit`.

        Returns
        -------
        y : ndarray of shape (n_samples, n_quantiles) or \
(n_samples, n_outputs, n_quantiles)
            In the units of y and the order of `quantiles`; they do not cross. With
            `return_sequences` of each time step, as `predict` answers.
        """
        return self._answer(X, lambda target, *answer: target.decode_quantiles(*answer))

    def forecast(self, X, n_steps, future_features=None):
        """Run free: predict step after step, each from the predictions before it.

        For networks that predict the next value of their `target_feature` (one step
        after the end of X, or with `return_sequences` after every step). What is
        predicted takes the place of the next time step.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            What is known, one sequence for each forecast; with `return_sequences`
            one step is enough.

        n_steps : int
            Steps to predict.

        future_features : array-like of shape (n_samples, n_steps, n_others) or \
(n_steps, n_others), default=None
            The features of X that are not predicted, in their order, at the steps to
            come; the same for all sequences without the first axis. Those of the last
            step are not needed and may be left out. Required if there are any.

        Returns
        -------
        y : ndarray of shape (n_samples, n_steps) or (n_samples, n_steps, n_outputs)
            In the units of y. With `loss='quantile'` each step is the median given
            the medians before it.

        Raises
        ------
        ValueError
            If the outputs do not continue features of X one by one, as token ids never
            do; if features to come are missing; for a two-way network with an output
            per step; or if the values grow beyond all bounds.

        Notes
        -----
        Networks with an output per step carry their state, at a constant cost per
        step. Others see a window that slides on, as long as the longest sequence in
        `fit`; where X is shorter it grows until then. The last steps of forecasts
        rest on predictions alone: errors add up, and a network trained on y further
        ahead than the next step gives nonsense without an error.

        References
        ----------
        Taieb, Bontempi, Atiya, Sorjamaa: A review and comparison of strategies for
        multi-step ahead time series forecasting. Expert Systems with Applications 39,
        2012.
        """
        check_is_fitted(self)
        return run_free(self, X, n_steps, future_features)

    def score(self, X, y, sample_weight=None):
        """Return the coefficient of determination, R squared.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, as for `fit`.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            True targets; with `return_sequences` of each time step, as for `fit`.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights; with `return_sequences` of sequences or of time steps.

        Returns
        -------
        score : float
            At most 1; 0 for a constant. A mean over outputs. With `return_sequences`
            over all time steps together.
        """
        if self.return_sequences:
            return self._score_steps(r2_score, X, y, sample_weight)
        return super().score(X, y, sample_weight)

    def _learn_expression(self, sequences, y, weights):
        steps = self.return_sequences
        y = check_real_targets(y.flat if steps else y)
        self._columns, self._target_feature = None, self.target_feature
        self._longest, self._every_step = int(sequences.longest), steps
        named = self.target_feature is not None
        if named or self.window_norm is not None or self.ar_order > 0:
            self._columns = self._target_columns(sequences.n_features, y)
        self._expression = self.window_norm, None
        self._check_expression()
        if self.window_norm == "standard":
            # A window that is flat by its own series' measure has no unit.
            rows = np.arange(len(sequences))
            if weights is not None:
                rows = np.flatnonzero(weights)
                weights = weights[rows]
            _, scale = feature_scaling(sequences, rows, weights)
            self._expression = self.window_norm, 1e-3 * scale[self._columns]
        expressed = self._express(sequences)
        if expressed is not sequences:
            self._check_continuation(expressed, y)
        return expressed

    def _express(self, sequences):
        kind, floor = self._expression
        if kind is None:
            return sequences
        self._check_lengths(sequences, kind)
        return NormalizedSequences(
            sequences, kind, self._columns, floor, self._every_step
        )

    def _check_expression(self):
        owner = type(self).__name__
        if self.return_sequences and self.window_norm in ("last", "standard"):
            raise ValueError(
                f"The 'window_norm' parameter of {owner} must be None or 'difference' "
                f"with return_sequences=True, since {self.window_norm!r} measures a "
                "step by those that follow it. Use 'difference', or one target per "
                "sequence."
            )
        if self.embedding_dim is not None:
            for name in ("window_norm", "ar_order"):
                if getattr(self, name):
                    raise ValueError(
                        f"The '{name}' parameter of {owner} must be left out with "
                        "embedding_dim: ids of tokens are no quantities. Got "
                        f"{getattr(self, name)!r}."
                    )

    def _target_columns(self, n_features, y):
        """Return the features that y continues, one for all outputs or one for each."""
        owner, given = type(self).__name__, self.target_feature
        if given is None:
            if n_features > 1:
                raise ValueError(
                    f"The 'target_feature' parameter of {owner} must name the feature "
                    "of X that y continues, for window_norm and ar_order. Got None "
                    f"with {n_features} features per time step."
                )
            given = 0
        columns = given if isinstance(given, list) else [given]
        whole = all(
            isinstance(c, Integral) and not isinstance(c, bool) for c in columns
        )
        if not whole or not all(0 <= c < n_features for c in columns):
            raise ValueError(
                f"The 'target_feature' parameter of {owner} must name features of X, "
                f"from 0 to {n_features - 1}. Got {given!r}."
            )
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        if isinstance(given, list) and len(columns) != n_outputs:
            raise ValueError(
                f"The 'target_feature' parameter of {owner} must have one feature for "
                f"each of the {n_outputs} outputs if it is a list. Got {given!r}."
            )
        return columns

    def _check_lengths(self, sequences, kind):
        shortest = sequences.values.shape[1]
        if sequences.lengths is not None:
            shortest = sequences.lengths.min()
        if kind == "difference" and shortest < 2 and not self._every_step:
            raise ValueError(
                "X must have at least 2 time steps in every sequence for "
                f"window_norm='difference'. Got {shortest}."
            )

    def _check_continuation(self, expressed, y):
        """Warn if y does not look like what comes after `target_feature`."""
        y = y.reshape(len(y), -1)
        change = y - expressed.reference()[0]
        shrunk = np.var(change, axis=0) < np.var(y, axis=0)
        if len(y) < 10 or shrunk.any():  # of a few rows chance decides
            return
        # A series with strong seasons changes by more than it varies, but it stays
        # where it is and resembles what it was some steps ago.
        near = np.abs(np.mean(change, axis=0)) <= np.std(y, axis=0)
        if not (near & (expressed.resemblance(y) > 0.5)).any():
            warnings.warn(
                f"window_norm={self.window_norm!r} expects y to continue feature "
                f"{self._columns} of X, in its units, but y does not resemble it. "
                "Check target_feature, or set window_norm=None.",
                UserWarning,
                stacklevel=5,
            )

    def _ar_plan(self):
        columns = tuple(self._columns or ()) if self.ar_order > 0 else ()
        return {"ar_order": self.ar_order, "ar_columns": columns}

    def _stops_early(self, X_val):
        if self.early_stopping == "auto":
            return self.ar_order > 0 and X_val is not None
        return self.early_stopping

    def _n_trials(self, rows):
        if self.early_stopping != "auto" or self.ar_order == 0:
            return 0
        if len(rows) < FEWEST_TO_TRY or self.return_sequences:
            return 0
        in_a_part = self.validation_fraction * len(rows)
        return min(math.ceil(ROWS_TO_JUDGE_BY / in_a_part), MOST_TRIALS)

    def _make_target(self, y, classes, one_epoch):
        if self.loss == "quantile":
            return QuantileTarget(self._check_quantiles())
        return RegressionTarget(self.loss)

    def _check_quantiles(self):
        given = self.quantiles
        numbers = all(
            isinstance(q, Real) and not isinstance(q, bool) and 0 < q < 1 for q in given
        )
        if not len(given) or not numbers or list(given) != sorted(set(given)):
            raise ValueError(
                f"The 'quantiles' parameter of {type(self).__name__} must hold numbers "
                f"between 0 and 1 in ascending order. Got {given!r}."
            )
        return tuple(float(q) for q in given)

    def _continue_target(self):
        if self.target_feature != self._target_feature:
            raise ValueError(
                "The 'target_feature' parameter must stay as it was while training "
                f"goes on with warm_start or partial_fit. Got {self.target_feature!r} "
                f"after {self._target_feature!r}. Set warm_start=False and call fit."
            )
        if self.window_norm != self._expression[0]:
            raise ValueError(
                "The 'window_norm' parameter must stay as it was while training goes "
                f"on with warm_start or partial_fit. Got {self.window_norm!r} after "
                f"{self._expression[0]!r}. Set warm_start=False and call fit."
            )
        target = super()._continue_target()
        of_row = target_of_row(target)
        before = getattr(of_row, "quantiles", None)
        now = self._check_quantiles() if self.loss == "quantile" else None
        if before != now:
            raise ValueError(
                "The quantiles must stay as they were while training goes on with "
                f"warm_start or partial_fit. Got {now} after {before}. Set "
                "warm_start=False and call fit."
            )
        of_row.loss = self.loss
        return target

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
