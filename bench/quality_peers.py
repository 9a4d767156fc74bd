"""What our models are compared with: each peer learns from the training rows
of a fold and gives probabilities for the others.  One thread, fixed seeds."""
import warnings

import numpy as np
import pandas
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

INNER = 5       # inner folds, by which a peer is tuned


def dense(frame):
    """One-hot categories beside standardised numbers, the missing ones
    replaced by the median and marked."""
    categories = [name for name in frame.columns
                  if isinstance(frame[name].dtype, pandas.CategoricalDtype)]
    numbers = [name for name in frame.columns if name not in categories]
    return make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median", add_indicator=True),
                       StandardScaler()), numbers),
        (make_pipeline(SimpleImputer(strategy="constant",
                                     fill_value="(missing)"),
                       OneHotEncoder(handle_unknown="ignore", min_frequency=2,
                                     sparse_output=False)), categories),
        sparse_threshold=0)


def inner_folds(churned, seed):
    folds = StratifiedKFold(INNER, shuffle=True, random_state=1000 + seed)
    return list(folds.split(churned, churned))


def learn_dense(make, train, churned, test):
    encoder = dense(train)
    matrix = encoder.fit_transform(train)
    model = make().fit(matrix, churned)
    return model.predict_proba(encoder.transform(test))[:, 1]


def logistic(train, churned, test, seed):
    """scikit-learn's logistic regression."""
    del seed
    return learn_dense(lambda: LogisticRegression(max_iter=2000), train,
                       churned, test)


def random_forest(train, churned, test, seed):
    """scikit-learn's random forest of 500 trees; the smallest leaf (1, 5 or 10
    rows) with the best log loss out of the bag."""
    encoder = dense(train)
    matrix = encoder.fit_transform(train)
    best = (np.inf, None)
    for leaf in (1, 5, 10):
        model = RandomForestClassifier(500, min_samples_leaf=leaf,
                                       oob_score=True, random_state=seed)
        model.fit(matrix, churned)
        loss = log_loss(churned,
                        model.oob_decision_function_[:, 1].clip(1e-3, 0.999))
        if loss < best[0]:
            best = (loss, model)
    return best[1].predict_proba(encoder.transform(test))[:, 1]


def mlp(train, churned, test, seed):
    """scikit-learn's network of 32 hidden neurons; the better of two pairs of
    weight decay and epochs on a held-out fifth."""
    def make(alpha, epochs):
        return lambda: MLPClassifier((32,), alpha=alpha, max_iter=epochs,
                                     random_state=seed)

    def loss(pair):
        into, out = inner_folds(churned, seed)[0]
        return log_loss(churned[out],
                        learn_dense(make(*pair), train.iloc[into],
                                    churned[into], train.iloc[out]))

    best = min(((1.0, 80), (0.1, 120)), key=loss)
    return learn_dense(make(*best), train, churned, test)


def one_hot(frame, like=None):
    """Categories as columns of 0 and 1; numbers stay as they are, NaN too."""
    matrix = pandas.get_dummies(frame, dtype=np.float32)
    if like is not None:
        matrix = matrix.reindex(columns=like.columns, fill_value=0)
    return matrix


def xgboost_tuned(train, churned, test, seed):
    """XGBoost with the best depth of 2 to 6 and number of rounds by inner
    cross-validation with early stopping."""
    matrix = one_hot(train)
    # XGBoost refuses some characters in names; it needs none here.
    values = matrix.to_numpy(np.float32)
    data = xgboost.DMatrix(values, churned, nthread=1)
    best = (np.inf, None, 0)
    for depth in range(2, 7):
        params = {"objective": "binary:logistic", "eval_metric": "logloss",
                  "tree_method": "hist", "max_depth": depth, "eta": 0.05,
                  "subsample": 0.8, "colsample_bytree": 0.8, "seed": seed,
                  "nthread": 1}
        history = xgboost.cv(params, data, 1000, as_pandas=False,
                             folds=inner_folds(churned, seed),
                             early_stopping_rounds=50)
        losses = history["test-logloss-mean"]
        if losses[-1] < best[0]:
            best = (losses[-1], params, len(losses))
    model = xgboost.train(best[1], data, best[2])
    return model.predict(xgboost.DMatrix(
        one_hot(test, matrix).to_numpy(np.float32), nthread=1))


PEERS = {"logistic": logistic, "random forest": random_forest, "mlp": mlp,
         "xgboost tuned": xgboost_tuned}


def predict(name, train, churned, test, seed):
    """The probabilities of the test rows by a peer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(PEERS[name](train, churned, test, seed),
                          dtype=np.float64)
