"""The classifiers."""

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score

from skrnn._base import BaseRecurrent
from skrnn._compat import StrOptions
from skrnn._data.targets import ClassTarget, class_target


class BaseClassifier(ClassifierMixin, BaseRecurrent):
    """What the classifiers share: labels in, labels and probabilities out."""

    _parameter_constraints: dict = {
        **BaseRecurrent._parameter_constraints,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one epoch with a constant learning rate.

        The first call fixes the scaling of X and the labels.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, as for `fit`.

        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Labels, or an indicator matrix; with `return_sequences` as for `fit`.

        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come. Required at the first call, unless y is an
            indicator matrix.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative; only their ratios within a call count.

        Returns
        -------
        self : object
            The estimator, trained for one epoch more.
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

    def predict(self, X):
        """Predict the most probable label of each sequence.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, as for `fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
            Labels, or an indicator matrix if y was one. With `return_sequences` of
            each time step: `(n_samples, n_timesteps)` or `(n_samples, n_timesteps,
            n_labels)`, and of X in a list a 1-D object array of arrays.
        """
        return self._answer(X, lambda target, output, _: target.decode(output))

    def predict_proba(self, X):
        """Predict the probability of each label.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, as for `fit`.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`. For an indicator matrix each column is the
            probability that its label is present. With `return_sequences` of each
            time step, `(n_samples, n_timesteps, n_classes)`; of X in a list a 1-D
            object array of arrays.
        """
        return self._answer(X, lambda target, output, _: target.probabilities(output))

    def predict_log_proba(self, X):
        """Predict the natural logarithm of each label's probability.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, as for `fit`.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            More exact than the logarithm of `predict_proba` where that is near 0.
        """
        return self._answer(
            X, lambda target, output, _: target.log_probabilities(output)
        )

    def score(self, X, y, sample_weight=None):
        """Return the share of right answers.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, as for `fit`.

        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            True labels; with `return_sequences` those of each time step, as for `fit`.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights; with `return_sequences` of sequences or of time steps.

        Returns
        -------
        score : float
            Accuracy. With `return_sequences` that of all time steps together.
        """
        if self.return_sequences:
            return self._score_steps(accuracy_score, X, y, sample_weight)
        return super().score(X, y, sample_weight)

    def _make_target(self, y, classes, one_epoch):
        if one_epoch and classes is None and np.ndim(y) == 1:
            raise ValueError(
                "classes must be passed on the first call to partial_fit. Got None. "
                "Pass all labels that will ever come."
            )
        return class_target(y, classes, owner=type(self).__name__)

    def _weigh_rows(self, target, y, weights):
        return target.row_weights(target.encode(y), self.class_weight, weights)

    def _strata(self, target, y):
        return target.encode(y) if isinstance(target, ClassTarget) else None

    def _take_over(self, net):
        super()._take_over(net)
        self.classes_ = net.target.classes

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class RNNClassifier(BaseClassifier):
    """Recurrent network for the class of each sequence.

    Reads each sequence step by step with an RNN, GRU or LSTM and maps its pooled
    states to the log-odds of the classes by a linear layer. Prefer it to a classifier
    on the flattened sequence when sequences differ in length, when there are many
    steps, or when what matters can stand at any step. Binary, multi-class and
    multilabel (an indicator matrix as y); X is standardised inside.

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

    class_weight : dict, 'balanced', list of dicts or None, default=None
        Weights of the labels, multiplied with `sample_weight`. 'balanced' gives every
        class the same total weight. For an indicator matrix: 'balanced', or a list
        with a dict of the weights of 0 and 1 for each label.

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

    early_stopping : bool, default=False
        Whether to stop when the validation loss no longer improves, and to restore
        the weights of the best epoch.

    validation_fraction : float in (0, 1), default=0.1
        Share of the rows set aside by `early_stopping` if `fit` gets no `X_val`.

    validation_strategy : {'random', 'last'}, default='random'
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
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; the column numbers for an indicator matrix.

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
    BiRNNClassifier : Reads each sequence both ways.
    RNNRegressor : The same for real targets.
    TokenOneHotEncoder : Turns sentences into sequences.

    Notes
    -----
    X with channels before time, as aeon, sktime and tsai have it, needs
    `X.transpose(0, 2, 1)`. Pass float32 for speed.

    References
    ----------
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
        class_weight=None,
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
        early_stopping=False,
        validation_fraction=0.1,
        validation_strategy="random",
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
        self.class_weight = class_weight
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
    """Recurrent network that reads each sequence both ways, for its class.

    As `RNNClassifier` with every layer running in both directions of time, which helps
    when the whole sequence is known before the answer is due: texts, recordings,
    images read row by row. It cannot be used for a stream.

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

    class_weight : dict, 'balanced', list of dicts or None, default=None
        Weights of the labels, multiplied with `sample_weight`. 'balanced' gives every
        class the same total weight. For an indicator matrix: 'balanced', or a list
        with a dict of the weights of 0 and 1 for each label.

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

    early_stopping : bool, default=False
        Whether to stop when the validation loss no longer improves, and to restore
        the weights of the best epoch.

    validation_fraction : float in (0, 1), default=0.1
        Share of the rows set aside by `early_stopping` if `fit` gets no `X_val`.

    validation_strategy : {'random', 'last'}, default='random'
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
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; the column numbers for an indicator matrix.

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
    RNNClassifier : Reads each sequence from its beginning to its end.

    Notes
    -----
    X with channels before time, as aeon, sktime and tsai have it, needs
    `X.transpose(0, 2, 1)`. Pass float32 for speed.

    References
    ----------
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
        hidden_size=64,
        *,
        num_layers=1,
        cell_type="rnn",
        nonlinearity="tanh",
        dropout=0.0,
        pooling="last",
        initial_state="zeros",
        embedding_dim=None,
        return_sequences=False,
        standardize=True,
        class_weight=None,
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
        early_stopping=False,
        validation_fraction=0.1,
        validation_strategy="random",
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
        self.pooling = pooling
        self.initial_state = initial_state
        self.embedding_dim = embedding_dim
        self.return_sequences = return_sequences
        self.standardize = standardize
        self.class_weight = class_weight
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

    def _is_bidirectional(self):
        return True
