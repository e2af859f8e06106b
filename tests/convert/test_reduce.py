"""Narrower students: the directions that matter, the units that matter, the entries that are used."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from hypermixer.convert.corpus import make_corpus
from hypermixer.convert.reduce import reduction, used_entries, with_entries
from hypermixer.convert.settings import Shape
from hypermixer.data.tokens import SPECIALS, load_tokenizer
from hypermixer.errors import InputError
from tests.convert.teachers import FEATURES, LAYERS, WIDTH, load, texts, tokenizer, write_teacher


@pytest.fixture(scope="module")
def pieces(teacher):
    return make_corpus(texts()[:130], teacher, 20, seed=0).pieces


def hidden_of(teacher, pieces):
    """Vectors [tokens, D] of the embeddings and behind every layer, piece by piece."""
    answers = [teacher(torch.from_numpy(piece)[None].long(), None, inner=True).hidden for piece in pieces]
    return [torch.cat([answer[place][0] for answer in answers]).double() for place in range(LAYERS + 1)]


def reduced(*arguments: Any) -> Any:
    """What is kept, where something is left out."""
    return reduction(*arguments)


def test_nothing_is_reduced_at_full_size(teacher, pieces):
    assert reduced(teacher, Shape(layers=2), pieces) is None
    assert reduced(teacher, Shape(d_model=WIDTH, d_features=FEATURES), pieces) is None
    units = reduced(teacher, Shape(d_features=9), pieces)
    assert units.basis is None and units.scale == 1 and [len(u) for u in units.units] == [9] * LAYERS
    basis = reduced(teacher, Shape(d_model=9, layers=2), pieces)
    assert basis.basis.shape == (WIDTH, 9) and basis.units is None


def test_the_basis_is_orthonormal_and_keeps_most(teacher, pieces):
    found = reduced(teacher, Shape(d_model=7), pieces)
    assert torch.allclose(found.basis.T @ found.basis, torch.eye(7), atol=1e-5)
    every = hidden_of(teacher, pieces)
    moments = sum(x.T @ x / x.square().sum() for x in every) / len(every)
    best = torch.linalg.eigvalsh(moments)[-7:].sum().item()
    kept = (found.basis.double().T @ moments @ found.basis.double()).diagonal()
    assert kept.sum().item() == pytest.approx(best, rel=1e-3)
    assert torch.equal(kept, kept.sort(descending=True).values)
    # A number of a vector of length 1 for each of D becomes that much larger.
    assert found.scale == pytest.approx((best * WIDTH / 7) ** 0.5, rel=1e-3)


def test_a_planted_space_is_found(tmp_path, pieces):
    """All vectors in five directions, which norms without gains keep where they are orthogonal to the mean."""
    teacher = load(write_teacher(tmp_path / "t"))
    torch.manual_seed(0)
    space = torch.randn(WIDTH, 5, dtype=torch.float64)
    space = torch.linalg.qr(space - space.mean(0)).Q.float()
    inside = space @ space.T
    with torch.no_grad():
        embeddings = teacher.model.embeddings
        for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
            table = getattr(embeddings, name).weight
            table.copy_(table @ inside)
        for layer in teacher.anatomy.layers:
            for part in (layer.output, layer.features[1]):
                part.weight.copy_(inside @ part.weight)
                part.bias.copy_(inside @ part.bias)
        for norm in (teacher.anatomy.norm, *(norm for layer in teacher.anatomy.layers for norm in layer.norms)):
            norm.weight.fill_(1)
            norm.bias.zero_()
    found = reduced(teacher, Shape(d_model=5), pieces)
    assert torch.allclose(found.basis @ found.basis.T, inside, atol=1e-4)
    assert found.scale == pytest.approx((WIDTH / 5) ** 0.5, rel=1e-4)
    x = torch.cat(hidden_of(teacher, pieces)).float() @ found.basis
    assert x.square().mean().sqrt().item() == pytest.approx(found.scale, rel=1e-3)
    assert reduced(teacher, Shape(d_model=3), pieces).scale < (WIDTH / 3) ** 0.5 * 0.999


def test_the_units_that_add_most_are_kept(tmp_path, pieces):
    teacher = load(write_teacher(tmp_path / "t"))
    torch.manual_seed(0)
    planted = [torch.randperm(FEATURES)[:6] for _ in range(LAYERS)]
    with torch.no_grad():
        for number, (layer, units) in enumerate(zip(teacher.anatomy.layers, planted, strict=True)):
            if number % 2:  # units that answer much, or whose answer is much added
                layer.features[0].bias[units] += 50
            else:
                layer.features[1].weight[:, units] *= 100
    found = reduced(teacher, Shape(d_features=6), pieces)
    assert [units.tolist() for units in found.units] == [units.sort().values.tolist() for units in planted]
    last = reduced(teacher, Shape(d_features=6, layers=1), pieces)
    assert [units.tolist() for units in last.units] == [planted[-1].sort().values.tolist()]


def test_padding_does_not_count(teacher, pieces):
    """Pieces of one length, which stand in a batch without padding, and among longer ones."""
    short = [piece for piece in pieces if len(piece) == 7]
    one = reduced(teacher, Shape(d_model=5), short)
    whole = torch.cat(hidden_of(teacher, short)).T
    assert len(short) > 3 and whole.shape[0] == WIDTH
    mixed = reduced(teacher, Shape(d_model=5, d_features=5), [*short, max(pieces, key=len)])
    every = hidden_of(teacher, [*short, max(pieces, key=len)])
    moments = sum(x.T @ x / x.square().sum() for x in every)
    best = torch.linalg.eigvalsh(moments)[-5:].sum().item()
    kept = (mixed.basis.double().T @ moments @ mixed.basis.double()).trace().item()
    assert kept == pytest.approx(best, rel=1e-6) and one.basis.shape == mixed.basis.shape


def special_ones_last(kind):
    """Ids the other way round, so that those of special tokens change with every entry that is left out."""
    table = json.loads(tokenizer().backend_tokenizer.to_str())
    last = len(tokenizer()) - 1
    table["model"]["vocab"] = {piece: last - entry for piece, entry in table["model"]["vocab"].items()}
    table["added_tokens"] = [{**token, "id": last - token["id"]} for token in table["added_tokens"]]
    table["post_processor"] = None
    core = Tokenizer.from_str(json.dumps(table))
    first, second = (("[CLS]", last - 2), ("[SEP]", last - 3))
    if kind == "bert":
        core.post_processor = processors.BertProcessing(second, first)
    else:
        core.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[first, second]
        )
    return PreTrainedTokenizerFast(tokenizer_object=core, **SPECIALS)


@pytest.mark.parametrize("kind", ["template", "bert", "as ours", "padding at 1"])
def test_entries_that_are_used_read_their_texts_as_before(kind, tmp_path):
    whole = special_ones_last(kind) if kind in ("template", "bert") else tokenizer(int(kind == "padding at 1"))
    some = list(texts()[:6])
    pieces = [np.asarray(ids, np.int32) for ids in whole(some)["input_ids"]]
    entries = used_entries(whole, pieces)
    assert entries == sorted(entries) and len(entries) < len(whole)
    assert {token for piece in pieces for token in piece.tolist()} <= set(entries)
    small = with_entries(whole, entries)
    assert len(small) == len(entries)
    small.save_pretrained(tmp_path)
    pairs = list(zip(some, some[::-1], strict=True))
    for one in (small, load_tokenizer(str(tmp_path))):
        assert len(one) == len(entries)
        for name in SPECIALS:
            assert getattr(one, name) == getattr(whole, name)
            assert entries[getattr(one, name + "_id")] == getattr(whole, name + "_id")
        readers: list[Any] = [one, whole]
        for given in (some, pairs):
            ours, theirs = (read(given) for read in readers)
            assert [[entries[i] for i in row] for row in ours["input_ids"]] == theirs["input_ids"]
            assert [one.convert_ids_to_tokens(row) for row in ours["input_ids"]] == [
                whole.convert_ids_to_tokens(row) for row in theirs["input_ids"]
            ]
        assert one.decode(one(some[0])["input_ids"], skip_special_tokens=True) == some[0]


def test_words_that_no_text_had_are_spelled(teacher):
    whole = teacher.tokenizer
    small = with_entries(whole, used_entries(whole, []))
    unseen = " ".join(texts()[:40])
    tokens = small.tokenize(unseen)
    assert {len(token.removeprefix("##")) for token in tokens} == {1}
    assert "".join(token.removeprefix("##") for token in tokens) == unseen.replace(" ", "")


def test_other_vocabularies_are_refused():
    core = Tokenizer(models.BPE(unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.train_from_iterator(texts(), trainers.BpeTrainer(special_tokens=list(SPECIALS.values()), show_progress=False))
    with pytest.raises(InputError, match=r"--vocabulary used: .*BPE"):
        used_entries(PreTrainedTokenizerFast(tokenizer_object=core, **SPECIALS), [])


def test_a_reduction_is_the_same_twice(teacher, pieces):
    one, again = (reduced(teacher, Shape(d_model=7, d_features=7), pieces) for _ in range(2))
    assert torch.equal(one.basis, again.basis) and one.scale == again.scale
    assert all(map(torch.equal, one.units, again.units))
