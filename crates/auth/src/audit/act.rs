//! What the audit log tells of.

use std::fmt;

/// Declares what can be told, each with the name by which the log and the admin API know it. Names stay as they are: logs of
/// before have them.
macro_rules! acts {
    ($($(#[$doc:meta])* $act:ident = $name:literal,)+) => {
        /// What was done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Act {
            $($(#[$doc])* $act,)+
        }

        impl Act {
            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$act),+];

            /// Its name in the log.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$act => $name,)+
                }
            }

            fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$act),)+
                    _ => None,
                }
            }
        }
    };
}

acts! {
    /// A device logged in by the older API.
    LogIn = "login",
    /// A device logged itself out by it.
    LogOut = "logout",
    /// A device logged in by OAuth.
    OauthLogIn = "oauth.login",
    /// A client gave its tokens back.
    OauthRevoke = "oauth.revoke",
    /// Somebody let a client in.
    OauthApprove = "oauth.approve",
    /// Somebody sent one away.
    OauthDeny = "oauth.deny",
    /// A client or another server was told who somebody is.
    OauthIdentity = "oauth.identity",
    /// A refresh token came that was used up: its session was ended.
    OauthTokenReused = "oauth.token_reused",
    /// The same of a code.
    OauthCodeReused = "oauth.code_reused",
    /// A client was removed with all its sessions.
    OauthClientRemove = "oauth_client.remove",
    /// Somebody let a client in that knows only the older API.
    SsoApprove = "sso.approve",
    /// Somebody signed in to the pages.
    BrowserSignIn = "browser.sign_in",
    /// They signed out in one browser.
    BrowserEnd = "browser.end",
    /// They signed out in all other ones.
    BrowserEndOthers = "browser.end_others",
    /// One device's session was ended.
    DeviceEnd = "device.end",
    /// All sessions of an account were.
    SessionsEnd = "sessions.end",
    /// An account was made.
    AccountCreate = "account.create",
    /// Its password was changed.
    AccountPassword = "account.password",
    /// An address was added.
    AddressAdd = "account.3pid.add",
    /// An address was removed.
    AddressRemove = "account.3pid.delete",
    /// Its user took a copy of their data.
    AccountExport = "account.export",
    /// It was locked.
    AccountLock = "account.lock",
    /// It was unlocked.
    AccountUnlock = "account.unlock",
    /// It was suspended.
    AccountSuspend = "account.suspend",
    /// It is suspended no more.
    AccountUnsuspend = "account.unsuspend",
    /// Its user became an administrator.
    AdminGrant = "account.grant_admin",
    /// They are one no more.
    AdminRevoke = "account.revoke_admin",
    /// It was closed.
    AccountDeactivate = "account.deactivate",
    /// New cross-signing keys were allowed.
    CrossSigningAllow = "cross_signing.allow",
    /// They were uploaded.
    CrossSigningReset = "cross_signing.reset",
    /// Somebody confirmed on a page what a client wanted to do.
    UiaConfirm = "uia.confirm",
    /// Terms were accepted.
    TermsAccept = "terms.accept",
    /// An authenticator app was added.
    TotpAdd = "totp.add",
    /// It was removed.
    TotpRemove = "totp.remove",
    /// Recovery codes were made.
    RecoveryCodesMake = "recovery_codes.make",
    /// A passkey was added.
    PasskeyAdd = "passkey.add",
    /// One has another name.
    PasskeyRename = "passkey.rename",
    /// One was removed.
    PasskeyRemove = "passkey.remove",
    /// One signed with a number that says that there are two of it.
    PasskeyCopied = "passkey.copied",
    /// Every second factor of an account was removed.
    FactorsRemove = "factors.remove",
    /// The right password came with a wrong code.
    SecondFactorWrong = "second_factor.wrong",
    /// An account with a provider was connected.
    UpstreamConnect = "upstream.connect",
    /// It was disconnected.
    UpstreamDisconnect = "upstream.disconnect",
    /// The provider said that its session is over.
    UpstreamLogOut = "upstream.logout",
    /// An invitation was made.
    InvitationCreate = "invitation.create",
    /// One for an administrator.
    InvitationCreateAdmin = "invitation.create_admin",
    /// The link for the first administrator was made.
    InvitationSetUp = "invitation.set_up",
    /// A registration token was made.
    RegistrationTokenCreate = "registration_token.create",
    /// One was deleted.
    RegistrationTokenDelete = "registration_token.delete",
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an entry of the log tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Something that this version knows.
    Act(Act),
    /// Something that a later version of the server wrote, by its name.
    Unknown(String),
}

impl From<String> for Told {
    fn from(name: String) -> Self {
        Act::named(&name).map_or(Self::Unknown(name), Self::Act)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Act(act) => act.fmt(f),
            Self::Unknown(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Act, Told};

    #[test]
    fn each_act_has_a_name_of_its_own_which_leads_back_to_it() {
        let names: HashSet<_> = Act::ALL.iter().map(|act| act.name()).collect();
        assert_eq!(names.len(), Act::ALL.len());
        assert!(Act::ALL.iter().all(|act| Told::from(act.to_string()) == Told::Act(*act)));
    }

    #[test]
    fn what_a_later_version_wrote_keeps_its_name() {
        let told = Told::from("account.teleport".to_owned());
        assert_eq!(told, Told::Unknown("account.teleport".to_owned()));
        assert_eq!(told.to_string(), "account.teleport");
    }
}
