"""Table 5 of HyperMixer (arXiv 2203.03691): ablations of dynamics, token mixing, feature mixing and tying."""

from dataclasses import replace
from functools import partial

from hypermixer.report.page import Section
from hypermixer.studies.beside_paper import cells, parameters, shown, table
from hypermixer.studies.claims import Claim, section, tally, verdicts
from hypermixer.studies.fill import Filled
from hypermixer.studies.models import ABLATIONS, FEATURE_ONLY, HYPERMIXER, SHARED_VECTOR, TOKEN_ONLY, UNTIED
from hypermixer.studies.study import Result, Study, tables
from hypermixer.studies.tasks import QQP, SCALES, SST2_SENTENCE, Scale

CLAIMS = (
    Claim(HYPERMIXER, FEATURE_ONLY, "token mixing matters"),
    Claim(HYPERMIXER, TOKEN_ONLY, "feature mixing matters"),
    Claim(HYPERMIXER, SHARED_VECTOR, "dynamics matter"),
    Claim(HYPERMIXER, UNTIED, "tying helps"),
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
    found = verdicts(filled, scale, CLAIMS)
    accuracy = tuple(table(filled, task, ABLATIONS) for task in scale.tasks)
    claims = section(found)
    sections = (claims, Section("Accuracy", (*accuracy, parameters(filled, scale, ABLATIONS))))
    return Result(tally(found), sections, (*map(shown, accuracy), *tables(claims)))
