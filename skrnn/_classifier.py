"""Recurrent classifiers, with one or two directions."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from skrnn._base import BaseRecurrent
from skrnn._compat import StrOptions
from skrnn._data.samples import SampleEncoder, Samples
from skrnn._data.sequences import Sequences
from skrnn._data.target_validation import check_labels
from skrnn._data.targets import ClassTarget, class_target
from skrnn._training.net import RecurrentNet
from skrnn._training.plan import FitPlan
from skrnn._typing import AnyArray, ArrayLike, SequencesLike, Target, TargetsLike


class BaseClassifier(ClassifierMixin, BaseRecurrent):
    """Base class of the classifiers: labels in, labels and probabilities out."""

    _parameter_constraints: dict = {
        **BaseRecurrent._parameter_constraints,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    def partial_fit(
        self,
        X: SequencesLike,
        y: TargetsLike,
        classes: ArrayLike | None = None,
        sample_weight: TargetsLike | None = None,
    ) -> Self:
        """Train for one epoch with a constant learning rate.

        The first call fixes the scaling of X and the set of classes.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, in any form that `fit` accepts.

        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Labels, or an indicator matrix for multilabel targets. With
            `return_sequences`, the targets of each time step, as in `fit`.

        classes : array-like of shape (n_classes,), default=None
            All labels that may occur in y in later calls. Required in the first call,
            unless y is an indicator matrix.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; only their ratios within a call matter.

        Returns
        -------
        self : object
            The estimator, trained for one more epoch.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "The 'class_weight' parameter must not be 'balanced' for partial_fit, "
                "where each part would be balanced by itself. Pass a dict of weights."
            )
        if hasattr(self, "net_") and classes is not None:
            known, given = self.classes_.tolist(), np.unique(classes).tolist()
            if given != known:
                raise ValueError(
                    f"classes must stay as in the first call of partial_fit, {known}. "
                    f"Got {given}. Leave classes out, or call fit."
                )
        return self._partial_fit(X, y, sample_weight, classes=classes)

    def predict(self, X: SequencesLike) -> AnyArray:
        """Predict the most probable label of each sequence.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, in any form that `fit` accepts.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
            Predicted labels, or an indicator matrix for multilabel targets. With
            `return_sequences`, one per time step: `(n_samples, n_timesteps)` or
            `(n_samples, n_timesteps, n_labels)`, or a 1-D object array of arrays if X
            is a list.
        """
        return self._predict(X, lambda target, output, _: target.decode(output))

    def predict_proba(self, X: SequencesLike) -> AnyArray:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, in any form that `fit` accepts.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Probabilities in the order of `classes_`. For multilabel targets, each
            column holds the probability that its label is present. With
            `return_sequences`, one row per time step: `(n_samples, n_timesteps,
            n_classes)`, or a 1-D object array of arrays if X is a list.

        Notes
        -----
        With `return_sequences`, scikit-learn's `cross_val_predict` cannot use this
        method: it encodes the labels of each time step by themselves, and fails for
        sequences of different lengths. Fit and predict fold by fold instead.
        """
        return self._predict(X, lambda target, output, _: target.probabilities(output))

    def predict_log_proba(self, X: SequencesLike) -> AnyArray:
        """Predict the natural logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, in any form that `fit` accepts.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            Log-probabilities, in the same form as `predict_proba`. They are more
            accurate than its logarithm for probabilities near 0.
        """
        return self._predict(
            X, lambda target, output, _: target.log_probabilities(output)
        )

    def score(
        self, X: SequencesLike, y: TargetsLike, sample_weight: TargetsLike | None = None
    ) -> float:
        """Return the accuracy of the predicted labels.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, in any form that `fit` accepts.

        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            True labels; with `return_sequences`, of each time step, as in `fit`.

        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights; with `return_sequences`, of sequences or of time steps.

        Returns
        -------
        score : float
            Accuracy, or subset accuracy for multilabel targets. With
            `return_sequences`, over all time steps together.
        """
        check_is_fitted(self)
        if self._module_config.return_sequences:
            return self._score_steps(accuracy_score, X, y, sample_weight)
        return super().score(X, y, sample_weight)

    def _check_y(
        self, y: Any, sequences: Sequences, name: str = "y", of: str = "X"
    ) -> Any:
        y = super()._check_y(y, sequences, name, of)
        return y if self.return_sequences else check_labels(y, name)

    def _make_target(
        self, y: Any, classes: ArrayLike | None, one_epoch: bool
    ) -> Target:
        if one_epoch and classes is None and np.ndim(y) == 1:
            raise ValueError(
                "classes must be passed on the first call to partial_fit. Got None. "
                "Pass all labels that will ever occur."
            )
        return class_target(y, classes, owner=type(self).__name__)

    def _apply_class_weights(self, samples: Samples, target: Any) -> Samples:
        codes = target.encode(samples.y)
        return samples.with_weights(
            target.row_weights(codes, self.class_weight, samples.weights)
        )

    def _strata(self, target: Target, y: Any) -> AnyArray | None:
        return target.encode(y) if isinstance(target, ClassTarget) else None

    def _set_fitted(
        self, nets: list[RecurrentNet], encoder: SampleEncoder, plan: FitPlan
    ) -> None:
        super()._set_fitted(nets, encoder, plan)
        self.classes_ = encoder.target.classes

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        is_tagger = isinstance(self.return_sequences, (bool, np.bool_))
        if is_tagger and self.return_sequences:
            # scikit-learn stratifies the folds of a classifier, which needs one label
            # for each row, and refuses lists of lists of labels.
            tags.estimator_type = tags.classifier_tags = None
        return tags


class RNNClassifier(BaseClassifier):
    """Recurrent neural network classifier for sequences.

    An RNN, GRU or LSTM reads each sequence step by step, and a linear layer maps its
    pooled hidden states to the logits of the classes. Prefer it to a classifier on
    flattened sequences if the sequences differ in length, if they have many steps, or
    if the relevant steps can be anywhere in a sequence. It supports binary, multiclass
    and multilabel targets (an indicator matrix), and standardises X.

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

    class_weight : dict, 'balanced', list of dicts or None, default=None
        Weights of the classes, multiplied with `sample_weight`. 'balanced' gives every
        class the same total weight. For multilabel targets, 'balanced' or a list with
        one dict per label, which holds the weights of 0 and 1.

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

    early_stopping : bool, default=False
        Whether to stop training when the validation loss no longer improves, and to
        restore the weights of the best epoch.

    validation_fraction : float in (0, 1), default=0.1
        Fraction of the rows that `early_stopping` holds out for validation if `fit`
        receives no `X_val`.

    validation_strategy : {'random', 'last'}, default='random'
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
    classes_ : ndarray of shape (n_classes,)
        Class labels in sorted order; column indices for multilabel targets.

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

    n_features_in_ : int
        Number of time steps for 2-D X; number of features per time step for 3-D and
        ragged X.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X was a DataFrame whose column names are strings.

    See Also
    --------
    BiRNNClassifier : Bidirectional classifier.
    RNNRegressor : The same network for regression.
    TokenOneHotEncoder : Transforms text into one-hot sequences.

    Notes
    -----
    If X has channels before time, as in aeon, sktime and tsai, pass
    `X.transpose(0, 2, 1)`. Pass float32 data for speed.

    With `return_sequences=True`, the labels of a sequence are an array or a list, of
    strings or numbers, and scikit-learn does not take the estimator for a classifier of
    rows: `is_classifier` is False, and folds are those of `KFold`, not stratified.

    References
    ----------
    Lakshminarayanan, Pritzel, Blundell: Simple and scalable predictive uncertainty
    estimation using deep ensembles. NeurIPS 2017.

    Elman: Finding structure in time. Cognitive Science 14, 1990.

    Hochreiter, Schmidhuber: Long short-term memory. Neural Computation 9, 1997.

    Cho et al.: Learning phrase representations using RNN encoder-decoder for
    statistical machine translation. EMNLP 2014.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrnn import RNNClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> rows = X.reshape(-1, 8, 8).astype("float32")  # 8 steps of 8 pixels
    >>> model = RNNClassifier(max_epochs=20, random_state=0)
    >>> model.fit(rows[:1000], y[:1000]).predict(rows[1000:1003])
    array([1, 4, 0])
    """

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
        class_weight: dict[Any, float]
        | list[dict[Any, float]]
        | Literal["balanced"]
        | None = None,
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
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        validation_strategy: Literal["random", "last"] = "random",
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
        self.class_weight = class_weight
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


class BiRNNClassifier(BaseClassifier):
    """Bidirectional recurrent neural network classifier for sequences.

    Like `RNNClassifier`, but every layer processes the sequence in both directions.
    This helps if the whole sequence is known at the time of prediction, as for texts,
    recordings, or images read row by row. It does not support `stream`.

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

    class_weight : dict, 'balanced', list of dicts or None, default=None
        Weights of the classes, multiplied with `sample_weight`. 'balanced' gives every
        class the same total weight. For multilabel targets, 'balanced' or a list with
        one dict per label, which holds the weights of 0 and 1.

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

    early_stopping : bool, default=False
        Whether to stop training when the validation loss no longer improves, and to
        restore the weights of the best epoch.

    validation_fraction : float in (0, 1), default=0.1
        Fraction of the rows that `early_stopping` holds out for validation if `fit`
        receives no `X_val`.

    validation_strategy : {'random', 'last'}, default='random'
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
    classes_ : ndarray of shape (n_classes,)
        Class labels in sorted order; column indices for multilabel targets.

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

    n_features_in_ : int
        Number of time steps for 2-D X; number of features per time step for 3-D and
        ragged X.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X was a DataFrame whose column names are strings.

    See Also
    --------
    RNNClassifier : Classifier that reads sequences forward only, by default.

    Notes
    -----
    If X has channels before time, as in aeon, sktime and tsai, pass
    `X.transpose(0, 2, 1)`. Pass float32 data for speed.

    With `return_sequences=True`, the labels of a sequence are an array or a list, of
    strings or numbers, and scikit-learn does not take the estimator for a classifier of
    rows: `is_classifier` is False, and folds are those of `KFold`, not stratified.

    References
    ----------
    Lakshminarayanan, Pritzel, Blundell: Simple and scalable predictive uncertainty
    estimation using deep ensembles. NeurIPS 2017.

    Elman: Finding structure in time. Cognitive Science 14, 1990.

    Hochreiter, Schmidhuber: Long short-term memory. Neural Computation 9, 1997.

    Cho et al.: Learning phrase representations using RNN encoder-decoder for
    statistical machine translation. EMNLP 2014.

    Schuster, Paliwal: Bidirectional recurrent neural networks. IEEE Transactions on
    Signal Processing 45, 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn import BiRNNClassifier
    >>> X = [np.array(x) for x in ([0, 0, 1], [1, 0], [0, 1], [1, 0, 0, 0])] * 8
    >>> y = ["late", "early", "late", "early"] * 8
    >>> model = BiRNNClassifier(cell_type="lstm", random_state=0).fit(X, y)
    >>> model.predict([np.array([1, 0, 0]), np.array([0, 0, 0, 1])])
    array(['early', 'late'], dtype='<U5')
    """

    _parameter_constraints: dict = {
        name: rule
        for name, rule in BaseClassifier._parameter_constraints.items()
        if name != "bidirectional"
    }

    def __init__(
        self,
        hidden_size: int | tuple[int, ...] = 64,
        *,
        num_layers: int = 1,
        cell_type: Literal["rnn", "gru", "lstm"] = "rnn",
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        dropout: float = 0.0,
        pooling: Literal["auto", "last", "mean", "max", "concat", "attention"] = "auto",
        patch_size: int | Literal["auto"] = "auto",
        initial_state: Literal["zeros", "normal", "learned", "carry"] = "zeros",
        embedding_dim: int | None = None,
        return_sequences: bool = False,
        standardize: bool = True,
        class_weight: dict[Any, float]
        | list[dict[Any, float]]
        | Literal["balanced"]
        | None = None,
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
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        validation_strategy: Literal["random", "last"] = "random",
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
        self.pooling = pooling
        self.patch_size = patch_size
        self.initial_state = initial_state
        self.embedding_dim = embedding_dim
        self.return_sequences = return_sequences
        self.standardize = standardize
        self.class_weight = class_weight
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

    def _is_bidirectional(self) -> bool:
        return True
