"""Tables in: reading, checking, splitting; and the currencies that cross the walls."""
