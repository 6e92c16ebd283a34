"""Regression, risk-coverage curve, AURC, ECE and shares with their intervals, by NumPy and SciPy.

usage: python generate_intervals.py > intervals.json   (NumPy's legacy generator, seed 1 for every bootstrap)
"""
import json
import sys

import numpy as np
from scipy import stats

draw = np.random.RandomState(7)
n = 30
score = np.round(draw.gamma(3.0, 0.4, n), 4)
dice = np.round(np.clip(0.95 - 0.15 * score + draw.normal(0, 0.05, n), 0, 1), 4)
expected = np.round(np.clip(0.93 - 0.13 * score, 0, 1), 4)
places = [0.0, 1.0, 2.5]


def risks(x, y):
    return np.cumsum(1 - y[np.argsort(x, kind="stable")]) / np.arange(1, len(x) + 1)


def ece(x, y):
    bins = np.clip(np.digitize(x, np.arange(1, 10) / 10), 0, 9)
    return sum(abs(x[bins == b].mean() - y[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins))


def boot(x, y, statistic):
    random = np.random.RandomState(1)
    drawn = [random.randint(0, n, n) for _ in range(1000)]
    values = np.array([statistic(x[i], y[i]) for i in drawn])
    return np.percentile(values, [2.5, 97.5], axis=0).T.tolist()


def line(x, y):
    fit = stats.linregress(x, y)
    return np.array([fit.slope, fit.intercept])


kept = [-(-point * n // 7) for point in range(1, 8)]
heights = lambda x, y: line(x, y) @ np.array([places, np.ones(len(places))])
curve = lambda x, y: risks(x, y)[np.array(kept) - 1]
share = lambda k, m: list(stats.binomtest(k, m).proportion_ci(0.95, method="exact"))
json.dump(
    {
        "score": score.tolist(),
        "dice": dice.tolist(),
        "expected": expected.tolist(),
        "places": places,
        "line": line(score, dice).tolist(),
        "line_interval": boot(score, dice, line),
        "band": boot(score, dice, heights),
        "coverage": [k / n for k in kept],
        "risk": curve(score, dice).tolist(),
        "risk_interval": boot(score, dice, curve),
        "aurc": float(risks(score, dice).mean()),
        "aurc_interval": boot(score, dice, lambda x, y: risks(x, y).mean()),
        "ece": float(ece(expected, dice)),
        "ece_interval": boot(expected, dice, ece),
        "shares": [[k, m, *share(k, m)] for k, m in [(0, 12), (1, 12), (27, 30), (30, 30), (500, 1000)]],
    },
    sys.stdout,
    indent=1,
)
