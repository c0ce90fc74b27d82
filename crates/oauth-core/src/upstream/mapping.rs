//! What a provider's claims become here: an operator's templates, in the language of Jinja, over `user`.
//!
//! They can only make text of claims. There is nothing to load and nothing to call but filters over values, and the work that
//! one may do is bounded, whatever the claims are.

use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde::Serialize;

use super::claims::Claims;

/// The steps that one template may take.
const FUEL: u64 = 10_000;
/// The longest text that one makes, in bytes; longer ones are none.
const MAX_BYTES: usize = 255;

/// The templates of one provider, each known to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    localpart: String,
    display_name: String,
    email: String,
}

/// What they make of a person's claims. What can't be made is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapped {
    /// The name that an account would have.
    pub localpart: Option<String>,
    /// What others would see.
    pub display_name: Option<String>,
    /// An address that the provider vouches for.
    pub email: Option<String>,
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadTemplate(String);

impl Default for Mapping {
    /// The standard claims of OpenID Connect; an address where the provider says that it was verified.
    fn default() -> Self {
        Self {
            localpart: "{{ user.preferred_username }}".to_owned(),
            display_name: "{{ user.name }}".to_owned(),
            email: "{% if user.email_verified %}{{ user.email }}{% endif %}".to_owned(),
        }
    }
}

impl Mapping {
    /// With these templates in place of the default ones.
    ///
    /// # Errors
    /// Where one is none.
    pub fn new(
        localpart: Option<&str>,
        display_name: Option<&str>,
        email: Option<&str>,
    ) -> Result<Self, BadTemplate> {
        let mut mapping = Self::default();
        let given = [
            (localpart, &mut mapping.localpart),
            (display_name, &mut mapping.display_name),
            (email, &mut mapping.email),
        ];
        for (template, place) in given {
            if let Some(template) = template {
                check(template)?;
                template.clone_into(place);
            }
        }
        Ok(mapping)
    }

    /// What becomes of these claims.
    #[must_use]
    pub fn apply(&self, claims: &Claims) -> Mapped {
        Mapped {
            localpart: render(&self.localpart, claims),
            display_name: render(&self.display_name, claims),
            email: render(&self.email, claims),
        }
    }
}

/// The text of a template with `user` filled in; nothing where it is empty, too long, or can't be made.
#[must_use]
pub fn render(template: &str, user: &impl Serialize) -> Option<String> {
    let text = environment().render_str(template, context! { user => user }).ok()?;
    let text = text.trim();
    (!text.is_empty() && text.len() <= MAX_BYTES && !text.chars().any(char::is_control))
        .then(|| text.to_owned())
}

/// Whether a text is a template.
///
/// # Errors
/// Where it is none.
pub fn check(template: &str) -> Result<(), BadTemplate> {
    let environment = environment();
    environment.template_from_str(template).map(drop).map_err(|error| BadTemplate(error.to_string()))
}

fn environment<'s>() -> Environment<'s> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    // A claim that is not there is nothing, and what would be in it too.
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    environment
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{Mapped, Mapping, render};

    fn apply(mapping: &Mapping, claims: &Value) -> Mapped {
        mapping.apply(claims.as_object().unwrap())
    }

    #[test]
    fn the_standard_claims_are_taken_and_an_address_only_where_it_was_verified() {
        let claims = json!({"preferred_username": " alice ", "name": "Alice & <b>", "email": "a@b.c"});
        let told = apply(&Mapping::default(), &claims);
        assert_eq!(told.localpart.as_deref(), Some("alice"));
        assert_eq!(told.display_name.as_deref(), Some("Alice & <b>"), "text, which pages escape");
        assert_eq!(told.email, None);
        let verified = json!({"email": "a@b.c", "email_verified": true});
        assert_eq!(apply(&Mapping::default(), &verified).email.as_deref(), Some("a@b.c"));
        assert_eq!(apply(&Mapping::default(), &json!({})), Mapped::default());
    }

    #[test]
    fn templates_of_operators_see_claims_and_nothing_else() {
        let mapping = Mapping::new(
            Some("{{ user.email.split('@')[0] if user.email is defined }}{{ (user.upn or '') | lower }}"),
            Some("{{ user.given.deep.nothing }}{{ user.given_name }} {{ user.family_name }}"),
            Some(""),
        )
        .unwrap();
        let told = apply(&mapping, &json!({"upn": "ALICE", "given_name": "Alice", "family_name": "Doe"}));
        assert_eq!(told.localpart.as_deref(), Some("alice"));
        assert_eq!(told.display_name.as_deref(), Some("Alice Doe"));
        assert_eq!(told.email, None);
        for template in ["{{ user", "{% if %}", "{{ user | nonsense }}{% endif %}", "{% include 'x' "] {
            assert!(Mapping::new(Some(template), None, None).is_err(), "{template}");
        }
        let nobody = json!({});
        for template in ["{% include '/etc/passwd' %}", "{{ user | nonsense }}", "{{ env('HOME') }}"] {
            assert_eq!(render(template, &nobody), None, "{template}");
        }
    }

    #[test]
    fn the_work_and_the_text_are_bounded() {
        let nobody = json!({});
        let endless = "{% for a in range(1000) %}{% for b in range(1000) %}x{% endfor %}{% endfor %}";
        assert_eq!(render(endless, &nobody), None);
        assert_eq!(render(&"x".repeat(256), &nobody), None);
        assert_eq!(render("{{ user.name }}", &json!({"name": "a\u{0}b"})), None);
    }

    proptest! {
        #[test]
        fn whatever_the_claims_are_no_template_runs_their_text(name in "\\PC{0,60}") {
            let told = apply(&Mapping::default(), &json!({"preferred_username": name}));
            let same = name.trim();
            let fits = !same.is_empty() && same.len() <= 255 && !same.chars().any(char::is_control);
            prop_assert_eq!(told.localpart.as_deref(), fits.then_some(same));
        }

        #[test]
        fn no_template_and_no_claims_make_it_panic(template in "[{}%a-z.|()'\\[\\]0-9 ]{0,40}", claim in "\\PC{0,20}") {
            let _ = render(&template, &json!({"a": claim}));
        }
    }
}
