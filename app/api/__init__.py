"""The intake API: routes without logic. A request becomes a typed command of the lifecycle, or a problem."""
