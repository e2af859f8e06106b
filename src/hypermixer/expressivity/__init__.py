"""How expressive a token mixer is: exact separation ranks of polynomial twins, and bounds of them.

Nothing here is trained, and nothing predicts accuracy: docs/expressivity.md says what the numbers mean.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hypermixer.expressivity.bounds import bounds
from hypermixer.expressivity.spec import PolyMixerSpec, degree

if TYPE_CHECKING:
    from hypermixer.expressivity.rank import rank_mod
    from hypermixer.expressivity.separation import separation_rank
    from hypermixer.expressivity.spectrum import epsilon_spectrum
    from hypermixer.expressivity.twin import polynomial_twin

#: What computes needs NumPy, what looks at real encoders torch: both are fetched when they are first asked for.
_HOMES = {
    "epsilon_spectrum": "spectrum",
    "polynomial_twin": "twin",
    "rank_mod": "rank",
    "separation_rank": "separation",
}

__all__ = [
    "PolyMixerSpec",
    "bounds",
    "degree",
    "epsilon_spectrum",
    "polynomial_twin",
    "rank_mod",
    "separation_rank",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hypermixer.expressivity' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
