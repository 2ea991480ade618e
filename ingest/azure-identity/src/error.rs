//! Why there is no token.

use std::path::PathBuf;
use std::time::Duration;

use weir_contract::secret::SecretError;

/// Why an access token could not be had.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The client secret cannot be read where the config says.
    #[error("cannot read the client secret")]
    Secret(#[from] SecretError),
    /// The federated token file cannot be read, or is empty.
    #[error(
        "cannot read the federated token file `{}`; on Kubernetes the pod needs the label \
         `azure.workload.identity/use: \"true\"` and a service account with a client id",
        path.display()
    )]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Neither the config nor the environment gives a value that a workload identity needs.
    #[error("workload identity lacks `{key}`; set it in the config, or `{variable}` in the environment")]
    Missing {
        /// The config key.
        key: &'static str,
        /// The environment variable that stands in for it.
        variable: &'static str,
    },
    /// A part of the credential has a form that Entra ID can't accept.
    #[error("`{key}` is invalid: {reason}")]
    Invalid {
        /// The config key or environment variable.
        key: &'static str,
        /// What is wrong, and what to write instead.
        reason: String,
    },
    /// No answer: name resolution, connection, TLS or a timeout.
    #[error("cannot reach the sign-in service at `{authority}`; check the name, the network and any proxy")]
    Unreachable {
        /// The authority host.
        authority: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// The sign-in service is throttling or out of order.
    #[error("the sign-in service answered {status}")]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The sign-in service refused the credential.
    #[error("the sign-in service refused the credential ({status} {code}): {description}{}", hint(*number))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// OAuth's error code, such as `invalid_client`.
        code: String,
        /// The first line of the service's explanation.
        description: String,
        /// The AADSTS number of the explanation; 0 where it gave none.
        number: u32,
    },
    /// The answer is no token.
    #[error("the sign-in service at `{authority}` gave an answer that is no token: {reason}")]
    Answer {
        /// The authority host.
        authority: String,
        /// What is wrong with it; never its content.
        reason: String,
    },
}

impl TokenError {
    /// Whether the same request may succeed later without a person changing something.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Unavailable { .. } | Self::Answer { .. } => true,
            // The assertion was outside its validity: the next one in the file may be newer.
            Self::Refused { number, .. } => *number == 700_024,
            Self::Secret(_) | Self::TokenFile { .. } | Self::Missing { .. } | Self::Invalid { .. } => false,
        }
    }

    /// How long the service asked to wait before the next request.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// What a person should do about the refusals that occur most, by AADSTS number
/// (<https://learn.microsoft.com/entra/identity-platform/reference-error-codes>).
fn hint(number: u32) -> &'static str {
    match number {
        7_000_215 => "; give the secret's value, not its id",
        7_000_222 => "; the secret has expired: create a new one",
        700_016 => "; check `client_id`, and that the application is in this tenant",
        90_002 => "; check `tenant_id`",
        700_024 => "; the federated token is outside its validity: check the clocks and that the file is renewed",
        70_021 | 700_213 => {
            "; no federated credential of the application matches: check its issuer, subject \
             (`system:serviceaccount:<namespace>:<name>`) and audience (`api://AzureADTokenExchange`)"
        }
        _ => "",
    }
}
