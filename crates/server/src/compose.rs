//! The composition root: makes the services and wires them. Nothing else knows all of them.

use std::sync::Arc;
use std::time::Duration;

use myelin_api::{ApiState, Authenticate, Contact, Limits, Oauth, ServerName, Support};
use myelin_auth::{
    Auth, AuthConfig, DirectoryRules, EmailConfig, LegacyLogins, Newcomers, OauthConfig, ProviderFetch,
    RegistrationMode, SessionEnd, TermsText, TurnConfig,
};
use myelin_e2ee::E2ee;
use myelin_media::{BlobStore, Fetch, Media, Previews, Quota, StorageError};
use myelin_notify::{Gateway, Notify, Schemes};
use myelin_oauth_core::metadata::{Offers, ServerMetadata};
use myelin_pdu::SigningKey;
use myelin_rooms::Rooms;
use myelin_runtime::{Env, Sealer, Secret};
use myelin_search::Search;
use myelin_store::{Engine, ReadError};
use myelin_sync::Sync;
use myelin_users::{ProfileSpread, Users};
use myelin_web::Pages;
use ruma::OwnedServerName;
use sha2::{Digest, Sha256};

use crate::config::{Config, ConfigError, Registration, Turn};
use crate::departures;
use crate::front::Front;
use crate::outbound::{Breached, Identity, Ldap, Web};
use crate::ports::{
    Counted, Judged, KeysEnd, Named, Present, PushersEnd, Received, RulesCopied, SettingsEnd, Shown, States,
    Typers,
};

/// What the services stand on.
pub struct Base {
    /// The store.
    pub engine: Arc<dyn Engine>,
    /// Where media bytes go.
    pub blobs: Arc<dyn BlobStore>,
    /// Clock, randomness, tasks.
    pub env: Env,
    /// The key events are signed with.
    pub signing_key: SigningKey,
    /// What seals secrets in the store.
    pub sealer: Sealer,
    /// The way out to push gateways.
    pub gateway: Arc<dyn Gateway>,
    /// The way out to OpenID Connect providers.
    pub providers: Arc<dyn ProviderFetch>,
}

/// The services of one server.
pub struct Server {
    /// What the routes reach.
    pub state: ApiState,
    /// The services that operators' commands reach besides.
    pub auth: Arc<Auth>,
    /// The store, for what asks whether it is well.
    pub engine: Arc<dyn Engine>,
    /// What the pages reach.
    pages: Pages,
}

/// Why the services could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The configuration names something that can't be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The media folder can't be used.
    #[error("the media folder can't be used: {0}")]
    Media(#[from] StorageError),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] ReadError),
}

impl Server {
    /// Makes every service and starts its background work.
    ///
    /// # Errors
    /// See [`ComposeError`].
    pub async fn compose(config: &Config, base: Base) -> Result<Self, ComposeError> {
        let Base { engine, blobs, env, signing_key, sealer, gateway, providers } = base;
        let server_name = config.server_name()?;
        let identity_secret = identity_secret(&signing_key);
        let schemes = if config.push.allow_private_addresses { Schemes::HttpToo } else { Schemes::HttpsOnly };
        let notify = Notify::new(Arc::clone(&engine), env.clone(), server_name.clone(), schemes);
        let notify = Arc::new(notify);
        let e2ee = Arc::new(E2ee::new(Arc::clone(&engine), env.clone(), server_name.clone()));
        let counted = Arc::new(Counted(Arc::clone(&notify)));
        let users_config =
            myelin_users::Config { server_name: server_name.clone(), presence: config.presence.enabled };
        let copied = Arc::new(RulesCopied(Arc::clone(&notify)));
        let users = Users::new(Arc::clone(&engine), env.clone(), users_config, counted, copied);
        let users = Arc::new(users);
        let ends: Vec<Arc<dyn SessionEnd>> = vec![
            Arc::new(KeysEnd(Arc::clone(&e2ee))),
            Arc::new(PushersEnd(Arc::clone(&notify))),
            Arc::new(SettingsEnd(Arc::clone(&users))),
        ];
        let auth_config = AuthConfig { identity_secret, ..auth_config(config, &server_name)? };
        let auth = Auth::new(Arc::clone(&engine), env.clone(), auth_config, ends, sealer);
        let auth = match config.mail_server()? {
            Some(smtp) => auth.with_mailer(Arc::new(smtp)),
            None => auth,
        };
        let auth = match breached(config) {
            Some(list) => auth.with_breached_passwords(Arc::new(list)),
            None => auth,
        };
        let newcomers = Arc::new(Named(Arc::clone(&users)));
        let directory =
            Ldap::new(&config.ldap).map_err(|problem| ConfigError::Value { key: "ldap", problem })?;
        let auth = match directory {
            Some(directory) => {
                let newcomers = Arc::clone(&newcomers) as Arc<dyn Newcomers>;
                let rules = DirectoryRules {
                    existing: config.ldap.existing_account.into(),
                    sign_up: config.ldap.sign_up,
                    lock_removed: config.ldap.lock_removed,
                };
                auth.with_directory(Arc::new(directory), newcomers, rules)
            }
            None => auth,
        };
        let auth = if config.oauth.enabled && !auth.config().upstream.is_empty() {
            auth.with_providers(providers, newcomers)
        } else {
            auth
        };
        let auth = Arc::new(auth);
        auth.start();
        let media_config = myelin_media::Config {
            server_name: server_name.clone(),
            max_upload_size: config.media.max_upload_size,
            quota: Quota { bytes: config.media.max_user_bytes, files: config.media.max_user_files },
        };
        let media = Arc::new(Media::open(Arc::clone(&engine), blobs, env.clone(), media_config).await?);
        let web = config.url_previews.enabled.then(|| Web::new(config.url_previews.clone()));
        let web = web.map(|web| Arc::new(web) as Arc<dyn Fetch>);
        let previews = Arc::new(Previews::new(Arc::clone(&media), web));
        let rooms_config = myelin_rooms::Config {
            server_name: server_name.clone(),
            signing_key,
            default_room_version: config.default_room_version()?,
            policy_lists: config.policy_lists()?,
            retention: config.retention.checked()?,
        };
        notify.start(&gateway);
        let observer = Arc::new(Judged(Arc::clone(&notify), Arc::clone(&users)));
        let rooms = Rooms::new(Arc::clone(&engine), env.clone(), rooms_config, observer);
        let rooms = Arc::new(if config.identity_servers.enabled {
            rooms.with_identity_servers(Arc::new(Identity::new(config.identity_servers.clone())))
        } else {
            rooms
        });
        rooms.start().await?;
        let shown: Arc<dyn ProfileSpread> = Arc::new(Shown(Arc::clone(&rooms)));
        users.start(&shown);
        departures::start(&auth, &rooms, &env);
        let states = Arc::new(States(Arc::clone(&rooms)));
        let search = Arc::new(Search::new(Arc::clone(&engine), env.clone(), states));
        search.start();
        let received = Arc::new(Received(Arc::clone(&e2ee)));
        let typers = Arc::new(Typers(Arc::clone(&users)));
        let present = Arc::new(Present(Arc::clone(&users)));
        let sync = Sync::new(Arc::clone(&engine), env.clone(), received, typers, present);
        let limits = Arc::new(Limits::new(config.limits.enabled));
        let brand = config.brand()?;
        let brand = Arc::new(if config.oauth.enabled { brand } else { brand.without_logo() });
        let pages = Pages {
            brand,
            auth: Arc::clone(&auth),
            users: Arc::clone(&users),
            media: Arc::clone(&media),
            rooms: Arc::clone(&rooms),
            env: env.clone(),
            limits: Arc::clone(&limits),
        };
        let state = ApiState {
            env,
            people: Arc::new(pages.clone()),
            oauth: Oauth(auth.config().oauth.enabled.then(|| Arc::new(metadata(&pages)))),
            tokens: Arc::clone(&auth) as Arc<dyn Authenticate>,
            auth: Arc::clone(&auth),
            e2ee,
            limits,
            notify,
            rooms,
            search,
            sync,
            users,
            server_name: ServerName(server_name),
            support: Arc::new(support(config)),
            media,
            previews,
        };
        Ok(Self { state, auth, engine, pages })
    }

    /// What listeners hand requests to.
    pub fn front(&self) -> Front {
        let pages = self.state.oauth.0.is_some().then(|| myelin_web::router(self.pages.clone()));
        Front::new(myelin_api::router(self.state.clone()), pages, Arc::clone(&self.engine))
    }
}

fn auth_config(config: &Config, server_name: &OwnedServerName) -> Result<AuthConfig, ConfigError> {
    Ok(AuthConfig {
        registration: match config.registration {
            Registration::Closed => RegistrationMode::Closed,
            Registration::Token => RegistrationMode::Token,
            Registration::Open => RegistrationMode::Open,
        },
        registration_shared_secret: config.registration_shared_secret.clone().map(Secret::new),
        limit_failures: config.limits.enabled,
        email: EmailConfig {
            required_to_register: config.email.required_to_register,
            next_link_domains: config.email.next_link_domains.clone(),
        },
        language: config.language()?,
        turn: turn_config(&config.turn),
        min_password_chars: config.passwords.minimum_length,
        min_password_score: config.passwords.minimum_score,
        oauth: OauthConfig {
            enabled: config.oauth.enabled,
            introspection_secret: config.oauth.introspection_secret.clone().map(Secret::new),
        },
        service_name: config.branding.name.as_deref().map(|name| name.trim().to_owned()),
        password_login: config.passwords.login,
        upstream: config.providers()?,
        terms: config.terms.iter().map(terms).collect(),
        legacy: LegacyLogins {
            password: config.legacy_login.password,
            token: config.legacy_login.token,
            registration: config.legacy_login.registration,
        },
        ..AuthConfig::new(server_name.clone(), config.public_url())
    })
}

fn terms(terms: &crate::config::Terms) -> myelin_auth::Terms {
    let texts = terms.languages.iter().map(|(language, text)| TermsText {
        language: language.clone(),
        name: text.name.clone(),
        url: text.url.clone(),
    });
    myelin_auth::Terms { id: terms.id.clone(), version: terms.version.clone(), texts: texts.collect() }
}

/// What the keys of ID tokens are made of: a signature over what is no JSON, and so never an event's or a request's.
fn identity_secret(key: &SigningKey) -> Secret<[u8; 32]> {
    let signature = key.sign(b"Myelin: what the keys of ID tokens are made of");
    Secret::new(Sha256::digest(signature.as_bytes()).into())
}

/// The list of stolen passwords, if the operator has one.
fn breached(config: &Config) -> Option<Breached> {
    let passwords = &config.passwords;
    let url = || passwords.breached_url.as_ref().and_then(|url| url.parse().ok());
    passwords.breached_file.clone().map(Breached::File).or_else(|| url().map(Breached::service))
}

/// What the authorization server says of itself.
fn metadata(pages: &Pages) -> ServerMetadata {
    let config = pages.auth.config();
    let offers = Offers {
        registration: pages.offers_sign_up(),
        introspection: config.oauth.introspection_secret.is_some(),
        locales: myelin_language::LOCALES.to_vec(),
        account_actions: myelin_web::ACTIONS.to_vec(),
        terms_url: pages.brand.terms_url().map(str::to_owned),
    };
    ServerMetadata::new(&config.public_url, offers)
}

/// The TURN servers, if any are configured with the secret they share.
fn turn_config(turn: &Turn) -> Option<TurnConfig> {
    let shared_secret = turn.shared_secret.clone().filter(|_| !turn.uris.is_empty())?;
    Some(TurnConfig {
        uris: turn.uris.clone(),
        shared_secret: Secret::new(shared_secret),
        user_lifetime: Duration::from_secs(turn.user_lifetime),
    })
}

fn support(config: &Config) -> Support {
    let contacts = config.support.contacts.iter().cloned().map(|contact| Contact {
        matrix_id: contact.matrix_id,
        email_address: contact.email_address,
        role: contact.role,
    });
    Support { contacts: contacts.collect(), support_page: config.support.page.clone() }
}
