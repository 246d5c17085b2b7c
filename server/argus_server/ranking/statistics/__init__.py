"""The mathematics of the ranking: pure functions of arrays, with SciPy and NumPy behind them.

`scores` are always an array of datasets × models, **lower is better**, NaN where a model has no value.
Nothing here knows jobs, metrics or names.
"""

from __future__ import annotations

from argus_server.ranking.statistics.comparisons import (
    RELATIVE_TIE,
    Ties,
    WinLoss,
    average_ranks,
    fractional_ranks,
    pairwise_average_ranks,
    skill,
    win_loss,
    win_rates,
)
from argus_server.ranking.statistics.intervals import (
    BOOTSTRAPS,
    LEAST_DATASETS,
    pairwise_rank_intervals,
    rank_intervals,
    t_half_width,
)
from argus_server.ranking.statistics.significance import (
    Friedman,
    SkillingsMack,
    Wilcoxon,
    critical_difference,
    friedman,
    holm,
    nemenyi_p,
    skillings_mack,
    smallest_n,
    wilcoxon,
)
from argus_server.ranking.statistics.tiers import ALPHA, Against, Tiers, cliques, find_tiers

__all__ = [
    "ALPHA",
    "BOOTSTRAPS",
    "LEAST_DATASETS",
    "RELATIVE_TIE",
    "Against",
    "Friedman",
    "SkillingsMack",
    "Tiers",
    "Ties",
    "Wilcoxon",
    "WinLoss",
    "average_ranks",
    "cliques",
    "critical_difference",
    "find_tiers",
    "fractional_ranks",
    "friedman",
    "holm",
    "nemenyi_p",
    "pairwise_average_ranks",
    "pairwise_rank_intervals",
    "rank_intervals",
    "skill",
    "skillings_mack",
    "smallest_n",
    "t_half_width",
    "wilcoxon",
    "win_loss",
    "win_rates",
]
