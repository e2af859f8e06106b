"""Whole conversions: a student learns, the same twice, and goes on after a stop as if nothing had happened."""

import json
import os
import random
import signal

import numpy as np
import pytest
import torch

from hypermixer.convert import cache
from hypermixer.convert.run import convert
from hypermixer.convert.settings import Conversion, Request, Shape
from hypermixer.convert.stages import Lesson
from hypermixer.convert.teacher import Teacher
from hypermixer.convert.trainer import LOOKS
from hypermixer.errors import InputError, WorkError
from hypermixer.inference import embed
from tests.convert.teachers import WIDTH, load, texts, write_teacher

SOME = texts()[:140]
ASKING, LAYERWISE, WHOLE, MASKED = "Asking the teacher", "Teaching each layer", "Teaching the whole", "Masked tokens"


def request_for(folder, shape=None, **conversion):
    options = {"steps": 20, "layerwise_share": 0.4, "batch_tokens": 160, "device": "cpu", "precision": "fp32"}
    options = {k: v for k, v in {**options, "lr": 3e-3, **conversion}.items() if v is not None}
    return Request(str(folder), shape or Shape(), Conversion(**options))


def weights(converted):
    return {name: tensor.clone() for name, tensor in converted.model.state_dict().items()}


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def at(what, step, action):
    """A report that acts once, when so much of something is done."""
    acted = []

    def report(said, done, total, agreement):
        if said == what and done >= step and not acted:
            acted.append(done)
            action()

    return report


def interrupt():
    raise KeyboardInterrupt


def signalled():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr("hypermixer.inference.TOKENS_PER_BATCH", 160)
    monkeypatch.setattr(cache, "_EVERY", 2)


def test_a_student_learns_to_agree(folder, tmp_path):
    told = []
    converted = convert(
        request_for(folder, steps=80), SOME, tmp_path / "m", report=lambda *seen: told.append(seen)
    )  # fmt: skip
    record = converted.record
    agreement = record["agreement"]
    assert agreement["held_out"] > 0.94 > 0.8 > agreement["before"]
    assert agreement["layerwise"][-1][1] > agreement["before"] + 0.05
    assert [step for step, _ in agreement["layerwise"]][-1] == 32
    assert agreement["whole"][-1] == [48, agreement["held_out"]] and len(agreement["whole"]) <= LOOKS
    assert record["schedule"] == {"pieces": 133, "steps": {"layerwise": 32, "whole": 48}, "measured": {}}
    assert (
        record["texts"]["read"] == 140 and record["texts"]["held_out"] == 7 and record["texts"]["learned_from"] == 133
    )
    lengths = [len(load(folder).tokenizer(text)["input_ids"]) for text in SOME]
    learned = record["cost"]["tokens"]
    assert 0 < learned["layerwise"] < learned["whole"] < 48 * max(160, *lengths)
    assert record["cost"]["parameters"] == sum(p.numel() for p in converted.model.parameters())
    assert record["kind"] == "encoder" and record["max_length"] is None
    assert not converted.model.training
    assert {said for said, *_ in told} >= {ASKING, LAYERWISE, WHOLE}
    # What it says of texts is what was measured.
    vectors = embed(converted.model, converted.tokenizer, SOME)
    teacher = load(folder)
    ids = teacher.tokenizer(list(SOME), padding=True, return_tensors="pt")
    theirs = teacher(ids["input_ids"], ids["attention_mask"].bool()).embeddings.numpy()
    assert (vectors * theirs).sum(1).mean() > 0.94
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_repeats_bit_for_bit_and_the_seed_matters(folder, tmp_path):
    one, again, other = (
        convert(request_for(folder, seed=seed), SOME, tmp_path / name)
        for name, seed in (("one", 0), ("again", 0), ("other", 1))
    )
    assert same(weights(one), weights(again)) and not same(weights(one), weights(other))
    assert one.record["agreement"] == again.record["agreement"]


STOPS = [
    ("Asking the teacher about held-out texts", 1),
    (ASKING, 1),
    (ASKING, 70),
    (LAYERWISE, 1),
    (LAYERWISE, 5),
    (LAYERWISE, 8),
    (WHOLE, 2),
    (WHOLE, 12),
]


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hypermixer.inference.TOKENS_PER_BATCH", 160)
        return convert(request_for(folder), SOME, tmp_path_factory.mktemp("whole") / "m")


@pytest.mark.parametrize(("what", "step"), STOPS)
def test_resumed_after_a_crash_equals_uninterrupted(folder, whole, tmp_path, what, step):
    with pytest.raises(KeyboardInterrupt):
        convert(request_for(folder), SOME, tmp_path / "m", report=at(what, step, interrupt))
    resumed = convert(request_for(folder), SOME, tmp_path / "m", resume=True)
    assert same(weights(whole), weights(resumed))
    assert resumed.record["agreement"] == whole.record["agreement"]


@pytest.mark.parametrize(("what", "step"), [(LAYERWISE, 3), (WHOLE, 7)])
def test_resumed_after_a_signal_equals_uninterrupted(folder, whole, tmp_path, what, step):
    with pytest.raises(KeyboardInterrupt):
        convert(request_for(folder), SOME, tmp_path / "m", report=at(what, step, signalled))
    stage = {LAYERWISE: "layerwise", WHOLE: "whole"}[what]
    assert (tmp_path / "m" / "checkpoints" / stage / f"checkpoint-{step}" / "trainer_state.json").exists()
    steps = []
    resumed = convert(
        request_for(folder),
        SOME,
        tmp_path / "m",
        resume=True,
        report=lambda said, done, *_: steps.append(done) if said == what else None,
    )
    assert steps[0] == step + 1
    assert same(weights(whole), weights(resumed))
    assert resumed.record["agreement"] == whole.record["agreement"]


def test_resumed_twice(folder, whole, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        convert(request_for(folder), SOME, tmp_path / "m", report=at(ASKING, 40, interrupt))
    for what, step, action in ((LAYERWISE, 4, interrupt), (WHOLE, 3, signalled), (WHOLE, 9, interrupt)):
        with pytest.raises(KeyboardInterrupt):
            convert(request_for(folder), SOME, tmp_path / "m", resume=True, report=at(what, step, action))
    resumed = convert(request_for(folder), SOME, tmp_path / "m", resume=True)
    assert same(weights(whole), weights(resumed))


def test_all_three_stages_interrupted_or_not(folder, tmp_path):
    request = request_for(folder, stages="layerwise,whole,masked")
    whole = convert(request, SOME, tmp_path / "whole")
    assert list(whole.record["schedule"]["steps"].values()) == [8, 6, 6]
    for what, step, action in ((MASKED, 2, interrupt), (MASKED, 4, signalled)):
        with pytest.raises(KeyboardInterrupt):
            convert(request, SOME, tmp_path / f"cut{step}", report=at(what, step, action))
        resumed = convert(request, SOME, tmp_path / f"cut{step}", resume=True)
        assert same(weights(whole), weights(resumed))
    two = convert(
        request_for(folder, stages="layerwise,whole", steps=14, layerwise_share=8.1 / 14), SOME, tmp_path / "2"
    )
    assert two.record["schedule"]["steps"] == {"layerwise": 8, "whole": 5}
    assert not same(weights(whole), weights(two))


def test_the_whole_alone(folder, tmp_path):
    converted = convert(request_for(folder, stages="whole"), SOME, tmp_path / "m")
    assert list(converted.record["agreement"]) == ["before", "whole", "held_out"]
    assert converted.record["agreement"]["held_out"] > converted.record["agreement"]["before"]


SMALL = Shape(layers=2, d_model=16, d_features=24)


@pytest.mark.parametrize("stages", ["layerwise,whole", "whole,masked"])
def test_smaller_in_every_way(folder, tmp_path, stages):
    request = request_for(folder, SMALL, vocabulary="used", stages=stages, steps=40)
    some = [*SOME[:100], *(f"{text} {text}" for text in SOME[:9])]
    converted = convert(request, some, tmp_path / "m")
    config = converted.model.config
    assert (config.hidden_size, config.num_hidden_layers, config.intermediate_size) == (16, 2, 24)
    assert config.vocab_size == len(converted.tokenizer) <= 90
    assert converted.record["agreement"]["held_out"] > converted.record["agreement"]["before"] - 0.05
    assert embed(converted.model, converted.tokenizer, SOME[:3]).shape == (3, 16)
    with pytest.raises(KeyboardInterrupt):
        last = WHOLE if stages.endswith("whole") else MASKED
        convert(request, some, tmp_path / "cut", report=at(last, 5, interrupt))
    assert same(weights(converted), weights(convert(request, some, tmp_path / "cut", resume=True)))


@pytest.mark.parametrize("kind", ["distilbert", "mpnet", "roberta"])
def test_other_families_learn(tmp_path, kind):
    folder = write_teacher(tmp_path / kind, kind)
    converted = convert(request_for(folder, Shape("linear_attention"), steps=40), SOME, tmp_path / "m")
    assert converted.record["agreement"]["held_out"] > converted.record["agreement"]["before"]
    assert converted.model.config.hidden_size == WIDTH and not converted.model.config.normalize_embeddings


def test_mixers_of_fixed_length_take_pieces_of_theirs(folder, tmp_path):
    converted = convert(request_for(folder, Shape("gmlp", {"max_length": 9})), SOME, tmp_path / "m")
    assert converted.record["max_length"] == 9 and converted.tokenizer.model_max_length == 9
    assert converted.record["texts"]["split"] > 20
    with pytest.raises(InputError, match="9 at most"):
        embed(converted.model, converted.tokenizer, [" ".join(SOME[:9])])


def test_a_schedule_fills_what_is_left_of_the_time(folder, tmp_path, monkeypatch):
    """On a clock of the test's own, on which everything takes a hundredth of a second."""
    now = [0.0]

    def tick():
        now[0] += 0.01
        return now[0]

    monkeypatch.setattr("time.perf_counter", tick)
    converted = convert(request_for(folder, steps=None, minutes=0.05), texts(), tmp_path / "m")
    schedule, seconds = converted.record["schedule"], converted.record["cost"]["seconds"]
    measured = schedule["measured"]
    assert measured["whole step seconds"] == measured["layerwise step seconds"] == pytest.approx(0.01)
    taught = sum(count * 0.01 for count in schedule["steps"].values())
    assert 1.0 < taught < 3.0 and schedule["steps"]["layerwise"] == pytest.approx(0.4 * taught / 0.01, abs=2)
    assert seconds["all"] == pytest.approx(sum(spent for part, spent in seconds.items() if part != "all"), abs=0.3)


def test_a_stage_without_the_teachers_vectors_asks_for_none(tmp_path, monkeypatch):
    folder = write_teacher(tmp_path / "t", head=True)
    asked, call = [], Teacher.__call__

    def counted(self, ids, keep, *more, inner=False):
        asked.append(0 if inner else len(ids))
        return call(self, ids, keep, *more, inner=inner)

    monkeypatch.setattr(Teacher, "__call__", counted)
    for stage in ("layerwise", "masked"):
        asked.clear()
        record = convert(request_for(folder, stages=stage, steps=3), SOME, tmp_path / stage).record
        assert sum(asked) == record["texts"]["held_out"] == 7


def test_few_steps_ask_about_few_texts(folder, tmp_path):
    record = convert(request_for(folder, stages="whole", steps=3), SOME, tmp_path / "m").record
    assert record["texts"]["learned_from"] < 80
    assert record["cost"]["tokens"]["whole"] <= 3 * 160


def test_a_time_is_measured_once(folder, tmp_path):
    request = request_for(folder, steps=None, minutes=0.03, stages="layerwise,whole,masked")
    with pytest.raises(KeyboardInterrupt):
        convert(request, SOME, tmp_path / "m", report=at(WHOLE, 2, interrupt))
    plan = (tmp_path / "m" / "checkpoints" / "plan.json").read_text()
    resumed = convert(request, SOME, tmp_path / "m", resume=True)
    assert (tmp_path / "m" / "checkpoints" / "plan.json").read_text() == plan
    assert resumed.record["agreement"]["masked"][-1][0] == resumed.record["schedule"]["steps"]["masked"]


def test_resume_refuses_another_request(folder, tmp_path):
    with pytest.raises(InputError, match="--resume"):
        convert(request_for(folder), SOME, tmp_path / "m", resume=True)
    with pytest.raises(KeyboardInterrupt):
        convert(request_for(folder), SOME, tmp_path / "m", report=at(LAYERWISE, 2, interrupt))
    for request, some, name in (
        (request_for(folder, steps=21), SOME, r"conversion\.steps"),
        (request_for(folder, lr=1e-3), SOME, r"conversion\.lr"),
        (request_for(folder, Shape(layers=2)), SOME, r"student\.layers"),
        (request_for(folder, Shape(options={"tied": True})), SOME, r"student\.options"),
        (request_for(folder), texts()[:139], "texts"),
    ):
        with pytest.raises(InputError, match=f"--resume: {name}"):
            convert(request, some, tmp_path / "m", resume=True)
    with pytest.raises(InputError, match=r"--resume.*--overwrite"):
        convert(request_for(folder), SOME, tmp_path / "m")


def test_resume_refuses_other_weights_of_the_same_name(tmp_path):
    folder = write_teacher(tmp_path / "t")
    with pytest.raises(KeyboardInterrupt):
        convert(request_for(folder), SOME, tmp_path / "m", report=at(ASKING, 1, interrupt))
    write_teacher(tmp_path / "t", initializer_range=0.3)
    with pytest.raises(InputError, match="--resume: weights"):
        convert(request_for(folder), SOME, tmp_path / "m", resume=True)


def test_the_teacher_is_asked_once_for_a_text(folder, tmp_path, monkeypatch):
    asked, call = [], Teacher.__call__

    def counted(self, ids, keep, *more, inner=False):
        if not inner:
            asked.append(len(ids))
        return call(self, ids, keep, *more, inner=inner)

    monkeypatch.setattr(Teacher, "__call__", counted)
    convert(request_for(folder, stages="whole", steps=60), SOME, tmp_path / "m")
    assert sum(asked) == 140


def test_requests_that_are_refused_before_any_work(folder, tmp_path):
    plain = write_teacher(tmp_path / "plain")
    for request, some, match in (
        (request_for(folder, Shape(layers=99)), SOME, "--layers 99"),
        (request_for(folder, max_length=21), SOME, "--max-length 21.* 20"),
        (request_for(folder), SOME[:9], "--texts: 9"),
        (request_for(plain, stages="whole,masked"), SOME, "no head for masked tokens"),
        (request_for(folder, device="gpu"), SOME, "gpu"),
    ):
        with pytest.raises(InputError, match=match):
            convert(request, some, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_lost_run_says_so(folder, tmp_path):
    with pytest.raises(WorkError, match=r"loss.*1e\+30 \(--lr\).*conversion\.precision"):
        convert(request_for(folder, stages="whole", lr=1e30, clip=1e30, steps=60), SOME, tmp_path / "m")
    with pytest.raises(WorkError, match=r"loss.*conversion\.layerwise_lr"):
        lost = request_for(folder, stages="layerwise", layerwise_lr=1e30, clip=1e30, steps=60)
        convert(lost, SOME, tmp_path / "m", overwrite=True)


@pytest.mark.parametrize("place", ["last step", "last look"])
def test_a_stop_at_the_end_of_a_stage_is_heard(folder, whole, tmp_path, monkeypatch, place):
    if place == "last step":
        report = at(LAYERWISE, 8, signalled)
    else:
        report, looks = None, []
        agreement = Lesson.agreement

        def stopping(self):
            looks.append(1)
            if len(looks) == 9:  # one before training, eight steps
                signalled()
            return agreement(self)

        monkeypatch.setattr(Lesson, "agreement", stopping)
    with pytest.raises(KeyboardInterrupt):
        convert(request_for(folder), SOME, tmp_path / "m", report=report)
    monkeypatch.undo()
    stages = tmp_path / "m" / "checkpoints"
    assert (stages / "layerwise" / "student.safetensors").exists() and not (stages / "whole").exists()
    monkeypatch.setattr("hypermixer.inference.TOKENS_PER_BATCH", 160)
    assert same(weights(whole), weights(convert(request_for(folder), SOME, tmp_path / "m", resume=True)))


def test_seconds_before_a_stop_are_counted(folder, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        convert(request_for(folder), SOME, tmp_path / "m", report=at(WHOLE, 3, interrupt))
    before = json.loads((tmp_path / "m" / "checkpoints" / "seconds.json").read_text())
    assert set(before) == {"preparation", "teacher", "layerwise", "whole"} and min(before.values()) > 0
    seconds = convert(request_for(folder), SOME, tmp_path / "m", resume=True).record["cost"]["seconds"]
    assert seconds["layerwise"] >= round(before["layerwise"], 1) and seconds["whole"] >= round(before["whole"], 1)
    assert set(seconds) == {*before, "all"}


def test_callers_randomness_is_untouched(folder, tmp_path):
    states = random.getstate(), torch.get_rng_state()
    numpy_state = str(np.random.get_state())  # noqa: NPY002
    convert(request_for(folder, stages="whole,masked", steps=4), SOME, tmp_path / "m")
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    assert str(np.random.get_state()) == numpy_state  # noqa: NPY002
