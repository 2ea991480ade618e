//! What the tests of the whole binary stand on: the binary itself, and real servers on loopback that end with the test.

pub(crate) mod azurite;
pub(crate) mod scrape;
pub(crate) mod server;
pub(crate) mod tansu;
pub(crate) mod weir;
pub(crate) mod workspace;
