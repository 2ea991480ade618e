//! The tokens that senders show.

use subtle::ConstantTimeEq as _;
use weir_contract::secret::{Secret, SecretRef};

/// All tokens of a source; any of them will do.
#[derive(Debug)]
pub(super) struct Tokens(Vec<Secret>);

/// What a request shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// One of the tokens, or none is asked for.
    Valid,
    /// No `Authorization` at all.
    Nothing,
    /// An `Authorization` of another kind.
    OtherScheme,
    /// A token that is none of ours.
    Unknown,
}

impl Tokens {
    pub(super) fn read(refs: &[SecretRef]) -> Result<Self, String> {
        let read = refs.iter().map(|secret| secret.read().map_err(|error| error.to_string()));
        let tokens: Vec<Secret> = read.collect::<Result<_, _>>()?;
        match tokens.iter().position(|token| token.expose().is_empty()) {
            Some(index) => Err(format!("entry {index} is empty; write a token there")),
            None => Ok(Self(tokens)),
        }
    }

    /// Looks at the value of `Authorization`, which begins with one of `schemes`.
    pub(super) fn check(&self, authorization: Option<&[u8]>, schemes: &[&str]) -> Shown {
        if self.0.is_empty() {
            return Shown::Valid;
        }
        let Some(shown) = authorization else { return Shown::Nothing };
        let token = schemes.iter().find_map(|scheme| {
            let (first, rest) = shown.split_at_checked(scheme.len())?;
            let token = rest.strip_prefix(b" ")?;
            first.eq_ignore_ascii_case(scheme.as_bytes()).then_some(token.trim_ascii())
        });
        let Some(token) = token else { return Shown::OtherScheme };
        // Each is compared, in constant time, so that the time tells nothing of them.
        let is_one =
            self.0.iter().fold(subtle::Choice::from(0), |found, known| found | known.expose().as_bytes().ct_eq(token));
        if bool::from(is_one) { Shown::Valid } else { Shown::Unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_of_ours_is_valid() {
        let tokens = Tokens(vec![Secret::new("one"), Secret::new("two")]);
        let check = |text: &str| tokens.check(Some(text.as_bytes()), &["Bearer", "Splunk"]);
        assert_eq!(check("Bearer two"), Shown::Valid);
        assert_eq!(check("splunk one"), Shown::Valid);
        assert_eq!(check("Bearer tw"), Shown::Unknown);
        assert_eq!(check("Basic one"), Shown::OtherScheme);
        assert_eq!(check("Bearerone"), Shown::OtherScheme);
        assert_eq!(tokens.check(None, &["Bearer"]), Shown::Nothing);
        assert_eq!(Tokens(Vec::new()).check(None, &["Bearer"]), Shown::Valid);
        assert!(!format!("{tokens:?}").contains("one"));
    }
}
