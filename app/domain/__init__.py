"""What an order is and how it may change: pure rules, standard library only, no I/O, no clock of their own."""
