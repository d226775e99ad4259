"""The regressor."""

from __future__ import annotations

import math
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Literal, Self, overload

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from skrnn._base import BaseRecurrent
from skrnn._compat import Interval, StrOptions
from skrnn._data.normalization import WINDOW_NORMS, WindowNormalizer
from skrnn._data.samples import SampleEncoder, Samples
from skrnn._data.scaling import standard_deviation
from skrnn._data.sequences import Sequences, split_sequences
from skrnn._data.step_targets import unwrap_target
from skrnn._data.suspicion import warn_copied_target
from skrnn._data.target_validation import check_real_targets
from skrnn._data.targets import (
    ROW_LOSSES,
    QuantileTarget,
    RegressionTarget,
)
from skrnn._inference.forecasting import forecast
from skrnn._training.judging import FOLD_FRACTION
from skrnn._training.linear_choice import choose_linear
from skrnn._training.net import RecurrentNet
from skrnn._training.plan import FitPlan, LinearChoice
from skrnn._typing import (
    AnyArray,
    ArrayLike,
    Estimator,
    IntArray,
    SequencesLike,
    TargetsLike,
    available_if,
)

# Cross-validation of the network's correction: not on fewer rows than these, where
# chance decides; with as many folds as it takes to validate on that many rows, but at
# most this number of folds.
MIN_ROWS_FOR_FOLDS = 40
VALIDATION_ROWS, MAX_FOLDS = 100, 2


def _predicts_quantiles(estimator: Estimator) -> bool:
    loss = estimator.loss
    if hasattr(estimator, "_encoder"):  # as fitted
        loss = unwrap_target(estimator._encoder.target).loss
    if loss == "quantile":
        return True
    raise AttributeError(
        f"predict_quantiles is available with loss='quantile' only. Got loss={loss!r}."
    )


class RNNRegressor(RegressorMixin, BaseRecurrent):
    """Recurrent neural network regressor for sequences.

    An RNN, GRU or LSTM reads each sequence step by step, and a linear layer maps its
    pooled hidden states to one or several targets. Prefer it to a regressor on
    flattened sequences if the sequences differ in length, if they have many steps, or
    if the relevant steps can be anywhere in a sequence. It standardises X and y.

    Parameters
    ----------
    hidden_size : int or tuple of int, default=64
        Number of hidden units of each layer and direction. A tuple gives one size per
        layer.

    num_layers : int, default=1
        Number of stacked recurrent layers. May be left at 1 if `hidden_size` is a
        tuple, whose length then sets it.

    cell_type : {'rnn', 'gru', 'lstm'}, default='rnn'
        Type of the recurrent cell: Elman's RNN, a gated recurrent unit (GRU), or a long
        short-term memory (LSTM). The plain 'rnn' is the fastest; the gated cells
        usually learn better from more than about twenty steps.

    nonlinearity : {'tanh', 'relu'}, default='tanh'
        Activation function of the 'rnn' cell. The other cells have fixed activation
        functions and accept 'tanh' only.

    dropout : float in [0, 1), default=0.0
        Probability of zeroing an element between layers and before the output layer, in
        training.

    bidirectional : bool, default=False
        Whether each layer also processes the sequence in the backward direction, from
        the last step to the first.

    pooling : {'auto', 'last', 'mean', 'max', 'concat', 'attention'}, default='auto'
        How the hidden states of the last layer are reduced to one vector per sequence:
        the state after the last step (of each direction); the mean or the maximum over
        all valid steps; these three side by side ('concat'); or a weighted mean with
        learned weights, see `attention_weights`. 'auto' is 'last' if the sequences
        typically have at most 40 steps, with `return_sequences`, `tbptt_steps` and
        `initial_state='carry'`, and otherwise 'concat'. Must be 'last' or 'auto' with
        `return_sequences`, where nothing is pooled, and with `tbptt_steps`.

    patch_size : int or 'auto', default='auto'
        Number of consecutive time steps that enter the recurrent layers as one step,
        which has `patch_size` times as many features. The network then has fewer steps
        to remember, and trains faster. Where a sequence is no multiple of it long, its
        first step is repeated in front. 'auto' is 1 if the sequences typically have at
        most 40 steps, and otherwise about a 20th of their median length; with
        `return_sequences`, `tbptt_steps` and `initial_state='carry'` it is 1. Must be 1
        or 'auto' with `return_sequences` and `tbptt_steps`.

    initial_state : {'zeros', 'normal', 'learned', 'carry'}, default='zeros'
        Initial hidden state of each layer (and the cell state of an LSTM): zeros;
        standard normal noise in training and zeros in `predict`; or a learned
        parameter. 'carry' trains statefully: each batch starts from the final states of
        the previous batch, row by row and without a gradient through them; the rows are
        not shuffled, so that row i of a batch continues row i of the previous one.
        Every epoch, and `predict`, start from zeros. 'carry' is not available for
        bidirectional networks.

    embedding_dim : int or None, default=None
        Dimension of the learned token embeddings. If set, X holds token ids, as
        `TokenEncoder` returns them: integers, 0 for padding at the end of a row and 1
        for unknown tokens. If None, X holds features.

    return_sequences : bool, default=False
        Whether to predict a target at each time step instead of one per sequence. For
        the `scoring` of searches and cross-validation, use
        `skrnn.metrics.get_scorer`: scikit-learn's own scorers fail for sequences.

    standardize : bool, default=True
        Whether to standardise each feature of X to mean 0 and standard deviation 1 over
        all valid steps of the training rows. Columns of only zeros and ones, and token
        ids, are left unchanged.

    loss : {'squared_error', 'absolute_error', 'huber', 'quantile'}, \
default='squared_error'
        Loss function of each output, in standardised units of y. 'huber' is quadratic
        up to one standard deviation and linear beyond. With 'quantile', `predict`
        returns the median and `predict_quantiles` the `quantiles`.

    quantiles : tuple of float in (0, 1), default=(0.1, 0.5, 0.9)
        Levels of the quantiles that `predict_quantiles` returns with `loss='quantile'`,
        in ascending order.

    window_norm : {'auto', 'last', 'standard', 'difference'} or None, default='auto'
        Normalisation of the column(s) of X that y continues, within each window and
        before standardisation: subtract the last value of the window, standardise by
        the window's own mean and standard deviation, or take first differences. y is
        normalised in the same way, and `predict` transforms back. Use it for series
        with a trend. 'difference' shortens each window by one step, except with
        `return_sequences`, which allows no other normalisation. 'auto' is described at
        `ar_order`.

    target_feature : int, list of int or None, default=None
        Index of the feature of X that y continues, in the same units: one for all
        outputs, or a list with one per output. None means 0 for univariate X. Used by
        `window_norm`, `ar_order` and `forecast` only.

    ar_order : int or 'auto', default='auto'
        Order of a linear autoregressive model that is added to the output of the
        network. Its inputs are the last `ar_order` values of `target_feature`, after
        `window_norm`, and the other features of the last step. Training starts from a
        Ridge regression on these inputs, with a penalty chosen by leave-one-out
        cross-validation, and from a network whose output is zero. 0 means no linear
        model.

        'auto' uses all time steps if the leave-one-out error of such a linear model is
        lower than that of the mean of y, and otherwise no linear model.
        `window_norm='auto'` chooses the one of None, 'difference' and 'standard' whose
        linear model has the lowest error; where random nonlinear functions of the steps
        reduce the error of both, and both are within 2 %, cross-validation of the
        network decides between None and 'difference'. Nothing is chosen, so that there
        is no linear model and no normalisation, with several features and
        `target_feature=None`, with `return_sequences`, with `embedding_dim`, in
        `partial_fit`, and for fewer than 10 different rows.

    n_members : int, default=1
        Number of networks, which differ in their initial weights and in the order of
        batches. Predictions, or the probabilities of labels, are their means. `n_jobs`
        is how many of them are trained at a time.

    max_epochs : int or 'auto', default='auto'
        Maximum number of epochs (passes over the training rows). With `warm_start`, of
        each call of `fit`. 'auto' is 60; for few long sequences, of typically more than
        40 steps, up to 120, until the optimiser has taken 240 steps.

    lr : float, default=1e-2
        Learning rate; with `lr_schedule`, its highest value.

    batch_size : int, default=32
        Number of rows per optimiser step. Sequences of different lengths are batched
        with others of similar length if padding would exceed a tenth of all steps.

    optimizer : {'adam', 'adamw', 'sgd', 'rmsprop', 'lbfgs'} or class, default='adamw'
        Name of an optimiser, or a subclass of `torch.optim.Optimizer`. 'lbfgs' uses a
        line search; set `lr=1.0`, `lr_schedule=None` and a `batch_size` of at least the
        number of rows with it.

    optimizer_params : dict or None, default=None
        Further keyword arguments of the optimiser, for example `{'momentum': 0.9}`.

    weight_decay : float or 'auto', default='auto'
        Weight decay of all parameters of the network: decoupled for 'adamw', where a
        step multiplies them by `1 - lr * weight_decay`, and the factor of an L2 penalty
        for the other optimisers. 'auto' is 0.1 for 'adamw' and the optimiser's own
        default for the others. 'lbfgs' has no weight decay.

    max_grad_norm : float or None, default=1.0
        Maximum norm of the gradient of all parameters; a longer gradient is clipped to
        it. None disables clipping. Not applied with 'lbfgs', whose line search needs
        the exact gradient.

    lr_schedule : {'one_cycle', 'cosine', 'plateau'} or None, default='one_cycle'
        'one_cycle' and 'cosine' follow a fixed curve over the `max_epochs` of a call of
        `fit`. 'plateau' halves the learning rate after more than 5 epochs without an
        improvement of the validation loss, or of the training loss if there are no
        validation rows. None, and `partial_fit`, keep the learning rate constant.

    tbptt_steps : int or None, default=None
        Number of steps of truncated back-propagation through time, for very long
        sequences. None back-propagates through all steps. With `return_sequences`, the
        optimiser takes a step for each chunk of that many time steps, and the next
        chunk starts from the final state of the previous one. With one target per
        sequence, the loss is back-propagated through the last `tbptt_steps` steps only;
        earlier steps just update the hidden state. Not available for bidirectional
        networks.

    patience : int, default=10
        Number of epochs without improvement after which early stopping ends training.

    tol : float, default=1e-4
        Minimum decrease of the validation loss that counts as an improvement.

    callbacks : list of skorch callbacks or None, default=None
        skorch callbacks. `fit` copies them and the containers and arrays that they
        hold, so that the parameter is not modified; other objects, such as a trial of
        Optuna or the writer of skorch's `TensorBoard`, receive what they report. They
        see encoded targets. A callback that sets the learning rate requires
        `lr_schedule=None`. With a `Checkpoint`, a fit that was killed can be resumed.
        From scikit-learn 1.9 on, `set_callbacks` sets callbacks of scikit-learn, which
        receive each epoch of `fit`: `sklearn.callback.ProgressBar` and
        `ScoringMonitor`, for example. The fitted estimator that they receive has the
        weights of that epoch.

    early_stopping : bool or 'auto', default='auto'
        Whether to stop training when the validation loss no longer improves, and to
        restore the weights of the best epoch. 'auto' does so with a linear model (see
        `ar_order`) if `fit` receives `X_val`. Otherwise, unless `ar_order=0`, 'auto'
        estimates how much the network improves on the linear model, or on the mean of y
        if there is none. It is trained without a fifth of the rows, which are held out,
        and with fewer than 500 rows, once more without another fifth. The factor in
        [0, 1] of the network's contribution with the lowest loss on the held-out rows
        is shrunk towards 0 by the uncertainty of the improvement. The network is then
        trained on all rows, and shrunk by that factor. If it is 0 and
        `max_epochs='auto'`, one epoch is enough. This takes about twice as long as one
        fit; `validation_loss_curve_` is the mean over the held-out parts.

        The factor is 0 without any folds if no nonlinear function improves the linear
        model, as judged by a random network in closed form (not with
        `loss='quantile'`), and on fewer than 40 rows with a linear model. There are no
        folds, and the factor is 1, on fewer than 40 rows without a linear model, with
        `return_sequences`, in `partial_fit`, and if fewer than half of the rows are
        left to train on once those that overlap the held-out rows are removed.

    validation_fraction : float in (0, 1), default=0.1
        Fraction of the rows that `early_stopping` holds out for validation if `fit`
        receives no `X_val`.

    validation_strategy : {'random', 'last'}, default='last'
        Which rows to hold out: random ones (stratified by class in a classifier), or
        the last. With 'last', windows of equal length that overlap the validation rows
        are left out of training. Use 'last' for windows of one time series, where
        random validation rows would share time steps with training rows.

    warm_start : bool, default=False
        Whether `fit` continues from the weights, optimiser state and scaling of the
        previous call. Ctrl-C then keeps the finished epochs of a network, but not of
        an ensemble; otherwise it leaves the estimator as it was before `fit`.

    device : str or torch.device, default='cpu'
        Device to compute on: 'cpu', 'cuda', 'cuda:1', ..., or 'auto' for a GPU if one
        is available. Computation on a GPU is in float32.

    n_jobs : int or None, default=None
        Number of threads. None means 1, and -1 means all cores. The members of an
        ensemble and the folds of cross-validation are trained in threads of their own.
        Otherwise, compiled training gives each thread a part of the rows of a batch, if
        the batch is large enough for that to pay, and if there is neither dropout nor
        `initial_state='normal'`; the last digits of the results may then depend on the
        number.

    random_state : int, RandomState instance or None, default=None
        Controls the initial weights, the order of batches, dropout, random initial
        states and random validation rows. torch's global generator is neither read nor
        modified.

    verbose : int, default=0
        0 prints nothing. 1 shows a progress bar of the epochs, with the losses and the
        time left, on standard error, and says when functions are compiled for the first
        time. An ensemble shows the bar of its first member; folds of cross-validation
        show none. Higher values do the same: callbacks of skorch receive them.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The skorch net that trains the network.

    module_ : torch.nn.Module
        The network, with the weights of the last epoch, or of the best one if
        `early_stopping` restored it.

    members_ : list of estimators
        One fitted estimator for each network; attributes of networks and training are
        those of the first.

    n_iter_ : int
        Number of epochs run.

    loss_curve_ : list of float
        Mean training loss of each epoch; for a regressor, in standardised units of y.

    validation_loss_curve_ : list of float or None
        Validation loss after each epoch; None without validation rows.

    best_epoch_ : int or None
        Epoch, counted from 1, whose weights `early_stopping` restored; 0 for the
        initial linear model of a regressor.

    history_ : DataFrame
        One row per epoch, with the losses, the learning rate, the duration in seconds,
        and what callbacks record.

    n_outputs_ : int
        Number of raw outputs of the network.

    device_ : str
        Device that the network was trained on.

    engine_ : str
        How the last epoch was trained: 'compiled', many batches in one compiled call,
        or 'torch', a batch at a time. torch trains on accelerators, without numba, and
        with `pooling='attention'`, optimizers other than Adam and AdamW, `tbptt_steps`,
        `initial_state='carry'`, and callbacks or hooks that see batches, gradients or
        layers.

    pooling_ : str
        How the hidden states are pooled, see `pooling`.

    patch_size_ : int
        Number of time steps that enter the recurrent layers as one.

    window_norm_ : str or None
        How windows are normalised, see `window_norm`.

    ar_order_ : int
        Order of the linear autoregressive model; 0 for none.

    n_features_in_ : int
        Number of time steps for 2-D X; number of features per time step for 3-D and
        ragged X.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X was a DataFrame whose column names are strings.

    See Also
    --------
    RNNClassifier : The same network for classification.
    SlidingWindow : Transforms the rows of a time series into windows.
    make_windows : Splits a series into windows and the targets that follow them.

    Notes
    -----
    If X has channels before time, as in aeon, sktime and tsai, pass
    `X.transpose(0, 2, 1)`. Pass float32 data for speed.

    `window_norm` replaces the values :math:`x_1, ..., x_L` of a target column in a
    window, and the target :math:`y`, by

    - 'last': :math:`x_t - x_L` and :math:`y - x_L`;
    - 'standard': :math:`(x_t - m) / s` and :math:`(y - m) / s`, with the mean
      :math:`m` and the standard deviation :math:`s` of the window;
    - 'difference': :math:`x_t - x_{t-1}` for :math:`t > 1`, and :math:`y - x_L`.

    The defaults are meant for forecasts: they are rarely worse than Ridge regression on
    the values or on their differences, and better if the series has nonlinear
    structure. `window_norm=None` with `ar_order=0` is the network alone.

    References
    ----------
    Lakshminarayanan, Pritzel, Blundell: Simple and scalable predictive uncertainty
    estimation using deep ensembles. NeurIPS 2017.

    Elman: Finding structure in time. Cognitive Science 14, 1990.

    Hochreiter, Schmidhuber: Long short-term memory. Neural Computation 9, 1997.

    Cho et al.: Learning phrase representations using RNN encoder-decoder for
    statistical machine translation. EMNLP 2014.

    Lai et al.: Modeling long- and short-term temporal patterns with deep neural
    networks. SIGIR 2018.

    Lee, White, Granger: Testing for neglected nonlinearity in time series models.
    Journal of Econometrics 56, 1993.

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
        "window_norm": [StrOptions({"auto", *WINDOW_NORMS}), None],
        "target_feature": [Interval(Integral, 0, None, closed="left"), list, None],
        "ar_order": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "early_stopping": ["boolean", StrOptions({"auto"})],
    }

    def __init__(
        self,
        hidden_size: int | tuple[int, ...] = 64,
        *,
        num_layers: int = 1,
        cell_type: Literal["rnn", "gru", "lstm"] = "rnn",
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        dropout: float = 0.0,
        bidirectional: bool = False,
        pooling: Literal["auto", "last", "mean", "max", "concat", "attention"] = "auto",
        patch_size: int | Literal["auto"] = "auto",
        initial_state: Literal["zeros", "normal", "learned", "carry"] = "zeros",
        embedding_dim: int | None = None,
        return_sequences: bool = False,
        standardize: bool = True,
        loss: Literal[
            "squared_error", "absolute_error", "huber", "quantile"
        ] = "squared_error",
        quantiles: tuple[float, ...] = (0.1, 0.5, 0.9),
        window_norm: Literal["auto", "last", "standard", "difference"] | None = "auto",
        target_feature: int | list[int] | None = None,
        ar_order: int | Literal["auto"] = "auto",
        n_members: int = 1,
        max_epochs: int | Literal["auto"] = "auto",
        lr: float = 1e-2,
        batch_size: int = 32,
        optimizer: Literal["adam", "adamw", "sgd", "rmsprop", "lbfgs"]
        | type[torch.optim.Optimizer] = "adamw",
        optimizer_params: dict[str, Any] | None = None,
        weight_decay: float | Literal["auto"] = "auto",
        max_grad_norm: float | None = 1.0,
        lr_schedule: Literal["one_cycle", "cosine", "plateau"] | None = "one_cycle",
        tbptt_steps: int | None = None,
        patience: int = 10,
        tol: float = 1e-4,
        callbacks: list[Any] | None = None,
        early_stopping: bool | Literal["auto"] = "auto",
        validation_fraction: float = 0.1,
        validation_strategy: Literal["random", "last"] = "last",
        warm_start: bool = False,
        device: str | torch.device = "cpu",
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.cell_type = cell_type
        self.nonlinearity = nonlinearity
        self.dropout = dropout
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.patch_size = patch_size
        self.initial_state = initial_state
        self.embedding_dim = embedding_dim
        self.return_sequences = return_sequences
        self.standardize = standardize
        self.loss = loss
        self.quantiles = quantiles
        self.window_norm = window_norm
        self.target_feature = target_feature
        self.ar_order = ar_order
        self.n_members = n_members
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

    def partial_fit(
        self, X: SequencesLike, y: TargetsLike, sample_weight: TargetsLike | None = None
    ) -> Self:
        """Train for one epoch with a constant learning rate.

        The first call fixes the scaling of X and y.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, in any form that `fit` accepts.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets; with `return_sequences`, of each time step, as in `fit`.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; only their ratios within a call matter.

        Returns
        -------
        self : object
            The estimator, trained for one more epoch.
        """
        return self._partial_fit(X, y, sample_weight)

    @overload
    def predict(
        self, X: SequencesLike, return_std: Literal[False] = False
    ) -> AnyArray: ...

    @overload
    def predict(
        self, X: SequencesLike, return_std: Literal[True]
    ) -> tuple[AnyArray, AnyArray]: ...

    def predict(
        self, X: SequencesLike, return_std: bool = False
    ) -> AnyArray | tuple[AnyArray, AnyArray]:
        """Predict the targets of each sequence.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, in any form that `fit` accepts.

        return_std : bool, default=False
            Whether to return the standard deviation of the predictions of the members
            too; needs `n_members` above 1.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions in the units of y; float64 unless y was float32. With
            `return_sequences`, one per time step: `(n_samples, n_timesteps)` or
            `(n_samples, n_timesteps, n_outputs)`, or a 1-D object array of arrays if X
            is a list.

        y_std : ndarray
            Only with `return_std`: the standard deviation over members, in the form of
            y. It says how far they disagree, not how noisy y is: see
            `predict_quantiles` for that.
        """
        y = self._predict(X, lambda target, *output: target.decode(*output))
        if not return_std:
            return y
        members = self.members_
        if len(members) == 1:
            raise ValueError(
                "return_std=True needs an ensemble. Got n_members=1. Set n_members, "
                "for example to 5, and call fit."
            )
        predictions = [member.predict(X) for member in members]
        if y.dtype.kind != "O":
            return y, standard_deviation(predictions)
        pieces = [
            standard_deviation(of_row) for of_row in zip(*predictions, strict=True)
        ]
        return y, split_sequences(np.concatenate(pieces), [len(p) for p in pieces])

    @available_if(_predicts_quantiles)
    def predict_quantiles(self, X: SequencesLike) -> AnyArray:
        """Predict the `quantiles` of each target; needs `loss='quantile'`.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, in any form that `fit` accepts.

        Returns
        -------
        y : ndarray of shape (n_samples, n_quantiles) or \
(n_samples, n_outputs, n_quantiles)
            Quantiles in the units of y and in the order of `quantiles`; they do not
            cross. With `return_sequences`, of each time step, as in `predict`.
        """
        return self._predict(
            X, lambda target, *output: target.decode_quantiles(*output)
        )

    def forecast(
        self, X: SequencesLike, n_steps: int, future_features: ArrayLike | None = None
    ) -> AnyArray:
        """Forecast several steps ahead recursively (a free-running forecast).

        The network must predict the next value of its `target_feature`: one step
        after the end of X or, with `return_sequences`, after every step. Each
        prediction is fed back as the next time step of X.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Observed sequences, one for each forecast; with `return_sequences`, one
            time step is enough.

        n_steps : int
            Number of steps to forecast.

        future_features : array-like of shape (n_samples, n_steps, n_others) or \
(n_steps, n_others), default=None
            Future values of the features of X that are not predicted, in their order.
            Without the first axis, they are the same for all sequences. The values of
            the last step are not used and may be left out. Required if X has such
            features and `n_steps` is above 1.

        Returns
        -------
        y : ndarray of shape (n_samples, n_steps) or (n_samples, n_steps, n_outputs)
            Forecasts in the units of y. With `loss='quantile'`, each step is the
            median, given the medians of the previous steps.

        Raises
        ------
        ValueError
            If each output is not the next value of one feature of X (token ids never
            are); if future features are missing; if a bidirectional network has an
            output per step; or if the forecast diverges.

        Notes
        -----
        A network with `return_sequences` keeps its hidden state, so that each step has
        a constant cost. Otherwise, the network is applied to a sliding window as long
        as the longest sequence in `fit`; a shorter X grows up to that length. Errors
        accumulate, since later steps depend on predictions alone. A network trained to
        predict further ahead than the next step gives meaningless forecasts, without
        an error.

        References
        ----------
        Taieb, Bontempi, Atiya, Sorjamaa: A review and comparison of strategies for
        multi-step ahead time series forecasting. Expert Systems with Applications 39,
        2012.
        """
        check_is_fitted(self)
        return forecast(self, X, n_steps, future_features)

    def score(
        self, X: SequencesLike, y: TargetsLike, sample_weight: TargetsLike | None = None
    ) -> float:
        """Return the coefficient of determination, R squared, of the predictions.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, in any form that `fit` accepts.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            True targets; with `return_sequences`, of each time step, as in `fit`.

        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights; with `return_sequences`, of sequences or of time steps.

        Returns
        -------
        score : float
            At most 1, and 0 for a model that always predicts the mean of y; averaged
            over outputs. With `return_sequences`, over all time steps together.
        """
        check_is_fitted(self)
        if self._module_config.return_sequences:
            return self._score_steps(r2_score, X, y, sample_weight)
        return super().score(X, y, sample_weight)

    def _check_arguments(
        self,
        y: TargetsLike | None,
        X_val: SequencesLike | None,
        y_val: TargetsLike | None,
    ) -> None:
        super()._check_arguments(y, X_val, y_val)
        owner = type(self).__name__
        if self.return_sequences and self.window_norm in ("last", "standard"):
            raise ValueError(
                f"The 'window_norm' parameter of {owner} must be None or 'difference' "
                f"with return_sequences=True, since {self.window_norm!r} normalises a "
                "step by later ones. Use 'difference', or one target per sequence."
            )
        for name in ("window_norm", "ar_order"):
            is_set = getattr(self, name) not in (None, 0, "auto")
            if self.embedding_dim is not None and is_set:
                raise ValueError(
                    f"The '{name}' parameter of {owner} must be left out with "
                    "embedding_dim: token ids are no quantities. Got "
                    f"{getattr(self, name)!r}."
                )

    def _check_y(
        self, y: Any, sequences: Sequences, name: str = "y", of: str = "X"
    ) -> Any:
        y = super()._check_y(y, sequences, name, of)
        if self.return_sequences:
            return y.with_values(check_real_targets(y.flat, name))
        return check_real_targets(y, name)

    def _new_encoder(
        self, samples: Samples, classes: ArrayLike | None, one_epoch: bool
    ) -> SampleEncoder:
        encoder = super()._new_encoder(samples, classes, one_epoch)
        y = samples.y.flat if self.return_sequences else samples.y
        n_features = samples.sequences.n_features
        has_norm = self.window_norm not in (None, "auto")
        has_order = self.ar_order not in (0, "auto")
        is_named = self.target_feature is not None
        self._columns: Any = None  # list of int, if y continues columns of X
        if has_norm or has_order or is_named or n_features == 1:
            self._columns = self._target_columns(n_features, y)
        if not self.return_sequences and self.embedding_dim is None:
            rows = samples.weighted_rows()
            warn_copied_target(samples.sequences, samples.y, rows)
        if self.window_norm != "auto":
            normalizer = self._new_normalizer(LinearChoice(self.window_norm))
            normalizer.check_continuation(samples.sequences, y)
        self._target_feature = self.target_feature
        self._longest = int(samples.sequences.longest)  # of the window of a forecast
        return encoder

    def _choose_linear(
        self, samples: Samples, rows: IntArray, one_epoch: bool
    ) -> list[LinearChoice]:
        can_choose = (
            self._columns is not None
            and self.embedding_dim is None
            and not self.return_sequences
            and not one_epoch
        )
        choices = [
            LinearChoice(
                None if self.window_norm == "auto" else self.window_norm,
                0 if self.ar_order == "auto" else self.ar_order,
            )
        ]
        if can_choose and "auto" in (self.window_norm, self.ar_order):
            choices = choose_linear(
                samples.sequences,
                samples.y,
                rows,
                samples.weights_of(rows),
                self._columns,
                self.window_norm,
                self.ar_order,
            )
        # A network that cannot be judged must not make a linear model worse.
        is_too_few = len(rows) < MIN_ROWS_FOR_FOLDS and choices[0].ar_order > 0
        if is_too_few and self._judges() and not self.return_sequences:
            choices = [replace(choices[0], is_sufficient=True)]
        if not self._judges() or (self.loss == "quantile" and not is_too_few):
            # What is left of a linear model of the mean may be in the quantiles.
            choices = [replace(choice, is_sufficient=False) for choice in choices]
        return choices

    def _error_power(self) -> int:
        return 2 if self.loss == "squared_error" else 1

    def _judges(self) -> bool:
        """Whether folds decide how much the network corrects the linear model."""
        return self.early_stopping == "auto" and self.ar_order != 0

    def _new_normalizer(self, linear: LinearChoice) -> WindowNormalizer:
        columns = self._columns
        return WindowNormalizer(linear.window_norm, columns, self.return_sequences)

    def _target_columns(self, n_features: int, y: AnyArray) -> list[int]:
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

    def _highway_columns(self) -> tuple[int, ...]:
        return tuple(self._columns or ())

    def _stops_early(self, external: Samples | None, linear: LinearChoice) -> bool:
        if self.early_stopping == "auto":
            return external is not None and linear.ar_order > 0
        return self.early_stopping

    def _n_folds(self, rows: IntArray, linear: LinearChoice) -> int:
        if not self._judges():
            return 0
        if len(rows) < MIN_ROWS_FOR_FOLDS or self.return_sequences:
            return 0
        if linear.is_sufficient:
            return 0
        return min(math.ceil(VALIDATION_ROWS / (FOLD_FRACTION * len(rows))), MAX_FOLDS)

    def _make_target(
        self, y: Any, classes: ArrayLike | None, one_epoch: bool
    ) -> RegressionTarget:
        if self.loss == "quantile":
            return QuantileTarget(self._check_quantiles())
        return RegressionTarget(self.loss)

    def _check_quantiles(self) -> tuple[float, ...]:
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

    def _continued_encoder(self) -> SampleEncoder:
        encoder = super()._continued_encoder()
        target = unwrap_target(encoder.target)
        for name, before in (
            ("target_feature", self._target_feature),
            ("window_norm", encoder.normalizer.window_norm),
        ):
            if getattr(self, name) not in (before, "auto"):
                raise ValueError(
                    f"The '{name}' parameter must stay as it was while training "
                    "continues with warm_start or partial_fit. Got "
                    f"{getattr(self, name)!r} after {before!r}. Set warm_start=False "
                    "and call fit."
                )
        new_target = self._make_target(None, None, False)
        if type(new_target) is not type(target):  # such as quantiles after one number
            raise ValueError(
                "The 'loss' parameter must stay as it was while training continues "
                f"with warm_start or partial_fit. Got {self.loss!r} after "
                f"{target.loss!r}. Set warm_start=False and call fit."
            )
        before = getattr(target, "quantiles", None)
        now = getattr(new_target, "quantiles", None)
        if before != now:
            raise ValueError(
                "The quantiles must stay as they were while training continues with "
                f"warm_start or partial_fit. Got {now} after {before}. Set "
                "warm_start=False and call fit."
            )
        target.loss = self.loss
        return encoder

    def _set_fitted(
        self, nets: list[RecurrentNet], encoder: SampleEncoder, plan: FitPlan
    ) -> None:
        super()._set_fitted(nets, encoder, plan)
        self.window_norm_ = encoder.normalizer.window_norm
        self.ar_order_ = self._module_config.ar_order

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
