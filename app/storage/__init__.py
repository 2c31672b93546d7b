"""PostgreSQL, the truth: tables, transactions, and one file per aggregate with its conditional statements."""
