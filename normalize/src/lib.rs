//! Mappings in KQL from raw tables to the ASIM schemas
