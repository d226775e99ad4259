"""Training: the net, its engine, batches, callbacks and schedules."""
