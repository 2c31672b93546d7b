"""An order's way through the house, one file per arrow; owns the transactions, knows no Flask, Celery or Socket.IO.

Every function receives its surroundings (`Ports`): clock, ids, store, venue, wake-ups. A transaction is one call of
the store with a function that decides, so that between two calls other workers may act, and a test can own time.
"""
