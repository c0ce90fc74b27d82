//! Clients log in through the pages, renew their tokens and log out while the server is killed at random moments: nobody is
//! thrown out who should not be, whichever answer was lost, and nobody stays who should not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode, header};
use myelin_reliability::{Answer, Client, Myelin, Place, Session, note};
use myelin_runtime::Random;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// How often the server is killed.
const KILLS: u64 = 30;
/// How many people use it.
const PEOPLE: u32 = 6;
/// The example of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "https://example.com/callback";
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const PASSWORD: &str = myelin_reliability::PASSWORD;

fn form(pairs: &[(&str, &str)]) -> String {
    let escaped = |text: &str| {
        let escape = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        };
        text.bytes().map(escape).collect::<String>()
    };
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    pairs.join("&")
}

/// A person with a browser and a client.
struct Person {
    name: String,
    address: SocketAddr,
    client_id: String,
    random: Random,
    browser: Client,
    form_token: String,
    tokens: Value,
    /// Refresh tokens that were followed by others which were used.
    spent: Vec<String>,
    /// How many answers were lost.
    lost: u64,
}

impl Person {
    /// Asks until an answer comes; how many did not.
    async fn post(&mut self, path: &str, pairs: &[(&str, &str)]) -> (Answer, u64) {
        let mut lost = 0;
        loop {
            let kind = "application/x-www-form-urlencoded";
            let mut client = Client::new(self.address);
            match client.send(Method::POST, path, kind, form(pairs).into()).await {
                Ok(answer) => {
                    self.lost += lost;
                    return (answer, lost);
                }
                Err(_) => lost += 1,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A form on a page, sent until an answer comes.
    async fn submit(&mut self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let token = self.form_token.clone();
        let pairs: Vec<_> = pairs.iter().copied().chain([("form_token", token.as_str())]).collect();
        loop {
            let kind = "application/x-www-form-urlencoded";
            if let Ok(answer) = self.browser.send(Method::POST, path, kind, form(&pairs).into()).await {
                return answer;
            }
            self.lost += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn sign_in(&mut self) -> Result<()> {
        let cookie = format!("myelin-form={}", self.form_token);
        self.browser.set_cookies(&cookie);
        let name = self.name.clone();
        let fields = [("user_name", name.as_str()), ("password", PASSWORD)];
        let answer = self.submit("/oauth2/sign-in", &fields).await;
        ensure!(answer.status == StatusCode::SEE_OTHER, "signing in: {}", answer.status);
        let set = answer.headers.get(header::SET_COOKIE).context("no cookie")?.to_str()?;
        let session = set.split(';').next().unwrap_or_default();
        self.browser.set_cookies(&format!("{cookie}; {session}"));
        Ok(())
    }

    fn user(&self) -> String {
        format!("@{}:localhost", self.name)
    }

    fn scope(&self) -> String {
        format!("urn:matrix:client:api:* urn:matrix:client:device:{}", self.name.to_uppercase())
    }

    /// Logs in by a code. One whose answer was lost may have been redeemed: then another is got.
    async fn log_in_by_code(&mut self) -> Result<()> {
        let (client_id, scope, user) = (self.client_id.clone(), self.scope(), self.user());
        let query = form(&[
            ("client_id", &client_id),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("scope", &scope),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]);
        loop {
            let path = format!("/oauth2/authorize?{query}");
            let answer = self.submit(&path, &[("user", &user), ("decision", "approve")]).await;
            let place = answer.headers.get(header::LOCATION).context("no code")?.to_str()?.to_owned();
            let code = place.split("code=").nth(1).and_then(|rest| rest.split('&').next());
            let code = code.with_context(|| format!("no code in {place}"))?;
            let pairs = [
                ("grant_type", "authorization_code"),
                ("client_id", &*client_id),
                ("redirect_uri", REDIRECT),
                ("code", code),
                ("code_verifier", VERIFIER),
            ];
            let (answer, lost) = self.post("/oauth2/token", &pairs).await;
            if answer.status.is_success() {
                self.tokens = answer.json();
                return Ok(());
            }
            let refused = answer.json()["error"] == "invalid_grant" && lost > 0;
            ensure!(refused, "{} {}", answer.status, answer.json());
        }
    }

    /// Logs in by a device code, whose answer is given until it was used.
    async fn log_in_by_device(&mut self) -> Result<()> {
        let (client_id, scope, user) = (self.client_id.clone(), self.scope(), self.user());
        let (answer, _) = self.post("/oauth2/device", &[("client_id", &client_id), ("scope", &scope)]).await;
        let waiting = answer.ok();
        let text = |name: &str| waiting[name].as_str().unwrap_or_default().to_owned();
        let (device_code, user_code) = (text("device_code"), text("user_code"));
        // An answer that was lost may have been heard: then it is decided already.
        self.submit("/link", &[("user_code", &user_code), ("user", &user), ("decision", "approve")]).await;
        let pairs = [("grant_type", DEVICE_CODE), ("client_id", &client_id), ("device_code", &device_code)];
        let (answer, _) = self.post("/oauth2/token", &pairs).await;
        ensure!(answer.status.is_success(), "device: {} {}", answer.status, answer.json());
        self.tokens = answer.json();
        Ok(())
    }

    fn token(&self, name: &str) -> String {
        self.tokens[name].as_str().unwrap_or_default().to_owned()
    }

    /// The status of a request with the access token.
    async fn ask(&mut self) -> StatusCode {
        let token = self.token("access_token");
        loop {
            let mut client = Client::with_token(self.address, &token);
            if let Ok(answer) = client.get("/_matrix/client/v3/account/whoami").await {
                return answer.status;
            }
            self.lost += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn refresh(&mut self) -> Result<()> {
        let (client_id, token) = (self.client_id.clone(), self.token("refresh_token"));
        let pairs = [("grant_type", "refresh_token"), ("client_id", &*client_id), ("refresh_token", &*token)];
        let (answer, _) = self.post("/oauth2/token", &pairs).await;
        ensure!(answer.status.is_success(), "refreshing: {} {}", answer.status, answer.json());
        // Now and then the client dies before it has written the answer down.
        if self.random.below(3) > 0 {
            self.tokens = answer.json();
            ensure!(self.ask().await == StatusCode::OK, "new tokens are good");
            self.spent.push(token);
        }
        Ok(())
    }

    async fn log_out(&mut self) -> Result<()> {
        let token = if self.random.below(2) == 0 { "access_token" } else { "refresh_token" };
        let token = self.token(token);
        let (answer, _) = self.post("/oauth2/revoke", &[("token", &token)]).await;
        ensure!(answer.status.is_success(), "logging out: {}", answer.status);
        ensure!(self.ask().await == StatusCode::UNAUTHORIZED, "it is logged out");
        self.spent.clear();
        self.log_in().await
    }

    async fn log_in(&mut self) -> Result<()> {
        if self.random.below(2) == 0 { self.log_in_by_code().await } else { self.log_in_by_device().await }
    }

    /// Somebody comes with a token that was spent: all is over, for whoever holds the newest, too.
    async fn is_stolen_from(&mut self) -> Result<()> {
        let Some(token) = self.spent.first().cloned() else { return Ok(()) };
        let client_id = self.client_id.clone();
        let pairs = [("grant_type", "refresh_token"), ("client_id", &*client_id), ("refresh_token", &*token)];
        let (answer, _) = self.post("/oauth2/token", &pairs).await;
        ensure!(answer.json()["error"] == "invalid_grant", "{} {}", answer.status, answer.json());
        ensure!(self.ask().await == StatusCode::UNAUTHORIZED, "the thief's victim is safe");
        self.spent.clear();
        self.log_in().await
    }

    async fn live(mut self, stop: Arc<AtomicBool>, steps: Arc<AtomicU64>) -> Result<u64> {
        self.sign_in().await?;
        self.log_in().await?;
        while !stop.load(Ordering::Relaxed) {
            match self.random.below(16) {
                0 => self.log_out().await?,
                1 => self.is_stolen_from().await?,
                2..6 => ensure!(self.ask().await == StatusCode::OK, "tokens that were not spent are good"),
                _ => self.refresh().await?,
            }
            steps.fetch_add(1, Ordering::Relaxed);
        }
        Ok(self.lost)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_thrown_out_and_nobody_stays_however_often_the_server_is_killed() -> Result<()> {
    let seed = u64::from_le_bytes(Random::from_entropy().bytes());
    note(&format!("seed {seed}"));
    let random = Random::from_seed(seed);
    let folder = tempfile::tempdir()?;
    let mut server = Myelin::start(Place::new(folder.path())?).await?;
    let address = server.address();
    let registration = json!({
        "client_uri": "https://example.com", "redirect_uris": [REDIRECT],
        "grant_types": ["authorization_code", "refresh_token", DEVICE_CODE],
    });
    let registered = Client::new(address).post("/oauth2/registration", &registration).await?.ok();
    let client_id = registered["client_id"].as_str().context("no client id")?;
    let (stop, steps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut people = JoinSet::new();
    for number in 0..PEOPLE {
        let name = format!("person{number}");
        Session::register(address, &name).await?;
        let person = Person {
            name,
            address,
            client_id: client_id.to_owned(),
            random: Random::from_seed(seed.wrapping_add(u64::from(number) + 1)),
            browser: Client::new(address),
            form_token: random.alphanumeric(32),
            tokens: Value::Null,
            spent: Vec::new(),
            lost: 0,
        };
        people.spawn(person.live(Arc::clone(&stop), Arc::clone(&steps)));
    }
    for kill in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(u64::from(40 + random.below(200)))).await;
        server = Myelin::start(server.kill().await?).await?;
        if let Some(ended) = people.try_join_next() {
            ended?.with_context(|| format!("after kill {kill}"))?;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut lost = 0;
    while let Some(ended) = people.join_next().await {
        lost += ended??;
    }
    let steps = steps.load(Ordering::Relaxed);
    note(&format!("{KILLS} kills, {steps} steps, {lost} answers lost"));
    ensure!(steps > KILLS && lost > 0, "the kills hit something: {steps} steps, {lost} lost");
    Ok(())
}
