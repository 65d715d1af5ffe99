"""Who carries an extraction out: this process, a process for each device, or a Ray cluster."""
