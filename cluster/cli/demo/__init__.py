"""`shopreel demo`: the whole chain on one machine, from pictures and a viewing log to clips over HTTP."""
