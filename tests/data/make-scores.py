#!/usr/bin/python3
"""Writes scores.json: small random classification problems with scikit-learn's and SciPy's values,
which metrics_test compares with ours. Run: tests/data/make-scores.py > tests/data/scores.json"""
import json

import numpy as np
import scipy
import sklearn
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score, top_k_accuracy_score

rng = np.random.default_rng(7)
cases = []
for classes, samples, skew, noise in [(3, 20, 0.3, 0.5), (14, 60, 0.6, 1.0), (25, 80, 1.2, 2.0)]:
    share = 1 / np.arange(1, classes + 1) ** skew
    share[-2:] = 0  # two classes never occur as truth, but may be predicted
    truth = rng.choice(classes, samples, p=share / share.sum())
    scores = rng.normal(size=(samples, classes)) * noise
    scores[np.arange(samples), truth] += 1.5
    scores = scores.round(4)
    predicted = scores.argmax(1)
    present = np.unique(truth)
    every = np.arange(classes)
    cases.append({
        "classes": classes, "truth": truth.tolist(), "scores": scores.tolist(),
        "macro_f1": f1_score(truth, predicted, labels=present, average="macro", zero_division=0),
        "weighted_f1": f1_score(truth, predicted, labels=present, average="weighted", zero_division=0),
        "accuracy": accuracy_score(truth, predicted),
        "top5": top_k_accuracy_score(truth, scores, k=5, labels=every) if classes > 5 else 1.0,
        "top10": top_k_accuracy_score(truth, scores, k=10, labels=every) if classes > 10 else 1.0,
        "present": len(present),
    })
divergences = []
for n in (2, 7, 40):
    a, b = rng.poisson(3, n), rng.poisson(2, n)
    a[0] += 1
    b[-1] += 1
    divergences.append({"a": a.tolist(), "b": b.tolist(),
                        "jsd": float(jensenshannon(a / a.sum(), b / b.sum(), base=2) ** 2)})
label = rng.integers(0, 2, 50)
score = (label + rng.normal(size=50)).round(1)  # rounded: ties
print(json.dumps({
    "made_by": f"scikit-learn {sklearn.__version__}, SciPy {scipy.__version__}",
    "classification": cases, "divergence": divergences,
    "auc": {"label": label.tolist(), "score": score.tolist(), "auc": roc_auc_score(label, score)},
}))
