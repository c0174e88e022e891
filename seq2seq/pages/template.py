"""Pages in one file that open from disk: templates, with their style and scripts inside. Only here is Jinja2."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

HERE = Path(__file__).parent


def page(template: str, **values: Any) -> str:
    """The text of ``templates/NAME`` with ``values``; every text is escaped, and a missing value is an error."""
    return _environment().get_template(template).render(values)


def asset(name: str) -> str:
    """The text of a file in assets/: a style or a script."""
    return (HERE / "assets" / name).read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(style=lambda name: Markup(asset(name)), script=_script)
    environment.filters["data"] = data
    return environment


def _script(*names: str) -> Markup:
    """A ``<script>`` of these assets, if any, and the rule that lets a browser run it and no other."""
    allowed, element = "", ""
    if names:
        text = "\n" + "\n".join(map(asset, names))
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        allowed, element = f"; script-src 'sha256-{digest}'", f'\n<script type="module">{text}</script>'
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:{allowed}"
    return Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">{element}')


def data(value: Any) -> Markup:
    """``value`` as JSON for a ``<script type="application/json">``, which no text in it can end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
