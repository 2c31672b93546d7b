"""The version of this software; every audit row carries it."""

VERSION = "0.1.0"
