"""Pure mathematics: arrays in, arrays out; no IO."""
