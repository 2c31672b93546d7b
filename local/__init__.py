"""Everything Surefill needs on one machine: embedded PostgreSQL and Redis, and a supervisor for all processes.

`python -m local run` is `make run`. :class:`local.stack.LocalStack` is the same system for programs: the demo, the
benchmark, the chaos run and the journey tests start it on a throw-away folder.
:class:`local.services.LocalServices` is PostgreSQL and Redis alone, for tests.
"""
