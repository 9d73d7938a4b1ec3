"""A condition as a file that every command and `Task` read."""

import json
from typing import Any

from redox_balancer.cell.conditions import Condition


def conditions_file(condition: Condition) -> str:
    """The condition as the TOML of a file of conditions, without what is as by default."""
    record = condition.model_dump(mode="json", exclude_defaults=True)
    changes = record.pop("changes", ())
    lines = [f"{name} = {_value(value)}" for name, value in record.items() if name != "reference"]
    lines.append(f"changes = [\n{''.join(f'    {_value(change)},{chr(10)}' for change in changes)}]")
    return "\n".join(["[[condition]]", *lines, ""])


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(name)} = {_value(one)}' for name, one in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)
