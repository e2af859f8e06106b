"""From texts to token ids: the only place where that happens."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypermixer.data.example import Example
from hypermixer.encoder_config import EncoderConfig
from hypermixer.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIALS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
CHUNK = 1_000
MIN_FREQUENCY = 2
# A private area of Unicode: no normaliser or pre-tokenizer knows letters there.
FIRST_LETTER = 0xF0000
REPEATS = 1_000
# WordPiece reads a longer word as one unknown token.
LONGEST_WORD = 100
CHARACTERS_PER_TOKEN = 16
LONGEST_CUT = 1_000_000


@dataclass
class Encoded:
    """Token ids, one list an example, special tokens included.

    Attributes:
        input_ids: ids in [0, vocabulary size).
        token_type_ids: 0 for the first text, 1 for the second (where the tokenizer tells them apart).
        cut: how many examples were longer than the greatest length and lost tokens.
    """

    input_ids: list[list[int]]
    token_type_ids: list[list[int]]
    cut: int


def train_tokenizer(texts: Iterable[str], vocab_size: int = EncoderConfig.vocab_size) -> "PreTrainedTokenizerFast":
    """A WordPiece tokenizer with BERT's rules (lower case, no accents), learned from texts.

    The same texts give the same ids in every process. Ids: [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4. Texts become
    `[CLS] A [SEP]`, pairs `[CLS] A [SEP] B [SEP]` with token types 0 and 1.

    Args:
        texts: training texts, in any order.
        vocab_size: the largest number of entries; the characters of the texts come first, the rarest left out.

    Raises:
        InputError: no text holds a word of at most 100 characters, or the vocabulary has no room beside special tokens.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    if vocab_size <= len(SPECIALS):
        raise InputError(f"tokens.vocab_size must be more than the {len(SPECIALS)} special tokens, not {vocab_size}.")
    _settle_parallelism()
    core = Tokenizer(models.WordPiece())
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words = _count_words(core, texts)
    if not words:
        raise InputError(
            f"The training texts are empty or hold no word of at most {LONGEST_WORD} characters: "
            "there is nothing to learn a tokenizer from."
        )
    pieces = [*SPECIALS.values(), *_learn_pieces(words, vocab_size - len(SPECIALS))]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    core.model = models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=LONGEST_WORD)
    core.decoder = decoders.WordPiece()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        **SPECIALS,
    )


def load_tokenizer(path_or_name: str, *, source: str | None = None) -> "PreTrainedTokenizerFast":
    """The tokenizer of a directory (`tokenizer.json`) or of a model on the Hugging Face hub; its code is never run.

    Args:
        path_or_name: the directory or the name.
        source: what error messages call it; None stands for `--tokenizer` with the directory or name.

    Raises:
        InputError: there is none, it cannot be read, it is not a fast one, or it has no padding token.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    source = source or f"--tokenizer {path_or_name}"
    local = Path(path_or_name)
    if local.is_file():
        raise InputError(f"{source} is a file: name the directory that holds tokenizer.json.")
    if local.is_dir() and not any(local.glob("tokenizer*")) and not any(local.glob("vocab*")):
        raise InputError(f"{source}: this directory holds no tokenizer.json.")
    if not local.is_dir() and (path_or_name.startswith((".", "/", "~")) or path_or_name.count("/") > 1):
        raise InputError(f"{source}: this directory does not exist.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(path_or_name, trust_remote_code=False)
    except Exception as error:  # the hub client, the parser and the network raise unrelated types
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
        raise InputError(f"{source}: no tokenizer can be read there: {reason}.") from None
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise InputError(f"{source}: it has no tokenizer.json, which fast tokenizers have.")
    if tokenizer.pad_token_id is None:
        raise InputError(f"{source}: it has no padding token, which batches need.")
    return tokenizer


def encode(tokenizer: "PreTrainedTokenizerFast", examples: Sequence[Example], max_length: int | None) -> Encoded:
    """Token ids of examples, in order.

    Args:
        tokenizer: a fast tokenizer.
        examples: single texts or pairs, all of one kind or mixed.
        max_length: the greatest number of ids an example may have, special tokens included; of a pair the longer text
            is cut first. None cuts nothing.

    Only the beginning of a very long text is read when there is a `max_length`. That changes no id as long as words
    do not depend on the words after them (true for WordPiece and byte-level BPE) and the first million characters
    (or 16 for each id, if that is more) hold `max_length` tokens.

    Raises:
        InputError: max_length leaves no room for a token beside the special ones.
    """
    _settle_parallelism()
    encoded = Encoded([], [], 0)
    for paired in (False, True):
        room = tokenizer.num_special_tokens_to_add(pair=paired)
        if (
            max_length is not None
            and max_length <= room + paired
            and any((e.pair is not None) == paired for e in examples)
        ):
            raise InputError(
                f"Texts cannot be cut to {max_length} tokens: {room} are special, and the least is {room + 1 + paired}."
            )
    for start in range(0, len(examples), CHUNK):
        _encode_chunk(tokenizer, examples[start : start + CHUNK], max_length, encoded)
    return encoded


def _encode_chunk(
    tokenizer: "PreTrainedTokenizerFast", examples: Sequence[Example], max_length: int | None, encoded: Encoded
) -> None:
    """Append the ids of these examples, and count those that were cut."""
    parts = [[example.text] if example.pair is None else [example.text, example.pair] for example in examples]
    shortened = [False] * len(parts)
    # A tokenizer that keeps the end of what is too long has to read all of it.
    if max_length is not None and tokenizer.truncation_side == "right":
        for row, texts in enumerate(parts):
            for side, text in enumerate(texts):
                texts[side] = _beginning(tokenizer, text, max_length)
                shortened[row] |= bool(text[len(texts[side]) :].strip())
    # Straight to the Rust core: the road through the tokenizer's call costs several times the work itself.
    core = tokenizer.backend_tokenizer
    core.no_padding()
    core.no_truncation()
    if max_length is not None:
        core.enable_truncation(max_length, strategy="longest_first", direction=tokenizer.truncation_side)
    found = core.encode_batch([tuple(texts) if len(texts) == 2 else texts[0] for texts in parts])
    # A saved tokenizer remembers its truncation; that of one call is no part of it.
    core.no_truncation()
    for row, one in enumerate(found):
        encoded.input_ids.append(one.ids)
        encoded.token_type_ids.append(one.type_ids)
        encoded.cut += bool(one.overflowing) or shortened[row]


def _beginning(tokenizer: "PreTrainedTokenizerFast", text: str, max_length: int) -> str:
    """As much of a long text as is needed for its first `max_length` tokens, up to the end of a word."""
    length = CHARACTERS_PER_TOKEN * max_length
    longest = max(length, LONGEST_CUT)
    while length < len(text):
        prefix = text[:length]
        space = max(prefix.rfind(" "), prefix.rfind("\n"))
        # A last word that is cut in two could be read as other tokens; one longer than half the prefix is kept.
        prefix = prefix[:space] if space > length // 2 else prefix
        ids = tokenizer(prefix, add_special_tokens=False, verbose=False)["input_ids"]
        if length >= longest or len(ids) > max_length:
            return prefix
        length = min(8 * length, longest)
    return text


def _count_words(core: Any, texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs, as the normaliser and the pre-tokenizer of `core` see words."""
    chunks: Counter[str] = Counter()
    for text in texts:
        chunks.update(text.split())
    words: Counter[str] = Counter()
    for chunk, count in chunks.items():
        # Scripts without spaces make chunks of any length, and the normaliser needs many times their memory.
        for start in range(0, len(chunk), 10_000):
            piece = core.normalizer.normalize_str(chunk[start : start + 10_000])
            for word, _ in core.pre_tokenizer.pre_tokenize_str(piece):
                words[word] += count
    return Counter({word: count for word, count in words.items() if len(word) <= LONGEST_WORD})


def _learn_pieces(words: Counter[str], most: int) -> list[str]:
    """At most `most` pieces: single characters (`a`, and `##a` inside a word), then merges in the order learned.

    The trainer of the tokenizers library numbers `##` pieces in the order of a hash table that differs from process to
    process, and breaks ties between merges by these numbers. So each character inside a word is given to it as a
    letter of its own, which it sorts.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    counts: Counter[str] = Counter()
    for word, count in words.items():
        for piece in (word[0], *("##" + character for character in word[1:])):
            counts[piece] += count
    kept = sorted(sorted(counts, key=lambda piece: (-counts[piece], piece))[:most])
    letters = {piece: chr(FIRST_LETTER + place) for place, piece in enumerate(kept)}
    spelled = {letter: piece for piece, letter in letters.items()}

    def corpus() -> Iterator[str]:
        for word in sorted(words):
            pieces = [word[0], *("##" + character for character in word[1:])]
            if len(pieces) > 1 and all(piece in letters for piece in pieces):
                spelling = "".join(letters[piece] for piece in pieces)
                for start in range(0, words[word], REPEATS):
                    yield " ".join([spelling] * min(REPEATS, words[word] - start))

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=most, min_frequency=MIN_FREQUENCY, show_progress=False, initial_alphabet=sorted(spelled)
    )
    learner.train_from_iterator(corpus(), trainer)
    learned = sorted(learner.get_vocab().items(), key=lambda item: item[1])
    merged = (spelled[token[0]] + "".join(spelled[letter][2:] for letter in token[1:]) for token, _ in learned)
    return [*kept, *(piece for piece, (token, _) in zip(merged, learned, strict=True) if len(token) > 1)]


def _settle_parallelism() -> None:
    """One thread unless the user asks for more by the environment: the pool of threads does not survive a fork."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
