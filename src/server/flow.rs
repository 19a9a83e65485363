//! `GET /flow` and `GET /flow.svg`: what runs as a graph, laid out.

use super::error::Failure;
use super::{App, blocking, json};
use crate::engine::{Engine, Outcome};
use crate::flow::{Graph, SinkNode, graph, svg};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

pub async fn flow(State(app): State<App>) -> Result<Response, Failure> {
    blocking(move || Ok(json(StatusCode::OK, &of_engine(&app.engine)?))).await
}

pub async fn picture(State(app): State<App>) -> Result<Response, Failure> {
    let text = blocking(move || Ok(svg(&of_engine(&app.engine)?))).await?;
    Ok(([("content-type", "image/svg+xml")], text).into_response())
}

fn of_engine(engine: &Engine) -> Result<Graph, Failure> {
    let mut sources = Vec::new();
    for text in ["SHOW STREAMS EXTENDED", "SHOW TABLES EXTENDED"] {
        let asked = engine.ask(text).map_err(|e| Failure::of(e, text, text, Vec::new()))?;
        if let Outcome::Sources(all) = asked {
            sources.extend(all);
        }
    }
    let sinks: Vec<SinkNode> = engine.connectors().iter().map(SinkNode::of).collect();
    Ok(graph(&sources, &sinks))
}
