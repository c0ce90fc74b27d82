//! What the pages say, by language: one file each, of the same keys.

use std::sync::LazyLock;

use maud::{Markup, PreEscaped, Render, html};
use myelin_language::{Language, Piece, Said, messages, pieces};
use serde::Deserialize;

static ALL: LazyLock<Said<Messages>> = LazyLock::new(|| {
    let files = [
        include_str!("messages/en.toml"),
        include_str!("messages/de.toml"),
        include_str!("messages/fr.toml"),
    ];
    Said::read(files).expect("the message files are part of the program, and a test reads them")
});

/// The messages of one language. Words in braces are filled in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Messages {
    pub(crate) common: Common,
    pub(crate) sign_in: SignIn,
    pub(crate) second_step: SecondStep,
    pub(crate) passkey: Passkey,
    pub(crate) strength: Strength,
    pub(crate) sign_up: SignUp,
    pub(crate) consent: Consent,
    pub(crate) device: Device,
    pub(crate) done: Done,
    pub(crate) account: Account,
    pub(crate) reset: Reset,
    pub(crate) menu: Menu,
    pub(crate) profile: Profile,
    pub(crate) password: Password,
    pub(crate) emails: Emails,
    pub(crate) browsers: Browsers,
    pub(crate) activity: Activity,
    pub(crate) export: Export,
    pub(crate) forgot: Forgot,
    pub(crate) rename: Rename,
    pub(crate) confirm: Confirm,
    pub(crate) upstream: Upstream,
    pub(crate) terms: Terms,
    pub(crate) address: Address,
    pub(crate) stage: Stage,
    pub(crate) foot: Foot,
    pub(crate) problem: Problem,
}

messages! {
    Common { user_name, password, wait, busy, failed, directory }
    SignIn { title, intro, intro_client, button, wrong, locked, no_account, create }
    SecondStep {
        title, intro, code, code_hint, button, wrong, ended, again, lost,
        manage_title, off, on, why, passwords_alone, app, app_since, app_add, app_change, app_remove,
        codes, codes_left, codes_none, codes_make,
        add_title, add_scan, add_secret, add_code, add_button, add_picture, add_ended, added,
        remove_title, remove_warning, remove_warning_passkeys, remove_button, removed,
        make_title, make_warning, make_button, made, keep, keep_once,
    }
    Passkey {
        sign_in, second, not_asked, ended, unknown, wrong, copied, known, too_many,
        title, explain, none, unnamed, added, used, never_used, edit, add, add_title, add_explain, name, name_hint, add_button,
        needs_script, not_offered, done, edit_title, rename, remove, remove_warning, removed, renamed, gone,
    }
    Strength { guessed, breached, common, word, name, keys, repeats, sequence, date, simple }
    SignUp {
        title, intro, intro_client, user_name_hint, password_hint, token, token_hint, button, have_account, sign_in, closed,
        taken, name_empty, name_characters, name_reserved, name_long, password_short, password_long, token_wrong,
        email, email_hint, email_wrong, email_taken, next, mail_sent, mail_open, not_confirmed, mail_other, invited,
        invited_admin,
    }
    Consent {
        title, signed_in_as, not_you, wants_to_know, name, email, wants, wants_unproved, wants_there, careful, account, messages, device, replaces, sent_to, sent_to_app, approve, deny, links,
        terms, policy,
    }
    Device { title, intro, code, code_hint, button, unknown, check_title, check, careful, denied, approved }
    Account {
        title, devices, no_devices, unnamed, seen, never_seen, end, back, end_title, end_warning, end_button,
        ended, gone, deactivate, deactivate_title,
        deactivate_warning, erase, deactivate_button, deactivated, cancel,
    }
    Menu { label, devices, profile, password, second_step, emails, browsers, activity, export }
    Profile {
        title, name, name_hint, save, saved, too_long, suspended, picture_alt, picture_new, picture_hint, picture_save,
        picture_saved, picture_remove, picture_removed, picture_none, picture_large, picture_unknown, picture_quota,
    }
    Password { title, explain, new, end_devices, history, button, elsewhere, saved }
    Emails { title, explain, none, add, added, remove, removed, open, confirmed, too_many }
    Browsers { title, explain, unnamed, this, since, end, end_others, ended }
    Activity {
        title, explain, none, more, by_others, login, device_end, browser_sign_in, browser_end, approve,
        deny, reused, create, password, email_add, email_remove, reset_allow, reset, lock, unlock, suspend,
        unsuspend, admin, no_admin, export, factor, code_wrong, connect, disconnect, logout_there, identity,
        terms, passkey_add, passkey_rename, passkey_remove, passkey_copied, factors_remove, confirm,
    }
    Export { title, explain, has, has_not, button }
    Forgot { title, explain, sent, open, off, done, link }
    Terms { title, explain, otherwise, button, accept, missing }
    Address { title, register, add, reset, button, not_you, thanks, done, ended_title, ended }
    Stage { title, terms, password, password_wrong, token, email, other, button }
    Foot { privacy, terms, imprint, support }
    Rename { name, button, done, too_long }
    Reset { title, explain, warning, button, done, device, pick, asks, none }
    Confirm { title, device, explain, careful, button, done, gone }
    Upstream {
        offer, or, unknown, expired, other_browser, other_provider, denied, unreachable, gone, no_account, connected, other_user,
        again, not_anew, when_unsaid, name_title, name_intro, name_mine, connect_title, connect_intro, connect_careful, connect_button,
        connections_title, connections_intro, connected_as, connect, disconnect, last_way,
    }
    Done { title, signed_in, close, sign_out, signed_out }
    Problem { title, explain, back, for_developers, form }
}

impl Messages {
    pub(crate) fn of(language: Language) -> &'static Self {
        ALL.of(language)
    }
}

/// A message with its words in braces filled in.
pub(crate) fn fill(message: &str, words: &[(&str, &dyn Render)]) -> Markup {
    let mut filled = String::new();
    for piece in pieces(message) {
        match piece {
            Piece::Text(text) => filled.push_str(&html! { (text) }.into_string()),
            Piece::Word(name) => {
                if let Some((_, word)) = words.iter().find(|(known, _)| *known == name) {
                    filled.push_str(&word.render().into_string());
                }
            }
        }
    }
    PreEscaped(filled)
}

#[cfg(test)]
mod tests {
    use maud::html;
    use myelin_language::differences;

    use super::{ALL, Messages, fill};

    impl Messages {
        fn all(&self) -> Vec<(&'static str, &str)> {
            let parts = [
                self.common.all(),
                self.sign_in.all(),
                self.second_step.all(),
                self.passkey.all(),
                self.strength.all(),
                self.sign_up.all(),
                self.consent.all(),
                self.device.all(),
                self.done.all(),
                self.account.all(),
                self.reset.all(),
                self.menu.all(),
                self.profile.all(),
                self.password.all(),
                self.emails.all(),
                self.browsers.all(),
                self.activity.all(),
                self.export.all(),
                self.forgot.all(),
                self.rename.all(),
                self.confirm.all(),
                self.foot.all(),
                self.upstream.all(),
                self.terms.all(),
                self.address.all(),
                self.stage.all(),
                self.problem.all(),
            ];
            parts.concat()
        }
    }

    #[test]
    fn every_language_says_everything_with_the_same_words_to_fill_in() {
        assert_eq!(differences(&ALL, Messages::all), Vec::<String>::new());
    }

    #[test]
    fn what_is_filled_in_is_escaped_and_markup_stays_markup() {
        let name = "<b>&\"";
        let strong = html! { strong { "x" } };
        let filled = fill("a<{name}>{strong}{other}{", &[("name", &name), ("strong", &strong)]);
        assert_eq!(filled.into_string(), "a&lt;&lt;b&gt;&amp;&quot;&gt;<strong>x</strong>{");
    }
}
