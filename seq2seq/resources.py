"""Files that come with seq2seq: inside an installed package, beside the package in a checkout."""

from pathlib import Path

PACKAGE = Path(__file__).parent
IN_A_CHECKOUT = (PACKAGE.parent / "pyproject.toml").is_file()


def shipped(name: str) -> Path:
    """The directory ``name`` of the project, such as "configs"."""
    return (PACKAGE.parent if IN_A_CHECKOUT else PACKAGE) / name
