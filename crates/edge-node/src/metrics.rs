//! Prometheus metrics over HTTP, fed by the same events that people and scripts read.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use serde_json::Value;

use crate::event::{Event, Stats};
use crate::{Error, Shutdown};

/// The latest counters; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<String, f64>>>);

impl Metrics {
    /// Takes the numbers of an event.
    pub fn observe(&self, event: &Event) {
        match event {
            Event::Stats(stats) => self.observe_stats(stats),
            Event::Epoch { epoch, members, .. } => {
                self.set("edge_group_epoch", *epoch as f64);
                self.set("edge_group_members", *members as f64);
            }
            Event::Disconnected { .. } => self.add("edge_parent_losses_total", 1.0),
            Event::FirstFrame { since_admitted_ms, .. } => self.set("edge_watch_first_frame_ms", *since_admitted_ms),
            _ => {}
        }
    }

    /// The text exposition format.
    pub fn render(&self) -> String {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        values.iter().fold(String::new(), |mut out, (name, value)| {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{name} {value}");
            out
        })
    }

    fn observe_stats(&self, stats: &Stats) {
        let (role, json) = match stats {
            Stats::Publish(inner) => ("publish", serde_json::to_value(inner)),
            Stats::Relay(inner) => ("relay", serde_json::to_value(inner)),
            Stats::Watch(inner) => ("watch", serde_json::to_value(inner)),
            Stats::Outsider(inner) => ("outsider", serde_json::to_value(inner)),
        };
        if let Ok(json) = json {
            self.flatten(&format!("edge_{role}"), &json);
        }
    }

    fn flatten(&self, name: &str, value: &Value) {
        match value {
            Value::Number(number) => self.set(name, number.as_f64().unwrap_or(0.0)),
            Value::Bool(on) => self.set(name, if *on { 1.0 } else { 0.0 }),
            Value::Object(fields) => {
                fields.iter().for_each(|(key, value)| self.flatten(&format!("{name}_{key}"), value))
            }
            Value::Array(items) => items.iter().enumerate().for_each(|(at, item)| {
                if let Some(number) = item.as_f64() {
                    self.set(&format!("{name}{{index=\"{at}\"}}"), number);
                }
            }),
            Value::Null | Value::String(_) => {}
        }
    }

    fn set(&self, name: &str, value: f64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value);
    }

    fn add(&self, name: &str, value: f64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default() += value;
    }
}

/// Serves `GET /metrics` on `addr` until `shutdown`.
pub async fn serve(addr: SocketAddr, metrics: Metrics, shutdown: Shutdown) -> Result<(), Error> {
    let page = get(move || {
        let text = metrics.render();
        async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text) }
    });
    let listener = tokio::net::TcpListener::bind(addr).await.map_err(Error::Metrics)?;
    let server = axum::serve(listener, Router::new().route("/metrics", page));
    server.with_graceful_shutdown(crate::ended(shutdown)).await.map_err(Error::Metrics)
}
