//! Where batches end: the Delta lake and the Sentinel workspace
