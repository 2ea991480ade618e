//! Access tokens of Microsoft Entra ID, for the two stages that sign in to Azure: the Kafka source (Event Hubs) and the
//! Sentinel sink (Logs Ingestion).
//!
//! [`credential`] is what a config says: a client secret, or the federated token file of a workload identity.
//! [`exchange`] is the one request that turns it into a token
//! (<https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>). [`provider`] keeps the
//! tokens: one per scope, fetched once however many callers wait, renewed before they end.

pub mod credential;
pub mod error;
pub mod exchange;
pub mod provider;

pub use credential::AzureCredential;
pub use error::TokenError;
pub use provider::{AccessToken, TokenProvider};
