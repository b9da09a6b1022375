"""What learning needs beyond the base install, looked for before anything is learned."""

from dataclasses import dataclass
from importlib import import_module

from shortlist.errors import MissingExtraError

_MODULES = {"torch": ("torch", "onnx", "onnxscript"), "boosted": ("lightgbm", "onnx")}


@dataclass(frozen=True)
class Extra:
    """An extra that a part needs to learn; answering does without.

    Attributes:
        name: as pip knows it.
        needs: who needs what for what, in words.
        otherwise: what does without, in words.
    """

    name: str
    needs: str
    otherwise: str

    def insist(self) -> None:
        """Insist that it is installed.

        Raises:
            MissingExtraError: it is not, or a library of the system that it needs is not.
        """
        try:
            for module in _MODULES[self.name]:
                import_module(module)
        except ImportError as error:
            msg = f"{self.needs} ({error}): pip install 'shortlist[{self.name}]'. {self.otherwise}"
            raise MissingExtraError(msg) from None
        except (
            OSError
        ) as error:  # a wheel is there, what it links to is not: slim images have no libgomp1
            msg = (
                f"{self.needs}, which cannot be loaded ({error}): install that library of the system, "
                f"such as: apt-get install libgomp1. {self.otherwise}"
            )
            raise MissingExtraError(msg) from None
