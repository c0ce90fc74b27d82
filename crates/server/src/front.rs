//! What every listener serves besides the Matrix APIs, and what is measured of each request.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use metrics_exporter_prometheus::PrometheusHandle;
use myelin_runtime::Clock;
use myelin_store::Engine;
use serde_json::json;

use crate::compose::Server;

/// Adds `/health` and the measuring of requests to the routes.
pub(crate) fn routes(api: Router, server: &Server, _recorder: PrometheusHandle) -> Router {
    let engine = Arc::clone(&server.engine);
    let clock = Arc::clone(&server.state.env.clock);
    api.route("/health", get(health).with_state(engine)).layer(from_fn_with_state(clock, measure))
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

/// Counts the request and its time under its route (not its path: rooms and users are nobody's labels).
async fn measure(State(clock): State<Arc<dyn Clock>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", |path| path.as_str()).to_owned();
    let method = request.method().as_str().to_owned();
    let start = clock.elapsed();
    let response = next.run(request).await;
    let took = clock.elapsed().saturating_sub(start);
    let class = format!("{}xx", response.status().as_u16() / 100);
    metrics::histogram!("myelin_http_request_seconds", "method" => method, "route" => route, "status" => class)
        .record(took.as_secs_f64());
    response
}
