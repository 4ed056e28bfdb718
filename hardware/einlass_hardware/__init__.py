"""Board profiles as data, and the rules of the chips they are for."""

from einlass_hardware.boards import board_text, check_board, names

__all__ = ["board_text", "check_board", "names"]
