"""Whether the texts of a table are the paper's own, by their name and their number, and what is said where not."""

from hypermixer.studies.fill import Filled
from hypermixer.studies.scores import matching
from hypermixer.studies.tasks import PAPER_EXAMPLES, Task

#: Texts that have to be the paper's own where its numbers are compared with ours.
_PARTS = {"train": "training", "evaluation": "validation"}


def own_texts(filled: Filled, task: Task) -> bool:
    """Whether the texts are the paper's: of its set, and as many as it has, where there are runs to tell by."""
    return task.same_data and not _other_size(filled, task)


def heading(filled: Filled, task: Task) -> str:
    """Of a table: our data set, and the paper's that it stands beside."""
    return f"{task.name} beside the paper's {task.paper}{'' if own_texts(filled, task) else ' (other texts)'}"


def remark(filled: Filled, task: Task) -> str:
    """What differs from the paper's texts; a set of the paper's name that has another size is told, too."""
    other = _other_size(filled, task)
    if not task.same_data or not other:
        return task.remark
    return f"Not the paper's {task.paper}, so the accuracies cannot be compared: {other}."


def _other_size(filled: Filled, task: Task) -> str:
    """How many texts the runs on all of them have, and the paper; empty where these agree, or without a run."""
    whole = [cell for cell in matching(filled.cells, data=task.name) if cell.texts and cell.texts.percent == 100]
    texts = [filled.rows[cell.key]["texts"] for cell in whole if cell.key in filled.rows]
    for part, name, theirs in zip(_PARTS, _PARTS.values(), PAPER_EXAMPLES[task.paper], strict=False):
        found = next((one[part]["examples"] for one in texts if part in one), theirs)
        if found != theirs:
            return f"{found:,} {name} texts, not {theirs:,}"
    return ""
