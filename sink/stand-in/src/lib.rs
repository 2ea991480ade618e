//! A local stand-in for a Sentinel workspace: token endpoint, Logs Ingestion API, faults, query
