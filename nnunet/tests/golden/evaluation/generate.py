"""Keeps three cases of nnU-Net's validation summary and averages them as compute_metrics_on_folder does.

usage: python generate.py SUMMARY_JSON > summary.json   (nnunetv2 2.8.1, NumPy; prints SciPy's correlations to stderr)
"""
import json
import sys

import numpy as np
from scipy import stats

summary = json.load(open(sys.argv[1]))
cases = summary["metric_per_case"][:3]
keys = sorted(cases[0]["metrics"])
mean = {k: {m: float(np.nanmean([c["metrics"][k][m] for c in cases])) for m in cases[0]["metrics"][k]} for k in keys}
foreground = {m: float(np.mean([mean[k][m] for k in keys])) for m in mean[keys[0]]}
json.dump({"foreground_mean": foreground, "mean": mean, "metric_per_case": cases}, sys.stdout, indent=1)

x, y = [1.0, 2, 2, 4, 5, 9], [0.9, 0.8, 0.85, 0.3, 0.6, 0.1]
pearson = stats.pearsonr(x, y)
rho = stats.spearmanr(x, y).statistic
half = stats.norm.ppf(0.975) * np.sqrt(1.06 / (len(x) - 3))
print(pearson.statistic, pearson.confidence_interval(0.95), file=sys.stderr)
print(rho, np.tanh(np.arctanh(rho) - half), np.tanh(np.arctanh(rho) + half), file=sys.stderr)
