//! A push gateway that tests hold in their hands.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use myelin_notify::{Gateway, GatewayError};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A request that came, and how it was answered is up to the test.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Where it was sent.
    pub url: String,
    /// `notification` of its body.
    pub notification: Value,
}

/// Takes every request, and refuses as many as it is told to.
pub struct TestGateway {
    came: UnboundedSender<Pushed>,
    taken: tokio::sync::Mutex<UnboundedReceiver<Pushed>>,
    answers: Mutex<VecDeque<Result<Value, GatewayError>>>,
}

impl Default for TestGateway {
    fn default() -> Self {
        let (came, taken) = unbounded_channel();
        Self { came, taken: tokio::sync::Mutex::new(taken), answers: Mutex::default() }
    }
}

impl TestGateway {
    /// The next request that nobody has taken yet; waits for it.
    ///
    /// # Panics
    /// Never: the gateway itself keeps the sending side.
    pub async fn next(&self) -> Pushed {
        self.taken.lock().await.recv().await.expect("the sender lives as long as the gateway")
    }

    /// Answers a coming request with this, after those named before; all others with an empty list of rejected keys.
    pub fn answer(&self, answer: Result<Value, GatewayError>) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push_back(answer);
    }
}

impl Gateway for TestGateway {
    fn notify<'a>(&'a self, url: &'a str, body: Bytes) -> BoxFuture<'a, Result<Bytes, GatewayError>> {
        Box::pin(async move {
            let mut body: Value = serde_json::from_slice(&body).unwrap_or_default();
            // A test that is over takes nothing any more.
            let _ = self.came.send(Pushed { url: url.to_owned(), notification: body["notification"].take() });
            let answer = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            answer.unwrap_or_else(|| Ok(json!({ "rejected": [] }))).map(|json| Bytes::from(json.to_string()))
        })
    }
}
