//! What every listener serves: the Matrix APIs and `/health` to programs, the pages to people.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::future::Either;
use http::{Request, StatusCode};
use myelin_store::Engine;
use serde_json::json;
use tower::Service;
use tower_http::cors::Cors;

/// What listeners hand requests to. Web browser clients may call everything but the pages, which are for people and are
/// nobody else's to read.
#[derive(Clone)]
pub struct Front {
    programs: Cors<Router>,
    pages: Option<Router>,
}

impl Front {
    pub(crate) fn new(api: Router, pages: Option<Router>, engine: Arc<dyn Engine>) -> Self {
        let programs = api.route("/health", get(health).with_state(engine));
        Self { programs: myelin_api::for_browsers(programs), pages }
    }
}

type AnswerOf<S> = <S as Service<Request<Body>>>::Future;

impl Service<Request<Body>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<AnswerOf<Router>, AnswerOf<Cors<Router>>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A router is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match &mut self.pages {
            Some(pages) if myelin_web::is_page(request.uri().path()) => Either::Left(pages.call(request)),
            _ => Either::Right(self.programs.call(request)),
        }
    }
}

/// 200 while the store can be read: what a load balancer or a service manager asks.
async fn health(State(engine): State<Arc<dyn Engine>>) -> Response {
    match engine.snapshot().await {
        Ok(_) => Json(json!({"status": "ok"})).into_response(),
        Err(error) => {
            let body = Json(json!({"status": "error", "error": error.to_string()}));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}
