//! Signing in with a provider: who gets in, who doesn't, whose account it is, and what ends with a session there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use myelin_oauth_core::params::Params;
use myelin_oauth_core::upstream::attempt::{LIFETIME, Stopped};
use myelin_oauth_core::upstream::mapping::Mapping;
use myelin_pdu::SigningKey;
use myelin_store::schema::auth::Account;
use myelin_store::schema::factors::Passkey;
use myelin_store::schema::oauth::BrowserSession;
use myelin_store::schema::upstream::{DeviceOrigin, UpstreamAttempt, UpstreamLink};
use ruma::UserId;
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded::Serializer;

use super::{PASSWORD, World, secret, user, world_with};
use crate::{
    Actor, Arrived, Auth, Browser, Disconnected, ExistingAccount, NewAccount, NewSession, Newcomers, Origin,
    ProviderAnswer, ProviderFetch, ProviderRequest, SaysWhen, SignIn, UpstreamError, UpstreamProvider,
};

const ISSUER: &str = "https://id.example";

/// A provider on which everybody is who the test says.
struct Fake {
    /// The keys it publishes, and which of them signs.
    keys: Mutex<(Vec<u8>, u8)>,
    /// What its next ID token says besides.
    says: Mutex<Value>,
    asked: Mutex<Vec<String>>,
    named: Mutex<Vec<String>>,
    is_down: Mutex<bool>,
}

impl Fake {
    fn new() -> Arc<Self> {
        let (keys, says) = (Mutex::new((vec![1], 1)), Mutex::new(json!({})));
        Arc::new(Self {
            keys,
            says,
            asked: Mutex::default(),
            named: Mutex::default(),
            is_down: Mutex::default(),
        })
    }

    fn signed(&self, claims: &Value) -> String {
        let seed = self.keys.lock().unwrap().1;
        let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        der.extend([seed; 32]);
        let header = Header { kid: Some(seed.to_string()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, claims, &EncodingKey::from_ed_der(&der)).unwrap()
    }

    fn jwks(&self) -> Value {
        let key = |seed: &u8| {
            let key = SigningKey::from_seed("ed25519:1".parse().unwrap(), &[*seed; 32]).unwrap();
            let x = key.verifying_key().to_base64().replace('+', "-").replace('/', "_");
            json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": seed.to_string(), "use": "sig"})
        };
        let known: Vec<Value> = self.keys.lock().unwrap().0.iter().map(key).collect();
        let all: Vec<Value> = std::iter::once(json!({"kty": "nonsense"})).chain(known).collect();
        json!({ "keys": all })
    }

    fn answer(&self, path: &str) -> Value {
        match path {
            "/.well-known/openid-configuration" => json!({
                "issuer": ISSUER, "authorization_endpoint": "https://id.example/authorize?tenant=1",
                "token_endpoint": "https://id.example/token", "jwks_uri": "https://id.example/keys",
                "authorization_response_iss_parameter_supported": true,
            }),
            "/keys" => self.jwks(),
            _ => {
                json!({"id_token": self.signed(&self.says.lock().unwrap()), "access_token": "x", "token_type": "Bearer"})
            }
        }
    }
}

impl ProviderFetch for Fake {
    fn fetch<'a>(&'a self, request: ProviderRequest<'a>) -> BoxFuture<'a, Result<ProviderAnswer, String>> {
        let path = request.url.path();
        self.asked.lock().unwrap().push(path.to_owned());
        let is_down = *self.is_down.lock().unwrap();
        let answer = || ProviderAnswer { status: 200, body: self.answer(path).to_string().into_bytes() };
        let result = if is_down { Err("connection refused".to_owned()) } else { Ok(answer()) };
        Box::pin(async move { result })
    }
}

impl Newcomers for Fake {
    fn named<'a>(&'a self, user_id: &'a UserId, display_name: &'a str) -> BoxFuture<'a, ()> {
        self.named.lock().unwrap().push(format!("{user_id} {display_name}"));
        Box::pin(async {})
    }
}

fn provider(id: &str) -> UpstreamProvider {
    UpstreamProvider {
        id: id.to_owned(),
        name: "Example".to_owned(),
        issuer: ISSUER.to_owned(),
        client_id: "myelin".to_owned(),
        client_secret: Some(secret("s")),
        scopes: vec!["openid".to_owned()],
        mapping: Mapping::default(),
        existing: ExistingAccount::Apart,
        sign_up: true,
        says_when: SaysWhen::Always,
    }
}

struct Place {
    world: World,
    fake: Arc<Fake>,
}

fn place_with(change: impl FnOnce(&mut UpstreamProvider)) -> Place {
    let mut first = provider("a");
    change(&mut first);
    let mut world = world_with(|config| config.upstream = vec![first, provider("b")]);
    let fake = Fake::new();
    let auth = Arc::into_inner(world.auth).unwrap();
    world.auth = Arc::new(auth.with_providers(Arc::clone(&fake) as _, Arc::clone(&fake) as _));
    Place { world, fake }
}

impl Place {
    fn auth(&self) -> &Auth {
        &self.world.auth
    }

    /// Leaves, and has the provider say these claims of who comes back.
    async fn leave(
        &self,
        browser: &str,
        connects: Option<&Browser>,
        claims: Value,
    ) -> HashMap<String, String> {
        self.leave_as(browser, (connects, false), claims).await
    }

    async fn leave_as(
        &self,
        browser: &str,
        (connects, anew): (Option<&Browser>, bool),
        claims: Value,
    ) -> HashMap<String, String> {
        let url = self.auth().leave_for("a", browser, "/link".to_owned(), connects, anew).await.unwrap();
        let url = Url::parse(&url).unwrap();
        let sent: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(sent["redirect_uri"], "https://example.org/oauth2/upstream/a/callback");
        let now = self.auth().now() / 1_000;
        let mut says =
            json!({"iss": ISSUER, "aud": "myelin", "iat": now, "exp": now + 60, "nonce": sent["nonce"]});
        says.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        *self.fake.says.lock().unwrap() = says;
        sent
    }

    async fn back(&self, browser: &str, sent: &HashMap<String, String>) -> Result<Arrived, UpstreamError> {
        self.back_with(browser, &[("state", &sent["state"]), ("code", "c"), ("iss", ISSUER)]).await
    }

    async fn back_with(&self, browser: &str, pairs: &[(&str, &str)]) -> Result<Arrived, UpstreamError> {
        let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.auth()
            .come_back("a", browser, &Params::parse(query.as_bytes()).unwrap(), &Origin::default())
            .await
    }

    async fn come(&self, claims: Value) -> Result<Arrived, UpstreamError> {
        let sent = self.leave("browser", None, claims).await;
        self.back("browser", &sent).await
    }

    async fn signed_in(&self, claims: Value) -> Browser {
        let Arrived::SignedIn { sign_in: SignIn::Done(new), next } = self.come(claims).await.unwrap() else {
            panic!("there is something to decide")
        };
        assert_eq!(next, "/link");
        self.auth().browser(new.cookie.expose()).await.unwrap().unwrap()
    }

    fn logout(&self, claims: &Value) -> String {
        let now = self.auth().now() / 1_000;
        let event = "http://schemas.openid.net/event/backchannel-logout";
        let mut says = json!({"iss": ISSUER, "aud": "myelin", "iat": now, "jti": "1", "events": {event: {}}});
        says.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        self.fake.signed(&says)
    }
}

#[tokio::test]
async fn who_comes_for_the_first_time_gets_an_account_and_the_same_one_ever_after() {
    let place = place_with(|_| {});
    let claims = json!({"sub": "1", "preferred_username": "Alice", "name": "Alice A.", "email": "a@b.c", "email_verified": true});
    let first = place.signed_in(claims).await;
    assert_eq!(first.user_id, user("alice"));
    assert_eq!(*place.fake.named.lock().unwrap(), ["@alice:example.org Alice A."]);
    let again = place.signed_in(json!({"sub": "1", "preferred_username": "renamed"})).await;
    assert_eq!(again.user_id, first.user_id, "whatever they are called there now");
    let another = place.signed_in(
        json!({"sub": "2", "preferred_username": "bob", "email": "a@b.c", "email_verified": true}),
    );
    assert_eq!(another.await.user_id, user("bob"), "an address makes nobody somebody else");
    assert!(place.world.rows::<UpstreamAttempt>().await.is_empty());
    assert!(
        place.world.try_login("alice", PASSWORD, NewSession::default()).await.is_err(),
        "there is no password"
    );
}

#[tokio::test]
async fn of_two_answers_with_one_state_one_is_taken_and_strangers_take_nothing_away() {
    let place = place_with(|_| {});
    let sent = place.leave("own", None, json!({"sub": "1", "preferred_username": "alice"})).await;
    let stopped = |result: Result<Arrived, UpstreamError>| match result {
        Err(UpstreamError::Stopped(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(stopped(place.back("stranger", &sent).await), Stopped::OtherBrowser);
    let mixed = [("state", sent["state"].as_str()), ("code", "c"), ("iss", "https://evil.example")];
    assert_eq!(stopped(place.back_with("own", &mixed).await), Stopped::OtherProvider);
    assert_eq!(stopped(place.back_with("own", &mixed[..2]).await), Stopped::OtherProvider);
    let (one, two) = tokio::join!(place.back("own", &sent), place.back("own", &sent));
    assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|ok| **ok).count(), 1);
    let again = place.back("own", &sent).await;
    assert!(matches!(stopped(again), Stopped::Repeated | Stopped::Expired));
    let late = place.leave("own", None, json!({"sub": "1"})).await;
    place.world.clock.advance(Duration::from_millis(LIFETIME as u64));
    assert_eq!(stopped(place.back("own", &late).await), Stopped::Expired);
}

#[tokio::test]
async fn a_token_that_is_not_the_provider_s_or_not_of_this_sign_in_lets_nobody_in() {
    let place = place_with(|_| {});
    for wrong in [
        json!({"sub": "1", "nonce": "another"}),
        json!({"sub": "1", "aud": "another"}),
        json!({"sub": "1", "iss": "https://evil.example"}),
        json!({"sub": "1", "exp": 1}),
        json!({}),
    ] {
        let result = place.come(wrong.clone()).await;
        assert!(matches!(result, Err(UpstreamError::Provider(_))), "{wrong}: {result:?}");
    }
    place.fake.keys.lock().unwrap().1 = 2;
    let result = place.come(json!({"sub": "1"})).await;
    assert!(matches!(result, Err(UpstreamError::Provider(_))), "a key that is not published: {result:?}");
    assert!(place.world.rows::<Account>().await.is_empty());
    let sent = place.leave("browser", None, json!({"sub": "1"})).await;
    let no = [("state", sent["state"].as_str()), ("error", "access_denied"), ("iss", ISSUER)];
    let denied = place.back_with("browser", &no).await;
    assert!(matches!(denied, Err(UpstreamError::Denied(code)) if code == "access_denied"));
}

#[tokio::test]
async fn keys_are_fetched_anew_for_a_new_one_and_a_provider_that_fails_is_not_asked_all_the_time() {
    let place = place_with(|_| {});
    place.signed_in(json!({"sub": "1", "preferred_username": "alice"})).await;
    place.world.clock.advance(Duration::from_secs(60));
    *place.fake.keys.lock().unwrap() = (vec![1, 2], 2);
    place.signed_in(json!({"sub": "1"})).await;
    let asked = |what: &str| place.fake.asked.lock().unwrap().iter().filter(|path| *path == what).count();
    assert_eq!(asked("/keys"), 2);
    place.fake.keys.lock().unwrap().1 = 3;
    for _ in 0..5 {
        assert!(place.come(json!({"sub": "1"})).await.is_err());
    }
    assert_eq!(asked("/keys"), 2, "not within ten seconds");
    place.fake.keys.lock().unwrap().1 = 1;
    *place.fake.is_down.lock().unwrap() = true;
    place.world.clock.advance(Duration::from_secs(2 * 3_600));
    assert!(place.auth().leave_for("a", "browser", String::new(), None, false).await.is_ok(), "from memory");
    place.world.clock.advance(Duration::from_secs(25 * 3_600));
    for _ in 0..3 {
        let left = place.auth().leave_for("a", "browser", String::new(), None, false).await;
        assert!(
            matches!(left, Err(UpstreamError::Provider(problem)) if problem.contains("connection refused"))
        );
    }
    assert_eq!(asked("/.well-known/openid-configuration"), 4, "once for each hour and a bit");
}

#[tokio::test]
async fn a_name_that_is_taken_or_none_is_chosen_and_whoever_decides_is_the_one_who_came() {
    let place = place_with(|_| {});
    place.world.account("alice").await;
    let Arrived::Decides { state } =
        place.come(json!({"sub": "1", "preferred_username": "alice"})).await.unwrap()
    else {
        panic!("the account of that name was given away")
    };
    let auth = place.auth();
    assert_eq!(
        auth.upstream_pending("a", "browser", &state).await.unwrap().localpart.as_deref(),
        Some("alice")
    );
    for (provider, browser) in [("a", "stranger"), ("b", "browser")] {
        assert!(auth.upstream_sign_up(provider, browser, &state, "eve", &Origin::default()).await.is_err());
    }
    let taken = auth.upstream_sign_up("a", "browser", &state, "alice", &Origin::default()).await;
    assert!(matches!(taken, Err(UpstreamError::Register(crate::RegisterError::Taken))));
    assert!(matches!(
        auth.upstream_sign_up("a", "browser", &state, "alicia", &Origin::default()).await,
        Ok(SignIn::Done(_))
    ));
    assert!(
        auth.upstream_sign_up("a", "browser", &state, "another", &Origin::default()).await.is_err(),
        "once"
    );
    assert_eq!(place.signed_in(json!({"sub": "1"})).await.user_id, user("alicia"));
    let nameless = place.come(json!({"sub": "2"})).await.unwrap();
    assert!(matches!(nameless, Arrived::Decides { .. }));
}

#[tokio::test]
async fn an_account_of_that_name_is_theirs_only_where_the_operator_says_so_and_never_an_administrator_s() {
    let place = place_with(|provider| {
        (provider.existing, provider.sign_up) = (ExistingAccount::Theirs, false);
    });
    place.world.account("alice").await;
    let admin = NewAccount { is_admin: true, ..NewAccount::new(user("root"), secret(PASSWORD)) };
    place.auth().create_account(&Actor::Operator, admin).await.unwrap();
    let come = |subject: &str, name: &str| place.come(json!({"sub": subject, "preferred_username": name}));
    assert!(matches!(come("1", "alice").await, Ok(Arrived::SignedIn { .. })));
    assert!(
        matches!(come("2", "alice").await, Err(UpstreamError::NoAccount)),
        "it is somebody's there already"
    );
    assert!(matches!(come("3", "root").await, Err(UpstreamError::NoAccount)));
    assert!(matches!(come("4", "new").await, Err(UpstreamError::NoAccount)), "nobody signs up by it");
    assert_eq!(place.world.rows::<UpstreamLink>().await.len(), 1);
}

#[tokio::test]
async fn one_account_there_is_one_here_and_the_last_way_to_sign_in_stays() {
    let place = place_with(|_| {});
    let alice = place.signed_in(json!({"sub": "1", "preferred_username": "alice"})).await;
    let bob = place.signed_in(json!({"sub": "2", "preferred_username": "bob"})).await;
    let auth = place.auth();
    let decide = async |who: &Browser, subject: &str| {
        let sent = place.leave("browser", Some(who), json!({"sub": subject})).await;
        let Arrived::Decides { state } = place.back("browser", &sent).await.unwrap() else {
            panic!("not asked")
        };
        state
    };
    for subject in ["2", "3"] {
        let state = decide(&alice, subject).await;
        let result = auth.upstream_connect("a", "browser", &state, &alice).await;
        assert!(matches!(result, Err(UpstreamError::Connected)), "{subject}");
    }
    let state = decide(&alice, "1").await;
    assert!(matches!(
        auth.upstream_connect("a", "browser", &state, &bob).await,
        Err(UpstreamError::OtherUser)
    ));
    auth.upstream_connect("a", "browser", &state, &alice).await.unwrap();
    assert_eq!(auth.disconnect(&alice, "a").await.unwrap(), Disconnected::LastWay);
    let mut batch = auth.batch("passkey");
    batch.put(&passkey(&bob));
    auth.engine.commit(batch).await.unwrap();
    assert_eq!(auth.disconnect(&bob, "a").await.unwrap(), Disconnected::Yes, "a passkey is a way in");
    assert_eq!(auth.disconnect(&bob, "a").await.unwrap(), Disconnected::NotConnected);
    assert!(auth.disconnect_user(&Actor::Operator, &alice.user_id, "a").await.unwrap(), "operators may");
    let state = decide(&alice, "1").await;
    auth.upstream_connect("a", "browser", &state, &alice).await.unwrap();
    auth.reset_password(&Actor::Operator, &alice.user_id, secret(PASSWORD), crate::OtherSessions::Keep)
        .await
        .unwrap();
    // A new password signs browsers out.
    let alice = place.signed_in(json!({"sub": "1"})).await;
    assert_eq!(auth.disconnect(&alice, "a").await.unwrap(), Disconnected::Yes);
    assert_eq!(auth.connections(&alice).await.unwrap(), []);
}

fn passkey(browser: &Browser) -> Passkey {
    Passkey {
        credential_id: b"one".as_slice().into(),
        user_id: browser.user_id.clone(),
        user_handle: b"two".as_slice().into(),
        name: String::new(),
        credential: String::new(),
        counter: 0,
        added_at: 0,
        used_at: None,
    }
}

/// Signs in anew, with what the provider says of when somebody showed who they are: so many seconds from now.
async fn anew(place: &Place, auth_time: Option<i64>) -> Result<Arrived, UpstreamError> {
    let mut claims = json!({"sub": "1"});
    if let Some(offset) = auth_time {
        claims["auth_time"] = (place.auth().now() / 1_000 + offset).into();
    }
    let sent = place.leave_as("browser", (None, true), claims).await;
    assert_eq!((&*sent["prompt"], &*sent["max_age"]), ("login", "0"));
    place.back("browser", &sent).await
}

#[tokio::test]
async fn who_is_to_sign_in_anew_there_is_believed_only_where_the_provider_says_that_they_did() {
    let place = place_with(|_| {});
    let first = place.signed_in(json!({"sub": "1", "preferred_username": "alice"})).await;
    assert!(!place.auth().is_fresh(&first), "nobody said when she signed in there");
    assert!(matches!(anew(&place, None).await, Err(UpstreamError::WhenUnsaid)));
    for old in [-61, -3_600, 121] {
        assert!(matches!(anew(&place, Some(old)).await, Err(UpstreamError::NotAnew)), "{old}");
    }
    let Arrived::SignedIn { sign_in: SignIn::Done(new), .. } = anew(&place, Some(0)).await.unwrap() else {
        panic!("there is something to decide")
    };
    let browser = place.auth().browser(new.cookie.expose()).await.unwrap().unwrap();
    assert!(place.auth().is_fresh(&browser));
    place.world.clock.advance(Duration::from_secs(601));
    assert!(!place.auth().is_fresh(&browser));
}

#[tokio::test]
async fn a_sign_in_by_an_old_session_there_is_one_and_no_proof() {
    let place = place_with(|_| {});
    let sent = place.leave("browser", None, json!({"sub": "1", "preferred_username": "alice"})).await;
    assert_eq!(sent.get("prompt"), None);
    assert_eq!(sent["max_age"], "1209600", "so that it says when");
    let now = place.auth().now() / 1_000;
    let old =
        place.signed_in(json!({"sub": "1", "preferred_username": "alice", "auth_time": now - 3_600})).await;
    assert!(!place.auth().is_fresh(&old));
    let new = place.signed_in(json!({"sub": "1", "auth_time": now - 30})).await;
    assert!(place.auth().is_fresh(&new));
    let future = place.signed_in(json!({"sub": "1", "auth_time": now + 86_400})).await;
    assert!(!place.auth().is_fresh(&future));
}

#[tokio::test]
async fn of_a_provider_that_need_not_say_when_its_silence_is_taken_and_its_word_still_counts() {
    let place = place_with(|provider| provider.says_when = SaysWhen::NotAlways);
    let first = place.signed_in(json!({"sub": "1", "preferred_username": "alice"})).await;
    assert!(!place.auth().is_fresh(&first), "it was not asked to ask");
    assert!(matches!(anew(&place, Some(-3_600)).await, Err(UpstreamError::NotAnew)));
    let Arrived::SignedIn { sign_in: SignIn::Done(new), .. } = anew(&place, None).await.unwrap() else {
        panic!("there is something to decide")
    };
    let browser = place.auth().browser(new.cookie.expose()).await.unwrap().unwrap();
    assert!(place.auth().is_fresh(&browser));
}

#[tokio::test]
async fn who_signs_out_there_is_signed_out_here_once_and_nobody_else() {
    let place = place_with(|_| {});
    let auth = place.auth();
    let session = |sid: &str| json!({"sub": "1", "preferred_username": "alice", "sid": sid});
    let (one, two) = (place.signed_in(session("s1")).await, place.signed_in(session("s2")).await);
    let opened = async |browser: &Browser| {
        let token = auth.login_token_of(browser).await.unwrap().unwrap().token;
        auth.login_by_token(token.expose(), &NewSession::default()).await.unwrap()
    };
    let (phone, laptop) = (opened(&one).await, opened(&two).await);
    let other = place.signed_in(json!({"sub": "2", "preferred_username": "bob", "sid": "s1"})).await;
    let unused = auth.login_token_of(&one).await.unwrap().unwrap().token;
    assert_eq!(place.world.rows::<DeviceOrigin>().await.len(), 2);
    let token = place.logout(&json!({"sub": "1", "sid": "s1"}));
    for (provider, wrong) in [
        ("b", place.logout(&json!({"sub": "1", "aud": "another"}))),
        ("a", place.logout(&json!({"sub": "1", "nonce": "n"}))),
        ("a", format!("{token}x")),
        ("a", "nonsense".to_owned()),
    ] {
        assert!(auth.upstream_logout(provider, &wrong).await.is_err(), "{wrong}");
    }
    assert!(place.world.works(&phone).await);
    auth.upstream_logout("a", &token).await.unwrap();
    assert!(!place.world.works(&phone).await);
    assert!(place.world.works(&laptop).await, "of another session there");
    assert!(
        auth.login_by_token(unused.expose(), &NewSession::default()).await.is_err(),
        "what was approved, too"
    );
    assert!(auth.upstream_logout("a", &token).await.is_err(), "once");
    let browsers = place.world.rows::<BrowserSession>().await;
    assert!(browsers.iter().all(|row| row.user_id != one.user_id || row.hash == two.hash));
    assert!(browsers.iter().any(|row| row.user_id == other.user_id));
    auth.upstream_logout("a", &place.logout(&json!({"sub": "1", "jti": "2"}))).await.unwrap();
    assert!(!place.world.works(&laptop).await, "all of theirs");
}
