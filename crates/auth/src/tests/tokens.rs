//! Access tokens, whatever happened to their sessions: the cache, the store and the device say the same of them.

use std::sync::Arc;

use myelin_runtime::{Env, Sealer, Secret};
use myelin_store::Engine;
use myelin_store::schema::auth::{AccessToken, Device};
use proptest::prelude::*;
use ruma::{OwnedUserId, server_name};

use super::{World, world};
use crate::{Actor, Auth, AuthConfig, Issued, RefreshTokens};

/// What happens to the sessions of one account. A number is that of tokens that were issued before.
#[derive(Clone, Debug)]
enum Act {
    Login(u8),
    Use(usize),
    Refresh(usize),
    Logout(usize),
    LogoutAll(usize),
    Lock,
    Unlock,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0_u8..3).prop_map(Act::Login),
        6 => (0_usize..8).prop_map(Act::Use),
        5 => (0_usize..8).prop_map(Act::Refresh),
        2 => (0_usize..8).prop_map(Act::Logout),
        1 => (0_usize..8).prop_map(Act::LogoutAll),
        1 => Just(Act::Lock),
        1 => Just(Act::Unlock),
    ]
}

/// A service that has just started on the same store: it remembers nothing.
fn restarted(world: &World) -> Auth {
    let (env, _) = Env::seeded(8);
    let config = AuthConfig::new(server_name!("example.org").to_owned(), "https://example.org".to_owned());
    let sealer = Sealer::new(&[Secret::new([1; 32])], env.random.clone());
    Auth::new(Arc::clone(&world.engine) as Arc<dyn Engine>, env, config, Vec::new(), sealer)
}

async fn happens(world: &World, alice: &OwnedUserId, issued: &mut Vec<Issued>, act: Act) {
    let newest = |issued: &[Issued], back: usize| issued.iter().rev().nth(back).cloned();
    match act {
        Act::Login(device) => {
            let session = crate::NewSession {
                device_id: Some(format!("DEVICE{device}").into()),
                display_name: None,
                refresh: RefreshTokens::Supported,
            };
            issued.extend(world.try_login("alice", super::PASSWORD, session).await);
        }
        Act::Use(back) => {
            let Some(tokens) = newest(issued, back) else { return };
            world.works(&tokens).await;
        }
        Act::Refresh(back) => {
            let Some(tokens) = newest(issued, back) else { return };
            let refresh = tokens.refresh_token.unwrap();
            issued.extend(world.auth.refresh(refresh.expose()).await);
        }
        Act::Logout(back) => {
            let Some(tokens) = newest(issued, back) else { return };
            world.auth.logout(tokens.access_token.expose()).await.unwrap();
        }
        Act::LogoutAll(back) => {
            let Some(tokens) = newest(issued, back) else { return };
            if let Ok(requester) = world.auth.authenticate(tokens.access_token.expose()).await {
                world.auth.logout_all(&requester).await.unwrap();
            }
        }
        Act::Lock => world.auth.lock(&Actor::Operator, alice).await.unwrap(),
        Act::Unlock => world.auth.unlock(&Actor::Operator, alice).await.unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// A token is there only while its device is, and says of itself that nothing is left to write only where the device's
    /// generation is its own: so that neither need be looked up.
    #[test]
    fn a_token_s_row_alone_says_whether_it_is_good(acts in proptest::collection::vec(act(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = world();
            let alice = world.account("alice").await;
            let mut issued = Vec::new();
            for act in acts {
                happens(&world, &alice, &mut issued, act).await;
                let devices = world.rows::<Device>().await;
                for token in world.rows::<AccessToken>().await {
                    let device = devices.iter().find(|device| device.session == token.session);
                    let device = device.expect("no token outlives its device");
                    prop_assert_eq!((&token.user_id, &token.device_id), (&device.user_id, &device.device_id));
                    prop_assert!(token.generation >= device.generation, "older ones have ended");
                    if token.shown == Some(true) {
                        prop_assert_eq!(token.generation, device.generation);
                    }
                }
            }
            for tokens in &issued {
                let cold = restarted(&world).authenticate(tokens.access_token.expose()).await;
                let warm = world.auth.authenticate(tokens.access_token.expose()).await;
                prop_assert_eq!(warm.ok(), cold.ok());
            }
            Ok(())
        })?;
    }
}
