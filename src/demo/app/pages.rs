//! The application's answers.

use std::path::PathBuf;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::edition::Edition;
use super::pool::{Lease, Pool};
use crate::demo::shop::{CUSTOMERS, PRODUCTS};
use crate::pg;

/// A longer body is refused.
const LONGEST_BODY: usize = 4096;

/// What a customer sends to `POST /orders`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// Who orders.
    pub customer: u32,
    /// What.
    pub product: u32,
    /// How many.
    pub quantity: u32,
}

/// The shop, as one version of its code serves it.
pub(super) struct Shop {
    pub(super) edition: Edition,
    pub(super) pool: Pool,
    pub(super) flag: PathBuf,
}

/// Why there is no good answer.
enum Sorry {
    Maintenance,
    NotFound,
    Bad(String),
    Database(String),
    /// The database was gone before it said whether the order is written.
    Unknown(String),
}

type Answer = Response<Full<Bytes>>;

impl Shop {
    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_string();
        if path == "/health" {
            return self.health().await;
        }
        let answer = match (request.method(), path.as_str()) {
            (&Method::GET, "/") => self.window().await,
            (&Method::POST, "/orders") => self.order(request).await,
            (&Method::GET, path) => match path.strip_prefix("/orders/").and_then(|id| id.parse().ok()) {
                Some(id) => self.show(id).await,
                None => Err(Sorry::NotFound),
            },
            _ => Err(Sorry::NotFound),
        };
        answer.unwrap_or_else(|sorry| self.apologise(sorry))
    }

    /// The truth about this code on this schema, whatever the flag says.
    async fn health(&self) -> Answer {
        let asked = async {
            let lease = self.pool.lease().await?;
            let row = lease.query_one(self.edition.health, &[]).await.map_err(|error| {
                error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_string())
            })?;
            row.try_get::<_, String>(0).map_err(|error| error.to_string())
        };
        let version = self.edition.version;
        match asked.await {
            Ok(revision) => {
                let body = json!({ "status": "ok", "version": version, "revision": revision });
                reply(StatusCode::OK, &body.to_string())
            }
            Err(why) => {
                let body = json!({ "status": "failing", "version": version, "error": why });
                reply(StatusCode::SERVICE_UNAVAILABLE, &body.to_string())
            }
        }
    }

    async fn window(&self) -> Result<Answer, Sorry> {
        let lease = self.open().await?;
        let row = lease.query_one("SELECT count(*) FROM products WHERE stock > 0", &[]).await?;
        let products: i64 = row.try_get(0)?;
        Ok(reply(StatusCode::OK, &json!({ "shop": "open", "products": products }).to_string()))
    }

    async fn show(&self, id: i64) -> Result<Answer, Sorry> {
        let lease = self.open().await?;
        match lease.query_opt(self.edition.show, &[&id]).await? {
            Some(row) => Ok(reply(StatusCode::OK, row.try_get(0)?)),
            None => Err(Sorry::NotFound),
        }
    }

    async fn order(&self, request: Request<Incoming>) -> Result<Answer, Sorry> {
        let body = Limited::new(request.into_body(), LONGEST_BODY).collect().await;
        let body = body.map_err(|error| Sorry::Bad(error.to_string()))?.to_bytes();
        let new: NewOrder = serde_json::from_slice(&body).map_err(|error| Sorry::Bad(error.to_string()))?;
        let known = (1..=CUSTOMERS).contains(&new.customer) && (1..=PRODUCTS).contains(&new.product);
        if !known || !(1..=100).contains(&new.quantity) {
            return Err(Sorry::Bad("there is no such customer, product or quantity".into()));
        }
        let lease = self.open().await?;
        let (customer, product) = (i64::from(new.customer), i64::from(new.product));
        let quantity = new.quantity as i32;
        let placed = lease.query_one(self.edition.order, &[&customer, &product, &quantity]).await;
        let row = placed.map_err(|error| Sorry::Unknown(pg::describe_error(&error)))?;
        let id: i64 = row.try_get(0)?;
        Ok(reply(StatusCode::CREATED, &json!({ "id": id }).to_string()))
    }

    /// A connection for work that maintenance forbids. First the connection, then the flag: see the module.
    async fn open(&self) -> Result<Lease<'_>, Sorry> {
        if self.flag.exists() {
            return Err(Sorry::Maintenance);
        }
        let lease = self.pool.lease().await.map_err(Sorry::Database)?;
        if self.flag.exists() { Err(Sorry::Maintenance) } else { Ok(lease) }
    }

    fn apologise(&self, sorry: Sorry) -> Answer {
        match sorry {
            Sorry::NotFound => reply(StatusCode::NOT_FOUND, r#"{"error":"not found"}"#),
            Sorry::Bad(why) => reply(StatusCode::BAD_REQUEST, &json!({ "error": why }).to_string()),
            Sorry::Unknown(why) => {
                let body = json!({ "error": why, "placed": "unknown" });
                reply(StatusCode::INTERNAL_SERVER_ERROR, &body.to_string())
            }
            // The connection that broke may be the window's doing: then the flag is the better answer.
            Sorry::Database(why) if !self.flag.exists() => {
                reply(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": why }).to_string())
            }
            Sorry::Database(_) | Sorry::Maintenance => {
                let mut answer = reply(StatusCode::SERVICE_UNAVAILABLE, MAINTENANCE);
                answer.headers_mut().insert(RETRY_AFTER, hyper::header::HeaderValue::from_static("5"));
                answer
            }
        }
    }
}

const MAINTENANCE: &str = r#"{"shop":"closed for a moment","why":"maintenance"}"#;

impl From<tokio_postgres::Error> for Sorry {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(pg::describe_error(&error))
    }
}

fn reply(status: StatusCode, body: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    answer
}
