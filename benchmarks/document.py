"""How a measurement is written to disk."""

import json
from typing import Any


def as_json(document: dict[str, Any]) -> str:
    """JSON with a line for each row, so that a change of one is a change of one line."""
    head = {key: value for key, value in document.items() if key != "rows"}
    rows = ",\n".join(json.dumps(row) for row in document["rows"])
    return json.dumps(head, indent=1).removesuffix("\n}") + f',\n "rows": [\n{rows}\n]\n}}\n'
