"""Makes what Terraform applies real on MiniStack, an emulator of AWS."""

from .emulator import Emulator

__all__ = ["Emulator"]
