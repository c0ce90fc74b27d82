//! What a client leads somebody to the account's pages for (client-server API, "Account management URL actions").

use myelin_oauth_core::params::Params;
use url::form_urlencoded::Serializer;

use crate::next::ACCOUNT;

/// The actions that the pages know: those of the specification, and sessions as clients of before call devices.
pub const ACTIONS: [&str; 9] = [
    "org.matrix.profile",
    "org.matrix.devices_list",
    "org.matrix.device_view",
    "org.matrix.device_delete",
    "org.matrix.account_deactivate",
    "org.matrix.cross_signing_reset",
    "org.matrix.sessions_list",
    "org.matrix.session_view",
    "org.matrix.session_end",
];

/// The longest device id that is looked for.
const MAX_DEVICE_ID: usize = 255;

/// What somebody wants of their account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To see it, with its devices.
    #[default]
    Overview,
    /// To see one device.
    View(String),
    /// To end one device.
    End(String),
    /// To let their cross-signing keys be replaced, from this device where it is known.
    Reset(Option<String>),
    /// To see which accounts elsewhere are theirs, too, and change that.
    Providers,
    /// To deactivate it.
    Deactivate,
    /// To see what they sign in with beside the password.
    SecondStep,
    /// To set up an authenticator app.
    AddTotp,
    /// To remove it.
    RemoveTotp,
    /// To have new recovery codes.
    RecoveryCodes,
    /// To say how others see them.
    Profile,
    /// To have another password.
    Password,
    /// To say where mails reach them.
    Emails,
    /// To see in which browsers they are signed in.
    Browsers,
    /// To see what happened, before a place in the log.
    Activity(Option<i64>),
    /// To have a copy of their data.
    Export,
    /// To add a passkey.
    AddPasskey,
    /// To rename or remove one, by its id.
    EditPasskey(String),
    /// To show that it is them, in this session of interactive authentication.
    Confirm(String),
}

impl Wish {
    /// What a query asks for. Whatever is not known, or lacks its device, is the overview.
    pub(crate) fn of(params: &Params) -> Self {
        let action = params.get("action").ok().flatten().unwrap_or_default();
        let id = |name| params.get(name).ok().flatten().filter(|id| id.len() <= MAX_DEVICE_ID);
        let (device_id, passkey) = (id("device_id"), id("passkey"));
        // Clients of before left out the prefix, too.
        match (action.strip_prefix("org.matrix.").unwrap_or(action), device_id) {
            ("device_view" | "session_view", Some(id)) => Self::View(id.to_owned()),
            ("device_delete" | "session_end", Some(id)) => Self::End(id.to_owned()),
            ("cross_signing_reset", id) => Self::Reset(id.map(str::to_owned)),
            ("org.myelin.providers", _) => Self::Providers,
            ("account_deactivate", _) => Self::Deactivate,
            ("myelin.second_step", _) => Self::SecondStep,
            ("myelin.totp_add", _) => Self::AddTotp,
            ("myelin.totp_remove", _) => Self::RemoveTotp,
            ("myelin.recovery_codes", _) => Self::RecoveryCodes,
            ("profile", _) => Self::Profile,
            ("myelin.password", _) => Self::Password,
            ("myelin.emails", _) => Self::Emails,
            ("myelin.browsers", _) => Self::Browsers,
            ("myelin.activity", _) => {
                let before = params.get("before").ok().flatten();
                Self::Activity(before.and_then(|before| before.parse().ok()))
            }
            ("myelin.export", _) => Self::Export,
            ("myelin.passkey_add", _) => Self::AddPasskey,
            ("myelin.passkey_edit", _) => {
                passkey.map_or(Self::SecondStep, |id| Self::EditPasskey(id.to_owned()))
            }
            ("myelin.confirm", _) => {
                id("session").map_or(Self::Overview, |session| Self::Confirm(session.to_owned()))
            }
            _ => Self::Overview,
        }
    }

    /// Whether it can't be undone or changes who gets in, so that who wants it shows who they are first.
    pub(crate) fn is_grave(&self) -> bool {
        matches!(
            self,
            Self::Reset(_)
                | Self::Deactivate
                | Self::AddTotp
                | Self::RemoveTotp
                | Self::RecoveryCodes
                | Self::Password
                | Self::Emails
                | Self::Export
                | Self::AddPasskey
                | Self::EditPasskey(_)
                | Self::Confirm(_)
        )
    }

    /// The path and query of its page.
    pub(crate) fn path(&self) -> String {
        let (action, device_id) = match self {
            Self::Overview => return ACCOUNT.to_owned(),
            Self::View(id) => ("org.matrix.device_view", Some(id)),
            Self::End(id) => ("org.matrix.device_delete", Some(id)),
            Self::Reset(id) => ("org.matrix.cross_signing_reset", id.as_ref()),
            Self::Providers => ("org.myelin.providers", None),
            Self::Deactivate => ("org.matrix.account_deactivate", None),
            Self::SecondStep => ("myelin.second_step", None),
            Self::AddTotp => ("myelin.totp_add", None),
            Self::RemoveTotp => ("myelin.totp_remove", None),
            Self::RecoveryCodes => ("myelin.recovery_codes", None),
            Self::Profile => ("org.matrix.profile", None),
            Self::Password => ("myelin.password", None),
            Self::Emails => ("myelin.emails", None),
            Self::Browsers => ("myelin.browsers", None),
            Self::Activity(_) => ("myelin.activity", None),
            Self::Export => ("myelin.export", None),
            Self::AddPasskey => ("myelin.passkey_add", None),
            Self::EditPasskey(id) => ("myelin.passkey_edit", Some(id)),
            Self::Confirm(session) => ("myelin.confirm", Some(session)),
        };
        let mut query = Serializer::new(String::new());
        query.append_pair("action", action);
        if let Some(id) = device_id {
            let name = match self {
                Self::EditPasskey(_) => "passkey",
                Self::Confirm(_) => "session",
                _ => "device_id",
            };
            query.append_pair(name, id);
        }
        if let Self::Activity(Some(before)) = self {
            query.append_pair("before", &before.to_string());
        }
        format!("{ACCOUNT}?{}", query.finish())
    }
}
