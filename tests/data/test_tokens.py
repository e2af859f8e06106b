import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hypermixer.data import Example, encode, load_tokenizer, train_tokenizer
from hypermixer.data.pydoc import paragraphs
from hypermixer.errors import InputError

TEXTS = ["The cat sat.", "the CAT ran", "Café au lait, naïve 東京", "unhappily happily happy happy"]


def single(*texts: str) -> list[Example]:
    return [Example(text, None, None, "o") for text in texts]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS)


@pytest.fixture(scope="module")
def prose():
    return train_tokenizer([text for text, _ in paragraphs()], 3_000)


def test_special_tokens_stand_first(tokenizer) -> None:
    assert tokenizer.convert_ids_to_tokens(range(5)) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id) == (0, 1, 4)


def test_rules_of_bert(tokenizer) -> None:
    def tokens(text: str) -> list[str]:
        return tokenizer.convert_ids_to_tokens(encode(tokenizer, single(text), None).input_ids[0])

    assert tokens("CAT") == tokens("cat") == ["[CLS]", "cat", "[SEP]"]
    assert tokens("cafe") == tokens("CAFÉ")
    assert tokens("東京") == ["[CLS]", "東", "京", "[SEP]"]
    assert tokens("the,cat") == ["[CLS]", "the", ",", "cat", "[SEP]"]
    assert tokens("") == ["[CLS]", "[SEP]"]


def test_no_word_of_a_tiny_corpus_is_unknown() -> None:
    tiny = train_tokenizer(["ab", "cd"])
    assert 1 not in encode(tiny, single("ab", "cd"), None).input_ids[0]


def test_pairs_have_two_token_types(tokenizer) -> None:
    encoded = encode(tokenizer, [Example("the cat", "ran", None, "o"), Example("the", None, None, "o")], None)
    tokens = tokenizer.convert_ids_to_tokens(encoded.input_ids[0])
    assert (tokens[0], tokens[3], tokens[-1]) == ("[CLS]", "[SEP]", "[SEP]")
    assert encoded.token_type_ids[0] == [0, 0, 0, 0] + [1] * (len(tokens) - 4)
    assert encoded.token_type_ids[1] == [0, 0, 0]


def test_the_vocabulary_is_never_larger_than_asked(prose) -> None:
    assert len(prose) == 3_000
    assert len(train_tokenizer(TEXTS, 20)) <= 20
    assert sorted(prose.get_vocab().values()) == list(range(3_000))


def test_frequent_words_are_one_token_and_pieces_join_to_words(prose) -> None:
    assert prose.tokenize("The function returns") == ["the", "function", "returns"]
    for word in ("reinterpretations", "zigzagging", "objects"):
        pieces = prose.tokenize(word)
        assert "".join(piece.removeprefix("##") for piece in pieces) == word
        assert all(piece.startswith("##") for piece in pieces[1:])


def test_the_same_texts_give_the_same_ids_in_every_process() -> None:
    code = (
        "from hypermixer.data.pydoc import paragraphs; from hypermixer.data import train_tokenizer;"
        "t = train_tokenizer([x for x, _ in paragraphs()], 2000); import hashlib;"
        "print(hashlib.sha256(str(sorted(t.get_vocab().items())).encode()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    here = train_tokenizer([x for x, _ in paragraphs()][::-1], 2_000).get_vocab()
    assert found == {hashlib.sha256(str(sorted(here.items())).encode()).hexdigest()}


@pytest.mark.parametrize("texts", [[], ["", " \n"]])
def test_nothing_to_learn_from(texts: list[str]) -> None:
    with pytest.raises(InputError, match="empty"):
        train_tokenizer(texts)


def test_words_that_are_all_too_long_to_learn_from() -> None:
    with pytest.raises(InputError, match="at most 100 characters"):
        train_tokenizer(["x" * 150, "y" * 101])
    assert len(train_tokenizer(["x" * 100])) > 5


def test_a_vocabulary_without_room() -> None:
    with pytest.raises(InputError, match=r"tokens\.vocab_size .*5"):
        train_tokenizer(TEXTS, 5)


def test_cuts_are_counted(tokenizer) -> None:
    encoded = encode(tokenizer, single("the cat the cat", "the cat", "", "the cat the cat the"), 6)
    assert [len(ids) for ids in encoded.input_ids] == [6, 4, 2, 6]
    assert encoded.cut == 1
    assert encoded.input_ids[3][-1] == tokenizer.sep_token_id
    assert encode(tokenizer, single("the cat the cat the"), None).cut == 0


def test_of_a_pair_the_longer_text_is_cut_first(tokenizer) -> None:
    encoded = encode(tokenizer, [Example("the cat the cat the cat", "the cat", None, "o")], 8)
    assert encoded.token_type_ids[0] == [0, 0, 0, 0, 0, 1, 1, 1]
    assert encoded.cut == 1


@pytest.mark.parametrize("unit", ["the cat sat. ", "unhappily", "the\n", "東", " "])
@pytest.mark.parametrize("max_length", [9, 64])
def test_only_the_beginning_of_a_long_text_is_read_and_nothing_changes(tokenizer, unit: str, max_length: int) -> None:
    for count in (700, 5_003):
        long = unit * count
        whole = encode(tokenizer, single(long), None).input_ids[0]
        encoded = encode(tokenizer, single(long), max_length)
        expected = whole if len(whole) <= max_length else [*whole[: max_length - 1], tokenizer.sep_token_id]
        assert encoded.input_ids[0] == expected
        assert encoded.cut == (len(whole) > max_length)


@pytest.mark.parametrize("unit", ["the cat ", "a", " ", "東", "a,"])
def test_ten_million_characters_take_seconds(tokenizer, unit: str) -> None:
    text = unit * (10_000_000 // len(unit))
    start = time.perf_counter()
    encoded = encode(tokenizer, single(text), 512)
    assert time.perf_counter() - start < 10
    assert len(encoded.input_ids[0]) <= 512
    assert encoded.cut == (unit != " ")


def test_more_examples_than_one_chunk_keep_their_order(tokenizer) -> None:
    texts = ["the cat " * (i % 7) for i in range(2_017)]
    encoded = encode(tokenizer, single(*texts), 512)
    assert [len(ids) for ids in encoded.input_ids] == [2 + 2 * (i % 7) for i in range(2_017)]


def test_a_length_without_room_for_text(tokenizer) -> None:
    with pytest.raises(InputError, match=r"2 tokens.* 3"):
        encode(tokenizer, single("the"), 2)
    with pytest.raises(InputError, match=r"4 tokens.* 5"):
        encode(tokenizer, [Example("a", "b", None, "o")], 4)


def test_a_saved_tokenizer_comes_back(tokenizer, tmp_path: Path) -> None:
    encode(tokenizer, single("the cat sat"), 4)
    tokenizer.save_pretrained(tmp_path)
    back = load_tokenizer(str(tmp_path))
    examples = [*single(*TEXTS), Example("the cat", "ran", None, "o")]
    assert encode(back, examples, 9) == encode(tokenizer, examples, 9)
    assert back.pad_token_id == 0
    assert len(back("the cat the cat the cat")["input_ids"]) == 8
    assert back.backend_tokenizer.truncation is None


def test_what_is_no_tokenizer(tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"--tokenizer .*no tokenizer\.json"):
        load_tokenizer(str(tmp_path))
    with pytest.raises(InputError, match=r"--tokenizer .*does not exist"):
        load_tokenizer(str(tmp_path / "nowhere"))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="--tokenizer") as caught:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="is a file"):
        load_tokenizer(str(tmp_path / "tokenizer.json"))
    tokenizer.save_pretrained(tmp_path)
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    unpadded = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: unpadded)
    with pytest.raises(InputError, match="no padding token"):
        load_tokenizer("some-model")


@pytest.mark.parametrize("fault", ["empty", "missing", "file", "broken"])
def test_messages_name_the_source_they_are_given(tmp_path: Path, fault: str) -> None:
    place = {"missing": tmp_path / "nowhere", "file": tmp_path / "tokenizer.json"}.get(fault, tmp_path)
    if fault in ("file", "broken"):
        (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"^the model directory m6\b") as caught:
        load_tokenizer(str(place), source="the model directory m6")
    assert "--tokenizer" not in str(caught.value)
    with pytest.raises(InputError, match=f"^--tokenizer {place}\\b"):
        load_tokenizer(str(place))


def test_a_tokenizer_that_keeps_the_end_reads_all() -> None:
    tokenizer = train_tokenizer(TEXTS)
    tokenizer.truncation_side = "left"
    encoded = encode(tokenizer, single("the " * 5_000 + "cat"), 4)
    assert tokenizer.convert_ids_to_tokens(encoded.input_ids[0]) == ["[CLS]", "the", "cat", "[SEP]"]
    assert encoded.cut == 1


def test_a_word_across_the_end_of_what_is_read_is_not_cut_in_two(tokenizer) -> None:
    # A word of more than 100 characters is unknown as a whole, and its beginning alone would be known pieces.
    long = "the cat" + " " * 93 + "unhappily" * 20 + " the cat" * 50
    tokens = tokenizer.convert_ids_to_tokens(encode(tokenizer, single(long), 9).input_ids[0])
    assert tokens == ["[CLS]", "the", "cat", "[UNK]", "the", "cat", "the", "cat", "[SEP]"]
