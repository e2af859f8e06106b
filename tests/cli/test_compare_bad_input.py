"""What `hypermixer compare` refuses: exit code 2, one sentence with the option and the nearest name, nothing begun."""

import pytest

from hypermixer.studies import engines
from tests.cli.test_compare import NLI, TINY


@pytest.mark.parametrize(
    ("more", "names"),
    [
        (["--mixers", "hypermixng"], ["--mixers", "did you mean 'hypermixing'"]),
        (["--mixers", "attention:heads=3"], ["--mixers attention:heads=3", "num_heads"]),
        (["--mixers", "attention:num_heads=3"], ["num_heads=3 does not divide d_model=16", "--d-model"]),
        (["--mixers", "none,none"], ["--mixers", "twice"]),
        (["--mixers", ""], ["--mixers", "missing"]),
        (["--lr", "abc"], ["--lr abc", "number"]),
        (["--lr", "0"], ["--lr 0", "above 0"]),
        (["--lr", "1e-3,"], ["--lr 1e-3,"]),
        (["--lr", "1e-3,0.001"], ["--lr", "twice"]),
        (["--seeds", "0"], ["--seeds", "at least 1"]),
        (["--seeds", "some"], ["--seeds", "whole number"]),
        (["--cost", "h", "--trials", "0"], ["--trials", "at least 1"]),
        (["--trials", "5"], ["--trials 5", "--cost h"]),
        (["--cost", "d", "--fractions", "0"], ["--fractions 0", "above 0"]),
        (["--cost", "d", "--fractions", "50,101"], ["--fractions 50,101", "at most 100"]),
        (["--cost", "d", "--fractions", "nan"], ["--fractions nan"]),
        (["--cost", "e", "--lengths", "0"], ["--lengths 0", "at least 1"]),
        (["--cost", "e", "--fractions", "5"], ["--fractions 5", "--cost d"]),
        (["--cost", "x"], ["--cost x", "d, e, h"]),
        (["--cost", ""], ["--cost"]),
        (["--baselines", "xgboost"], ["--baselines xgboost", "tfidf"]),
        (["--budget", "soon"], ["--budget soon", "10m"]),
        (["--budget", "1s"], ["--budget: 1 s is too little", "give"]),
        (["--workers", "0"], ["--workers", "at least 1"]),
        (["--workers", "99999"], ["--workers 99999", "cores"]),
        (["--engine", "rya"], ["--engine rya", "ray"]),
        (["--engine", "ray"], ["--device cpu", "--engine ray"]),
        (["--max-length", "251", "--mixers", "none,mlp_mixer"], ["--max-length: 251", "mlp_mixer", "250"]),
        (["--layout", "wrong"], ["--layout", "wrong", "pre"]),
        (["--layout", "bset"], ["--layout bset", "did you mean 'best'"]),
        (["--set", "mixer.tied=false"], ["--set mixer.tied", "--mixers"]),
        (["--set", "runtime.threads=1"], ["--set runtime.threads", "--workers"]),
        (["--device", "cuda:999"], ["--device cuda"]),
        (["--test", "nothing.csv"], ["nothing.csv"]),
        (["--reuse", "nowhere"], ["--reuse nowhere"]),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_a_sentence_before_any_work(more, names, command, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(engines, "run_here", lambda cell: pytest.fail("work was begun"))
    start = ["--mixers", "none"] if "--mixers" not in more else []
    result = command("compare", NLI, *start, *TINY, *more, "--out", tmp_path / "out")
    assert result.code == 2 and result.out == "", result
    assert len(result.err.splitlines()) == 1 and len(result.err) < 400, result.err
    for name in names:
        assert name in result.err, result.err
    assert not (tmp_path / "out").exists()


def test_data_that_cannot_be_compared_on(command, tmp_path, texts) -> None:
    one = tmp_path / "one.csv"
    one.write_text("text,label\n" + "a film,good\n" * 8)
    for data, names in ((one, ["one.csv", "good"]), (texts.with_name("text.csv"), ["text.csv", "texts.csv"])):
        result = command("compare", data, "--mixers", "none", "--out", tmp_path / "out", *TINY)
        assert result.code == 2 and all(name in result.err for name in names), result.err
        assert not (tmp_path / "out").exists()


def test_settings_of_a_mixer_in_a_file_are_refused(command, tmp_path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[mixer]\nname = 'attention'\n")
    result = command("compare", NLI, "--mixers", "none", "--config", config, "--out", tmp_path / "out", *TINY)
    assert result.code == 2 and "c.toml: mixer has no use here" in result.err and "--mixers" in result.err
