//! Credentials as a config names them. Secrets are references; nothing here holds one.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use url::{Host, Url};
use weir_contract::secret::SecretRef;

use crate::error::TokenError;

/// How to sign in to Microsoft Entra ID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum AzureCredential {
    /// An application and its client secret.
    ClientSecret(ClientSecret),
    /// A workload identity: the federated token file that Kubernetes keeps fresh.
    WorkloadIdentity(WorkloadIdentity),
}

/// An application and its client secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientSecret {
    /// The directory (tenant) id.
    pub tenant_id: String,
    /// The application (client) id.
    pub client_id: String,
    /// Where the secret's value is; it is read again for each token, so a rotated one is seen.
    pub secret: SecretRef,
    /// The sign-in host (default <https://login.microsoftonline.com>).
    #[serde(default)]
    pub authority: Authority,
}

/// A workload identity. What is left out comes from the variables that the AKS webhook injects into the pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkloadIdentity {
    /// The directory (tenant) id (default: `AZURE_TENANT_ID`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The application or managed identity's client id (default: `AZURE_CLIENT_ID`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The file with the federated token (default: `AZURE_FEDERATED_TOKEN_FILE`); it is read again for each token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The sign-in host (default: `AZURE_AUTHORITY_HOST`, else <https://login.microsoftonline.com>).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<Authority>,
}

/// The sign-in host of a cloud: `https`, or plain `http` to this machine's loopback for tests.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority(Url);

/// What a token request needs, with everything filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) authority: Authority,
    pub(crate) tenant_id: String,
    pub(crate) client_id: String,
    pub(crate) proof: Proof,
}

/// What shows that we are the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    Secret(SecretRef),
    TokenFile(PathBuf),
}

impl AzureCredential {
    /// Finds what is wrong with the credential without asking anybody: missing values, malformed ids, a secret or a
    /// token file that can't be read.
    pub fn check(&self) -> Result<(), TokenError> {
        let resolved = self.resolve(&environment)?;
        resolved.proof.read().map(drop)
    }

    /// What is wrong with the ids that are given, as the key and what to write instead. Looks at nothing else.
    pub fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let (tenant, client) = match self {
            Self::ClientSecret(it) => (Some(&it.tenant_id), Some(&it.client_id)),
            Self::WorkloadIdentity(it) => (it.tenant_id.as_ref(), it.client_id.as_ref()),
        };
        let tenant = tenant.filter(|id| !is_tenant(id)).map(|_| ("tenant_id", WRITE_TENANT));
        let client = client.filter(|id| id.trim().is_empty()).map(|_| ("client_id", WRITE_CLIENT));
        tenant.into_iter().chain(client).collect()
    }

    /// What a workload identity needs of this machine and does not find: a variable, or the token's file.
    pub fn missing(&self) -> Option<String> {
        let Self::WorkloadIdentity(identity) = self else { return None };
        let error = match identity.resolve(&environment) {
            Ok(resolved) => resolved.proof.read().err()?,
            Err(error) => error,
        };
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Some(format!("{error}{cause}"))
    }

    /// Fills in what the config leaves to the environment (`env` looks a variable up) and checks the forms.
    pub(crate) fn resolve(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Resolved, TokenError> {
        let resolved = match self {
            Self::ClientSecret(it) => Resolved {
                authority: it.authority.clone(),
                tenant_id: it.tenant_id.clone(),
                client_id: it.client_id.clone(),
                proof: Proof::Secret(it.secret.clone()),
            },
            Self::WorkloadIdentity(it) => it.resolve(env)?,
        };
        if !is_tenant(&resolved.tenant_id) {
            return Err(TokenError::Invalid { key: "tenant_id", reason: WRITE_TENANT.to_owned() });
        }
        if resolved.client_id.trim().is_empty() {
            return Err(TokenError::Invalid { key: "client_id", reason: WRITE_CLIENT.to_owned() });
        }
        Ok(resolved)
    }
}

const WRITE_TENANT: &str = "write the directory's id or its domain name";
const WRITE_CLIENT: &str = "write the application's id";

/// The tenant becomes a part of the URL: an id or a domain name, and nothing else.
fn is_tenant(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
}

impl WorkloadIdentity {
    fn resolve(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Resolved, TokenError> {
        let text = |given: &Option<String>, key, variable| {
            given.clone().or_else(|| env(variable)).ok_or(TokenError::Missing { key, variable })
        };
        let authority = match (&self.authority, env(AUTHORITY_HOST)) {
            (Some(authority), _) => authority.clone(),
            (None, Some(host)) => {
                Authority::parse(&host).map_err(|reason| TokenError::Invalid { key: AUTHORITY_HOST, reason })?
            }
            (None, None) => Authority::default(),
        };
        let token_file = match &self.token_file {
            Some(path) => path.clone(),
            None => text(&None, "token_file", "AZURE_FEDERATED_TOKEN_FILE")?.into(),
        };
        Ok(Resolved {
            authority,
            tenant_id: text(&self.tenant_id, "tenant_id", "AZURE_TENANT_ID")?,
            client_id: text(&self.client_id, "client_id", "AZURE_CLIENT_ID")?,
            proof: Proof::TokenFile(token_file),
        })
    }
}

const AUTHORITY_HOST: &str = "AZURE_AUTHORITY_HOST";

/// A set and non-empty variable of the process.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Authority {
    /// Reads `https://<host>`; the error says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text)
            .map_err(|cause| format!("`{text}` is no URL ({cause}); write one such as `{}`", Self::PUBLIC))?;
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => return Err(format!("`{text}` names no host; write one such as `{}`", Self::PUBLIC)),
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
            return Err(format!("`{text}` is not encrypted; write `https://…` (http is for loopback only)"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err("write the host only, without user, query or fragment".to_owned());
        }
        Ok(Self(url))
    }

    /// Where a tenant's tokens are asked for: `<authority>/<tenant>/oauth2/v2.0/token`.
    pub(crate) fn token_url(&self, tenant_id: &str) -> Url {
        let mut url = self.0.clone();
        let mut path = url.path_segments_mut().expect("http URLs have a path");
        path.pop_if_empty().extend([tenant_id, "oauth2", "v2.0", "token"]);
        drop(path);
        url
    }

    const PUBLIC: &str = "https://login.microsoftonline.com";
}

impl Default for Authority {
    fn default() -> Self {
        Self::parse(Self::PUBLIC).expect("the public cloud's host is a URL")
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Authority {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Authority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Cow::<str>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Authority {
    fn schema_name() -> Cow<'static, str> {
        "Authority".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "uri",
            "description": "the sign-in host of the cloud, such as https://login.microsoftonline.com",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> Option<String> {
        Some(match name {
            "AZURE_TENANT_ID" => "tenant-of-pod".to_owned(),
            "AZURE_CLIENT_ID" => "client-of-pod".to_owned(),
            "AZURE_FEDERATED_TOKEN_FILE" => "/tokens/azure".to_owned(),
            AUTHORITY_HOST => "https://login.microsoftonline.us/".to_owned(),
            _ => return None,
        })
    }

    #[test]
    fn workload_identity_takes_the_pods_variables_and_the_config_goes_first() {
        let config = r#"{"workload_identity":{"client_id":"mine"}}"#;
        let credential: AzureCredential = serde_json::from_str(config).expect("valid config");
        let resolved = credential.resolve(&pod).expect("complete");
        assert_eq!(resolved.client_id, "mine");
        assert_eq!(resolved.tenant_id, "tenant-of-pod");
        assert_eq!(resolved.proof, Proof::TokenFile("/tokens/azure".into()));
        let url = resolved.authority.token_url(&resolved.tenant_id);
        assert_eq!(url.as_str(), "https://login.microsoftonline.us/tenant-of-pod/oauth2/v2.0/token");
    }

    #[test]
    fn a_missing_variable_is_named_with_its_config_key() {
        let credential = AzureCredential::WorkloadIdentity(WorkloadIdentity::default());
        let error = credential.resolve(&|_| None).expect_err("nothing is given").to_string();
        assert!(error.contains("token_file") && error.contains("AZURE_FEDERATED_TOKEN_FILE"), "{error}");
    }

    #[test]
    fn an_authority_is_encrypted_unless_it_is_this_machine() {
        for good in ["https://login.chinacloudapi.cn", "http://127.0.0.1:8080", "http://[::1]:1", "http://localhost/"] {
            assert!(Authority::parse(good).is_ok(), "{good}");
        }
        for bad in ["http://login.microsoftonline.com", "ftp://localhost", "login", "https://u:p@h", "https://h/?q=1"] {
            assert!(Authority::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_tenant_cannot_change_the_path() {
        let config = r#"{"client_secret":{"tenant_id":"a/../b","client_id":"c","secret":{"env":"S"}}}"#;
        let credential: AzureCredential = serde_json::from_str(config).expect("valid config");
        assert!(matches!(credential.resolve(&pod), Err(TokenError::Invalid { key: "tenant_id", .. })));
    }

    #[test]
    fn unknown_keys_are_refused() {
        let config = r#"{"client_secret":{"tenant_id":"a","client_id":"c","secret":{"env":"S"},"password":"x"}}"#;
        assert!(serde_json::from_str::<AzureCredential>(config).is_err());
    }
}
