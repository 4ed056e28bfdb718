"""Pure rules: state and now in, decisions out. No I/O, no clock, no randomness, no tables."""
