"""Optuna: studies of parameters, and trials that end after a few epochs."""

import numpy as np
import optuna
import pytest
from clients import small
from optuna_integration.sklearn import OptunaSearchCV
from optuna_integration.skorch import SkorchPruningCallback
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skrnn import EachStep, RNNClassifier

pytestmark = [
    pytest.mark.interop,
    # Optuna's own, of classes that it calls experimental, or deprecates.
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:.optuna.terminator. module:FutureWarning"),
]

IMAGES, DIGITS = (part[:300] for part in load_digits(return_X_y=True))
IMAGES = IMAGES.reshape(300, 8, 8)
RAGGED = [image[: 5 + i % 4] for i, image in enumerate(IMAGES)]
X_TRAIN, X_VAL, Y_TRAIN, Y_VAL = train_test_split(IMAGES, DIGITS, random_state=0)
RATES = [1e-2, 1e-6, 1e-7]


def study_of_rates(**options):
    """Return a study that tries three learning rates, the best first."""
    study = optuna.create_study(**options)
    for rate in RATES:
        study.enqueue_trial({"lr": rate})
    return study


def test_study_maximises_the_score_of_cross_validation():
    pipeline = make_pipeline(EachStep(StandardScaler()), small(RNNClassifier))

    def objective(trial):
        rate = trial.suggest_float("lr", 1e-8, 1e-1, log=True)
        model = clone(pipeline).set_params(rnnclassifier__lr=rate)
        return cross_val_score(model, IMAGES, DIGITS, cv=2).mean()

    study = study_of_rates(direction="maximize")
    study.optimize(objective, n_trials=3)

    scores = [
        cross_val_score(
            make_pipeline(EachStep(StandardScaler()), small(RNNClassifier, lr=rate)),
            IMAGES,
            DIGITS,
            cv=2,
        ).mean()
        for rate in RATES
    ]
    assert [trial.value for trial in study.trials] == scores
    assert study.best_params == {"lr": RATES[np.argmax(scores)]}


def test_callback_prunes_a_trial_after_an_epoch():
    models = []

    def objective(trial):
        rate = trial.suggest_float("lr", 1e-8, 1e-1, log=True)
        prune = SkorchPruningCallback(trial, "valid_loss")
        model = small(
            RNNClassifier, lr=rate, max_epochs=4, early_stopping=True, callbacks=[prune]
        )
        models.append(model)
        model.fit(X_TRAIN, Y_TRAIN, X_val=X_VAL, y_val=Y_VAL)
        return min(model.validation_loss_curve_)

    pruner = optuna.pruners.MedianPruner(n_startup_trials=1)
    study = study_of_rates(pruner=pruner)
    study.optimize(objective, n_trials=3)

    complete, *pruned = study.trials
    losses = models[0].validation_loss_curve_
    assert complete.state == optuna.trial.TrialState.COMPLETE
    assert complete.intermediate_values == dict(enumerate(losses))
    assert models[0].engine_ == "compiled"
    for trial, model in zip(pruned, models[1:], strict=True):
        assert trial.state == optuna.trial.TrialState.PRUNED
        assert list(trial.intermediate_values) == [0]
        assert not hasattr(model, "classes_")  # a fit that was pruned is none


def test_epochs_of_partial_fit_are_reported_one_by_one():
    def objective(trial):
        rate = trial.suggest_float("lr", 1e-8, 1e-1, log=True)
        model = small(RNNClassifier, lr=rate)
        for epoch in range(4):
            model.partial_fit(X_TRAIN, Y_TRAIN, classes=np.unique(DIGITS))
            trial.report(model.score(X_VAL, Y_VAL), epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return model.score(X_VAL, Y_VAL)

    pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=2)
    study = study_of_rates(direction="maximize", pruner=pruner)
    study.optimize(objective, n_trials=3)

    assert [len(trial.intermediate_values) for trial in study.trials] == [4, 3, 3]
    assert study.best_params == {"lr": RATES[0]}


@pytest.mark.parametrize("enable_pruning", [False, True], ids=["fit", "partial_fit"])
@pytest.mark.parametrize("X", [IMAGES, RAGGED], ids=["3-D", "ragged"])
def test_search_refits_the_best_of_its_trials(X, enable_pruning):
    search = OptunaSearchCV(
        small(RNNClassifier),
        {"lr": optuna.distributions.CategoricalDistribution(RATES)},
        n_trials=3,
        cv=2,
        enable_pruning=enable_pruning,
        max_iter=2,
        random_state=0,
        error_score="raise",
    ).fit(X, DIGITS)

    scores = [trial.value for trial in search.study_.trials]
    assert search.best_score_ == max(scores)
    expected = small(RNNClassifier, **search.best_params_).fit(X, DIGITS)
    np.testing.assert_array_equal(search.predict(X), expected.predict(X))
