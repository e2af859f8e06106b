from pathlib import Path

import optuna

from hypermixer.costs.search import Space
from hypermixer.studies.figure4 import study
from hypermixer.studies.fill import Filled
from hypermixer.studies.kept_trials import FILE, keep_trials
from tests.studies.test_cost_sections import searched


def test_optuna_reads_the_trials(tmp_path: Path) -> None:
    made, filled = searched()
    keep_trials(tmp_path, ["none", "shift"], filled, made.drawn(), made.space)
    storage = f"sqlite:///{tmp_path / FILE}"
    found = optuna.load_study(study_name="none", storage=storage)
    assert [t.value for t in found.trials] == [0.5, 0.7] and found.best_value == 0.7
    assert [(t.params["lr"], t.params["dropout"]) for t in found.trials] == [(t.lr, t.dropout) for t in made.drawn()]
    other = optuna.load_study(study_name="shift", storage=storage)
    assert [t.state.name for t in other.trials] == ["COMPLETE", "FAIL"]


def test_trials_without_a_cell_wait(tmp_path: Path) -> None:
    made, filled = searched()
    keep_trials(tmp_path, ["none"], Filled(cells=filled.cells), made.drawn(), Space())
    found = optuna.load_study(study_name="none", storage=f"sqlite:///{tmp_path / FILE}")
    assert {t.state.name for t in found.trials} == {"WAITING"}


def test_figure_4_keeps_a_search_for_each_model_and_data_set(tmp_path: Path) -> None:
    figure = study("figure4", "smoke")
    cells = list(figure.plan({}))
    metrics = {"evaluation": {"accuracy": 0.25, "examples": 4}}
    rows = {cell.key: {"outcome": "done", "metrics": metrics} for cell in cells[:4]}
    figure.keep(Filled(cells=cells, rows=rows), tmp_path)
    names = optuna.get_all_study_names(f"sqlite:///{tmp_path / FILE}")
    assert sorted(names) == ["HyperMixer, builtin:nli", "Transformer, builtin:nli"]
