"""Table 5 of HyperMixer (arXiv 2203.03691): ablations of dynamics, token mixing, feature mixing and tying."""

from dataclasses import replace
from functools import partial

from hypermixer.report.page import Section
from hypermixer.studies.beside_paper import Claim, cells, claims, table
from hypermixer.studies.fill import Filled
from hypermixer.studies.models import ABLATIONS
from hypermixer.studies.study import Result, Study
from hypermixer.studies.tasks import QQP, SCALES, SST2_SENTENCE, Scale

CLAIMS = (
    Claim("Token mixing matters: HyperMixer is better than feature mixing only.", "HyperMixer", "Feature mixing only"),
    Claim("Feature mixing matters: HyperMixer is better than token mixing only.", "HyperMixer", "Token mixing only"),
    Claim("Dynamics matter: HyperMixer is better than a shared weight-vector.", "HyperMixer", "Shared weight-vector"),
    Claim("Tying helps: HyperMixer is better than untied.", "HyperMixer", "HyperMixer, untied"),
)


def study(name: str, scale: str) -> Study:
    """Table 5."""
    there = SCALES[scale]
    if scale == "small":
        kept = tuple(d for d in there.deviations if not d.startswith("SST-2 at"))
        there = replace(
            there, tasks=(SST2_SENTENCE, QQP), deviations=(*kept, "Four layers of width 128, three epochs.")
        )
    plan = partial(cells, there, ABLATIONS)
    return Study(name, "Table 5: ablations", scale, name, plan, partial(_result, there), there.deviations)


def _result(scale: Scale, filled: Filled) -> Result:
    tables = tuple(table(filled, task, ABLATIONS) for task in scale.tasks)
    verdicts = claims(filled, scale, CLAIMS)
    return Result(str(verdicts.body[-1]).removeprefix("- ").partition("\n")[0], (verdicts, Section("Accuracy", tables)))
