"""Adapters to brokers and exchanges: one file per venue behind one port."""
