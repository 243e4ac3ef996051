"""Run a block at another instruction-set level."""

from collections.abc import Iterator
from contextlib import contextmanager

from sumwise.kernels import library

LEVELS = library.available_levels()


@contextmanager
def at_level(name: str) -> Iterator[None]:
    """Within the block the kernels run at level `name`; the level before comes back afterwards."""
    before = library.level()
    library.set_level(name)
    try:
        yield
    finally:
        library.set_level(before)
