"""What Figure 4 of HyperMixer (arXiv 2203.03691) shows, and at how many trials its claim holds in our searches."""

from collections.abc import Sequence

import numpy as np

from hypermixer.costs.statistics import Interval
from hypermixer.costs.tuning import expected_maximum
from hypermixer.studies.figure_claims import Finding, greater
from hypermixer.studies.resampled import ends, resampled_trials
from hypermixer.studies.tasks import Task

#: Numbers of trials that the claim is looked at.
_BUDGETS = (1, 2, 3, 5, 10, 20)
#: Relative gain in expected validation accuracy, percent, for k = 1 to 20, read off the paper's curves.
PRINTED = {
    "QNLI": (7.3, 11.4, 13.6, 14.7, 15.1, 15.3, 15.1, 14.9, 14.6, 14.3,
             13.9, 13.5, 13.2, 12.8, 12.4, 12.1, 11.7, 11.4, 11.1, 10.8),
    "QQP": (5.1, 5.1, 4.7, 4.3, 4.0, 3.8, 3.6, 3.5, 3.3, 3.2, 3.1, 3.0, 2.9, 2.8, 2.7, 2.7, 2.6, 2.6, 2.5, 2.5),
    "MNLI": (2.2, 3.5, 4.1, 4.3, 4.2, 4.0, 3.7, 3.5, 3.2, 3.0, 2.8, 2.6, 2.4, 2.3, 2.1, 2.0, 1.9, 1.8, 1.7, 1.6),
    "SNLI": (6.6, 5.9, 4.9, 4.1, 3.5, 3.0, 2.7, 2.5, 2.3, 2.2, 2.1, 2.0, 1.9, 1.8, 1.8, 1.8, 1.7, 1.7, 1.6, 1.6),
    "SST": (2.9, 1.8, 1.1, 0.8, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.6, 0.6, 0.6, 0.6, 0.6, 0.5, 0.5, 0.5),
}  # fmt: skip
EXPLANATION = (
    "HyperMixer's expected best validation accuracy less the Transformer's, after k trials; and its relative gain after"
    " one trial less that after all. Decided where 95 % of the resamples of the trials lie on one side of zero; both"
    " models have the same trials, and are resampled together. One seed each. The paper's numbers are relative gains."
)
BETTER = "HyperMixer's best of k trials is the better one"
_MORE = "HyperMixer's gain is greater after one trial than after all"


def gains_of(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Relative gain, percent."""
    return 100 * (ours / theirs - 1)


def of_trials(task: Task, ours: Sequence[float], theirs: Sequence[float]) -> list[Finding]:
    """At small and large numbers of trials.

    Args:
        task: the data set.
        ours, theirs: validation accuracies, percent, of the same trials in the same order.
    """
    curves, (one, other) = (expected_maximum(ours), expected_maximum(theirs)), resampled_trials(ours, theirs)
    gains, paper = gains_of(*curves), PRINTED[task.paper]
    means, (low, high) = curves[0] - curves[1], ends(one - other)
    found = []
    for k in (k for k in _BUDGETS if k <= len(means)):
        apart = Interval(float(means[k - 1]), float(low[k - 1]), float(high[k - 1]))
        found.append(greater(BETTER, f"k = {k}, {task.name}", apart, paper[k - 1], "points", "%"))
    again = gains_of(one, other)
    least, most = ends(again[:, 0] - again[:, -1])
    less = Interval(float(gains[0] - gains[-1]), float(least), float(most))
    where, theirs_less = f"1 beside {len(gains)}, {task.name}", paper[0] - paper[len(gains) - 1]
    return [*found, greater(_MORE, where, less, theirs_less, "%", "%")]
