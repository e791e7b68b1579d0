"""How the controller is broken on purpose."""

from gpuassay import Manifest, mutant
from numbered.system import WANTED


@mutant("wish-lost", "objects lose the label by which the controller finds them")
def _wish_lost(obj: Manifest) -> None:
    obj["metadata"].get("labels", {}).pop(WANTED, None)
