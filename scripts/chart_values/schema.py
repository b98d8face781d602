"""values.schema.json, which Helm checks, made from values.schema.yaml, which people write."""

import json
from pathlib import Path

import yaml
from common.errors import UserError


def generated(source: Path) -> str:
    """The text of values.schema.json for the schema at `source`, descriptions included: editors show them.

    Raises UserError when the file is no YAML mapping.
    """
    try:
        schema = yaml.safe_load(source.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{source} is not YAML: {error}.", "Repair it, then run this again.") from error
    if not isinstance(schema, dict):
        raise UserError(f"{source} holds no mapping.", "Write a JSON schema there, in YAML.")
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
