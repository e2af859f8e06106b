"""The encoder that is to be imitated: loaded with care, and asked for what it makes of texts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel, PreTrainedTokenizerFast

from hypermixer.convert.anatomy import FAMILIES, Anatomy, check_family, dissect
from hypermixer.convert.stack import read_in_lower_case, read_json, read_stack
from hypermixer.data.batches import Collate, EncodedRows
from hypermixer.data.tokens import load_tokenizer
from hypermixer.errors import InputError
from hypermixer.mixers import Sequences
from hypermixer.training.environment import quiet_transformers

#: Of an encoder on the hub.
_FETCHED = ("*.json", "*.safetensors", "*.txt", "*.model")


@dataclass(frozen=True)
class Answer:
    """What a teacher makes of a batch of B texts of N tokens.

    Attributes:
        embeddings: [B, D], pooled and, where the teacher does so, of length 1.
        hidden: [B, N, D], of the embeddings and behind every layer.
        mixed: [B, N, D], what every attention adds to its input.
    """

    embeddings: Tensor
    hidden: tuple[Tensor, ...]
    mixed: tuple[Tensor, ...]


@dataclass(frozen=True)
class Teacher:
    """A pretrained Transformer encoder; nothing of it is trained.

    Attributes:
        name: as it was asked for.
        place: directory of its configuration and weights.
        model: in evaluation mode.
        tokenizer: of the model.
        anatomy: where its parts are.
        pooling: of `POOLINGS`.
        normalize: whether its embeddings have length 1.
        max_length: tokens of the longest text it takes.
    """

    name: str
    place: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    anatomy: Anatomy
    pooling: str
    normalize: bool
    max_length: int

    @property
    def width(self) -> int:
        return self.anatomy.tokens.shape[1]

    @property
    def pad_id(self) -> int:
        """The id that fills a batch."""
        pad = self.tokenizer.pad_token_id
        assert isinstance(pad, int)
        return pad

    @property
    def device(self) -> torch.device:
        return self.anatomy.tokens.device

    def ask(self, pieces: Sequence[NDArray[Any]], *, inner: bool = False) -> tuple[Answer, Tensor]:
        """Of pieces of token ids, padded to one length [B, N], and which of these tokens are real, bool [B, N]."""
        rows = EncodedRows(pieces)
        batch = Collate(self.pad_id, self.max_length)([rows[row] for row in range(len(rows))])
        ids, mask = batch["input_ids"].to(self.device), batch.get("attention_mask")
        keep = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool().to(self.device)
        return self(ids, None if mask is None else keep, inner=inner), keep

    @torch.no_grad()
    def __call__(self, ids: Tensor, keep: Tensor | None, types: Tensor | None = None, *, inner: bool = False) -> Answer:
        """Of ids [B, N] and their mask (True = real token); `inner`: hidden states and attention's outputs too."""
        mask = torch.ones_like(ids) if keep is None else keep.long()
        options: dict[str, Any] = {} if types is None or self.anatomy.types.shape[0] == 1 else {"token_type_ids": types}
        mixed: list[Tensor] = []
        with _listening([layer.output for layer in self.anatomy.layers] if inner else [], mixed):
            output = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=inner, **options)
        hidden = tuple(output.hidden_states) if inner else ()
        return Answer(self._pooled(output.last_hidden_state, mask), hidden, tuple(mixed))

    def _pooled(self, x: Tensor, mask: Tensor) -> Tensor:
        sequences = Sequences.padded(x, mask.bool())
        x = sequences.drop(x).float()
        pooled = {"mean": sequences.mean, "first": sequences.first, "max": sequences.largest}[self.pooling](x)
        return nn.functional.normalize(pooled, dim=-1) if self.normalize else pooled


@contextmanager
def _listening(modules: Sequence[nn.Module], heard: list[Tensor]) -> Iterator[None]:
    """What modules give is heard inside."""

    def hear(module: nn.Module, inputs: Any, output: Any) -> None:
        heard.append(output)

    handles = [module.register_forward_hook(hear) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def load_teacher(name: str, device: torch.device | None = None) -> Teacher:
    """A teacher by its directory or its name on the Hugging Face hub.

    Directories of sentence-transformers bring their pooling and normalisation; other encoders are pooled by the mean,
    without normalisation.

    Raises:
        InputError: it cannot be found or read, is no encoder of a known family, wants code of its own to be run, has
            its weights as a pickle only, or its tokenizer does not fit.
    """
    local = _local(name)
    stack = read_stack(local)
    place = local / stack.folder
    config = _config(place, name)
    family = check_family(config, name)
    model = _model(place, name)
    _refuse_code(place / "tokenizer_config.json", name)
    tokenizer = load_tokenizer(str(place), source=name)
    if stack.lower_case:
        read_in_lower_case(tokenizer)
    model.eval().requires_grad_(False)
    if device is not None:
        nn.Module.to(model, device)
    anatomy = dissect(model, family)
    entries, last = anatomy.tokens.shape[0], max(tokenizer.get_vocab().values())
    if last >= entries:
        raise InputError(
            f"{name}: the tokenizer has {len(tokenizer)} entries, the last with number {last}, but the model embeds"
            f" {entries}."
        )
    if tokenizer.pad_token_id is None:
        raise InputError(f"{name}: the tokenizer has no token for padding.")
    # Where sentence-transformers, which keeps its length in one of two places, would cut.
    longest = min(anatomy.positions.shape[0], stack.max_length or tokenizer.model_max_length)
    return Teacher(name, str(place), model, tokenizer, anatomy, stack.pooling, stack.normalize, longest)


def _local(name: str) -> Path:
    """The directory of an encoder; one of the hub is fetched, without any code or pickle in it."""
    place = Path(name)
    if place.is_dir():
        return place
    if place.exists():
        raise InputError(f"{name}: is a file, not the directory of an encoder.")
    nowhere = f"{name}: is neither a directory of an encoder nor one on the hub that can be reached."
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise InputError(nowhere)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(_FETCHED)))
    except Exception as error:  # of the hub, of the network: unrelated types
        raise InputError(nowhere) from error


def _refuse_code(path: Path, name: str) -> dict[str, Any]:
    """The table in a configuration file, {} where there is none.

    Raises:
        InputError: it names code of its own.
    """
    table = read_json(path, dict) if path.is_file() else {}
    if "auto_map" in table:
        raise InputError(f"{name}: wants code of its own to be run (auto_map in {path.name}), which is refused.")
    return table


def _config(place: Path, name: str) -> Any:
    path = place / "config.json"
    if not path.is_file():
        raise InputError(f"{name}: holds no config.json, so it is no directory of an encoder.")
    table = _refuse_code(path, name)
    try:
        with quiet_transformers():
            return AutoConfig.from_pretrained(str(place), trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        kind = table.get("model_type")
        if not isinstance(kind, str):
            raise InputError(f"{path}: names no model_type.") from error
        raise InputError(
            f"{name}: '{kind}' is an unknown architecture; these can be converted: {', '.join(sorted(FAMILIES))}."
        ) from error


def _model(place: Path, name: str) -> PreTrainedModel:
    if not any(place.glob("*.safetensors")):
        pickled = sorted(place.glob("pytorch_model*.bin"))
        if pickled:
            raise InputError(
                f"{pickled[0]}: weights in a pickle are never loaded; where you trust it, save it as safetensors once:"
                " AutoModel.from_pretrained(DIR).save_pretrained(DIR)."
            )
        raise InputError(f"{name}: holds no model.safetensors; weights in a pickle are never loaded.")
    options: Any = {"use_safetensors": True, "trust_remote_code": False, "output_loading_info": True}
    try:
        with quiet_transformers():
            model, told = AutoModel.from_pretrained(str(place), **options)
    except Exception as error:  # of the hub, of safetensors, of torch: unrelated types
        if "ignore_mismatched_sizes" in str(error):
            raise InputError(f"{name}: the weights have other shapes than config.json asks for.") from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise InputError(f"{name}: its weights cannot be loaded ({reason}).") from error
    # A pooler of BERT's own, which many leave out, is not asked.
    missing = sorted(key for key in told["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise InputError(f"{name}: its weights cannot be loaded ('{missing[0]}' is missing).")
    return model
