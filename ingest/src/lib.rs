//! Sources and decoders: raw records in, columnar batches out.
