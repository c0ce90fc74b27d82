//! What comes to the token endpoint (RFC 6749, sections 4.1.3 and 6; RFC 8628, section 3.4), and what goes from it.

use serde::Serialize;

use crate::error::{ErrorCode, Refusal};
use crate::params::Params;
use crate::{AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN};

/// A request for tokens. Every client is public, so its id is all that it says of itself.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenRequest {
    /// With an authorization code.
    Code {
        /// Who comes.
        client_id: String,
        /// The code.
        code: String,
        /// Where it came to them.
        redirect_uri: String,
        /// What meets the challenge.
        verifier: String,
    },
    /// With a refresh token.
    Refresh {
        /// Who comes.
        client_id: String,
        /// The token.
        refresh_token: String,
    },
    /// With a device code.
    Device {
        /// Who comes.
        client_id: String,
        /// The code.
        device_code: String,
    },
}

impl TokenRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// `invalid_request` or `unsupported_grant_type`.
    pub fn parse(params: &Params) -> Result<Self, Refusal> {
        let grant_type = params.require("grant_type")?;
        let text = |name| params.require(name).map(str::to_owned);
        match grant_type {
            AUTHORIZATION_CODE => Ok(Self::Code {
                client_id: text("client_id")?,
                code: text("code")?,
                redirect_uri: text("redirect_uri")?,
                verifier: text("code_verifier")?,
            }),
            REFRESH_TOKEN => {
                Ok(Self::Refresh { client_id: text("client_id")?, refresh_token: text("refresh_token")? })
            }
            DEVICE_CODE => {
                Ok(Self::Device { client_id: text("client_id")?, device_code: text("device_code")? })
            }
            _ => Err(Refusal::new(ErrorCode::UnsupportedGrantType, "This grant_type is not served.")),
        }
    }
}

impl std::fmt::Debug for TokenRequest {
    /// Says which grant it is, and nothing of what is shown: that is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Code { .. } => AUTHORIZATION_CODE,
            Self::Refresh { .. } => REFRESH_TOKEN,
            Self::Device { .. } => DEVICE_CODE,
        })
    }
}

/// Tokens, as a client gets them (RFC 6749, section 5.1).
#[derive(Serialize)]
pub struct TokenAnswer<'a> {
    /// What authenticates requests.
    pub access_token: &'a str,
    /// `Bearer`.
    pub token_type: &'static str,
    /// How long it does, in seconds.
    pub expires_in: u64,
    /// What renews it.
    pub refresh_token: &'a str,
    /// What was granted.
    pub scope: &'a str,
}

#[cfg(test)]
mod tests {
    use super::TokenRequest;
    use crate::error::ErrorCode;
    use crate::params::Params;

    fn parse(form: &str) -> Result<TokenRequest, ErrorCode> {
        TokenRequest::parse(&Params::parse(form.as_bytes()).unwrap()).map_err(|refusal| refusal.code)
    }

    #[test]
    fn each_grant_needs_what_proves_it() {
        let code = "grant_type=authorization_code&client_id=c&code=x&redirect_uri=https://a&code_verifier=v";
        assert!(matches!(parse(code), Ok(TokenRequest::Code { .. })));
        assert!(matches!(
            parse("grant_type=refresh_token&client_id=c&refresh_token=x"),
            Ok(TokenRequest::Refresh { .. })
        ));
        let device = "grant_type=urn:ietf:params:oauth:grant-type:device_code&client_id=c&device_code=x";
        assert!(matches!(parse(device), Ok(TokenRequest::Device { .. })));
        for missing in ["client_id", "code", "redirect_uri", "code_verifier"] {
            let form: Vec<_> =
                code.split('&').filter(|pair| !pair.starts_with(&format!("{missing}="))).collect();
            assert_eq!(parse(&form.join("&")), Err(ErrorCode::InvalidRequest), "{missing}");
        }
        assert_eq!(parse("client_id=c"), Err(ErrorCode::InvalidRequest));
        assert_eq!(parse(&format!("{code}&code=y")), Err(ErrorCode::InvalidRequest));
        assert_eq!(parse("grant_type=password&username=a&password=b"), Err(ErrorCode::UnsupportedGrantType));
    }

    #[test]
    fn what_is_shown_is_never_printed() {
        let request = parse("grant_type=refresh_token&client_id=c&refresh_token=hunter2").unwrap();
        assert_eq!(format!("{request:?}"), "refresh_token");
    }
}
