"""What checks Surefill from outside: a demonstration, a benchmark, and the comparison of both ledgers they rest on."""
