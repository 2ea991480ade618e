//! KQL over stored tables: a bound plan becomes a DataFusion plan, with KQL's own kernels as its functions.
