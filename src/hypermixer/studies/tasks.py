"""Data sets and scales of the HyperMixer paper's tables (arXiv 2203.03691, section 4 and appendix B)."""

from dataclasses import dataclass, field, replace
from typing import Any

from hypermixer.data.parts import Texts
from hypermixer.settings import Settings
from hypermixer.studies.grid import Grid

SCALE_NAMES = ("smoke", "small", "full")
#: Section B.1 of the paper.
PAPER_LRS = (1e-3, 5e-4, 2e-4, 1e-4, 5e-5, 2e-5, 1e-5)
#: The paper's data sets: texts to train on, validation and test (Table 2).
PAPER_EXAMPLES = {
    "MNLI": (392_702, 9_815, 9_796),
    "SNLI": (549_367, 9_842, 9_824),
    "QQP": (363_846, 40_430, 390_965),
    "QNLI": (104_743, 5_463, 5_463),
    "SST": (67_349, 872, 1_821),
}


@dataclass(frozen=True)
class Task:
    """A data set of a table.

    Attributes:
        name: for people.
        source, split: to train on.
        paper: the paper's name of the data set that it stands for.
        options: as of `Settings.replace`.
        same_data: whether training and validation texts are the paper's own, so that numbers can be compared.
        note: what differs, in one sentence.
    """

    name: str
    source: str
    paper: str
    options: tuple[tuple[str, Any], ...]
    split: str | None = None
    same_data: bool = True
    note: str = ""

    @property
    def remark(self) -> str:
        """What differs from the paper's texts, as a sentence."""
        if self.same_data:
            return f"The paper's own texts{f': {self.note}' if self.note else ''}."
        return f"Other texts than the paper's {self.paper} ({self.note}), so the accuracies cannot be compared."

    @property
    def settings(self) -> Settings:
        """What all models share on this task."""
        return Settings().replace(**dict(self.options))

    def texts(self, percent: float = 100) -> Texts:
        """The texts of a run, or a nested part of them to train on."""
        return Texts(source=self.source, split=self.split, percent=percent)


@dataclass(frozen=True)
class Scale:
    """How much of a table is run.

    Attributes:
        name: of `SCALE_NAMES`.
        tasks: the data sets.
        lrs: learning rates that are tried with the first seed.
        seeds: of the runs at the best of them.
        deviations: from the paper's setting, one sentence each; printed on the result.
    """

    name: str
    tasks: tuple[Task, ...]
    lrs: tuple[float, ...]
    seeds: tuple[int, ...]
    deviations: tuple[str, ...] = field(default=())

    def grid(self) -> Grid:
        """The learning rates, and the seeds at the best of them."""
        return Grid(self.lrs, (), self.seeds)

    def only(self, *names: str) -> "Scale":
        """The same with these tasks."""
        return replace(self, tasks=tuple(task for task in self.tasks if task.source in names))


def _options(preset: str, epochs: int, batch_size: int, **more: Any) -> tuple[tuple[str, Any], ...]:
    shared = {
        "encoder.preset": preset,
        "layout": "serialized",
        "epochs": epochs,
        "batch_size": batch_size,
        "max_length": 100,  # the most that gMLP of the paper's size takes
        "training.patience": 100,  # no run is stopped early: all take as many steps
        "training.evaluate_every": 250,
    }
    return tuple((shared | more).items())


_SMOKE_TASK = Task(
    "builtin:nli",
    "builtin:nli,n=240",
    "MNLI",
    _options("tiny", 1, 32),
    same_data=False,
    note="240 pairs made from a grammar: it shows that the command works, and nothing else",
)
_SMALL_OPTIONS = _options("small", 3, 32)
SST2 = Task("SST-2", "sst2", "SST", _options("paper", 1, 64), note="official training and validation texts")
SST2_SENTENCE = Task(
    "SST-2, sentences",
    "sst2_sentence",
    "SST",
    _SMALL_OPTIONS,
    same_data=False,
    note="6,920 whole sentences to train on, without the phrases; official validation texts",
)
QNLI = Task(
    "QNLI, low-resource",
    "qnli",
    "QNLI",
    _options("small", 2, 32),
    same_data=False,
    note="23,754 training pairs built from SQuAD's questions, a quarter of the official; official validation texts",
)
QQP = Task(
    "QQP, 16,200 pairs",
    "qqp20k",
    "QQP",
    _SMALL_OPTIONS,
    same_data=False,
    note="a twentieth of QQP with a split of its own",
)
SNLI = Task(
    "SNLI, validation to test",
    "snli_devtest",
    "SNLI",
    _SMALL_OPTIONS,
    split="validation",
    same_data=False,
    note="trained on nine tenths of the official validation texts, chosen by the other tenth; official test texts",
)
_FULL = _options("paper", 10, 64, **{"tokenizer": "bert-base-uncased", "training.evaluate_every": 1000})

SMOKE = Scale(
    "smoke",
    (_SMOKE_TASK,),
    (1e-3, 3e-4),
    (0, 1),
    ("A few steps of a tiny model on generated pairs.",),
)
SMALL = Scale(
    "small",
    (SST2, QNLI, QQP, SNLI),
    (1e-3, 5e-4, 2e-4),
    (0, 1, 2),
    (
        "Three learning rates, tried with one seed, in place of seven.",
        "Three seeds in place of ten.",
        "SST-2 at the paper's size for one epoch; the other sets, which have a small part of the paper's texts, with"
        " four layers of width 128 for three epochs, QNLI for two. The paper does not state its epochs.",
        "A tokenizer trained on the training texts in place of BERT's, so the vocabulary, and with it the number of"
        " parameters, is smaller.",
        "Texts are cut at 100 tokens, the most that gMLP takes.",
        "AdamW with linear warm-up and decay; the paper says Adam and states no schedule.",
    ),
)
FULL = Scale(
    "full",
    (
        Task("MNLI", "mnli", "MNLI", _FULL),
        Task("SNLI", "snli", "SNLI", _FULL),
        Task("QQP", "qqp", "QQP", _FULL),
        Task("QNLI", "qnli", "QNLI", _FULL),
        Task("SST-2", "sst2", "SST", _FULL),
    ),
    PAPER_LRS,
    tuple(range(10)),
    (
        "Ten epochs, batches of 64, AdamW with linear warm-up and decay: the paper states none of these.",
        "Texts are cut at 100 tokens, the most that gMLP takes; what the paper did is not stated.",
        "Test labels of GLUE are not public: validation only, where the hub has none.",
    ),
)
SCALES = {scale.name: scale for scale in (SMOKE, SMALL, FULL)}
