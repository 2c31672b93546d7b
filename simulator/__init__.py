"""A venue in its own process: Alpaca's Trading API v2 wire on loopback, with a durable ledger and scriptable faults.

It shares no code with the system that trades on it. The two meet over HTTP and WebSocket only, so its ledger is an
independent second opinion on what was executed.
"""
