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
            MissingExtraError: it is not.
        """
        try:
            for module in _MODULES[self.name]:
                import_module(module)
        except ImportError as error:
            msg = f"{self.needs} ({error}): pip install 'shortlist[{self.name}]'. {self.otherwise}"
            raise MissingExtraError(msg) from None
