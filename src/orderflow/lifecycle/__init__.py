"""How a lifecycle is declared, compiled, decided, explored and checked. Pure: no clock, randomness or I/O, and no provider."""
